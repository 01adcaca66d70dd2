//! Sealing: a segment that is complete is compressed with zstd and gets its index.
//!
//! The compressed file is a row of zstd frames, each of whole lines: `zstdcat` gives back the very
//! lines that were written, and a reader that knows from the index where a frame is needs no other.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::files::FileKind;
use super::folder;
use super::index::{Index, Indexer};
use super::open::Open;

/// Bytes of lines in a frame, about: enough to compress well, little enough to read for one record.
const FRAME: usize = 1024 * 1024;
/// Fast, and nine tenths of what higher levels save.
const LEVEL: i32 = 3;

/// Seals the segments of a folder that are complete: all raw ones but the last. Returns the
/// sequence of each one's first record.
///
/// # Errors
/// If the file system refuses, or a line is not a record; the raw segment is then left as it is.
pub(super) fn seal_complete(folder: &Path) -> io::Result<Vec<u64>> {
    let segments = folder::segments(folder)?;
    let mut sealed = Vec::new();
    let mut before = None;
    for (position, (first, kind)) in segments.iter().enumerate() {
        let is_last = position + 1 == segments.len();
        if *kind == FileKind::Raw && !is_last {
            seal(folder, *first, before)?;
            sealed.push(*first);
        }
        before = Some(*first);
    }
    Ok(sealed)
}

/// Seals one segment; `before` is the one before it, sealed already.
fn seal(folder: &Path, first: u64, before: Option<u64>) -> io::Result<()> {
    let raw = folder.join(FileKind::Raw.name(first));
    let open = match before {
        Some(before) => Index::load(&folder.join(FileKind::Index.name(before)))?.open,
        None => Open::default(),
    };
    let sealed = folder.join(FileKind::Sealed.name(first));
    let index = whole(&sealed, |out| {
        compress(&raw, out, Indexer::new(first, open))
    })?;
    let Some(index) = index else {
        // Begun and never written to: the next segment has the same first record, or none will.
        fs::remove_file(&sealed)?;
        return fs::remove_file(&raw);
    };
    whole(&folder.join(FileKind::Index.name(first)), |out| {
        serde_json::to_writer(&mut *out, &index)?;
        out.write_all(b"\n")
    })?;
    File::open(folder)?.sync_all()?;
    // What is there now is complete: the raw form may go.
    fs::remove_file(&raw)
}

/// Writes a file that is there whole and on stable storage, or not at all.
fn whole<T>(path: &Path, write: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&name)?;
    let result = write(&mut file)?;
    file.sync_all()?;
    fs::rename(&name, path)?;
    Ok(result)
}

fn compress(raw: &Path, out: &mut File, mut indexer: Indexer) -> io::Result<Option<Index>> {
    let mut lines = BufReader::with_capacity(64 * 1024, File::open(raw)?);
    let mut frame = Vec::with_capacity(FRAME + 64 * 1024);
    loop {
        frame.clear();
        while frame.len() < FRAME && lines.read_until(b'\n', &mut frame)? > 0 {}
        if frame.is_empty() {
            return Ok(indexer.finish());
        }
        let compressed = zstd::bulk::compress(&frame, LEVEL)?;
        if zstd::bulk::decompress(&compressed, frame.len())? != frame {
            return Err(io::Error::other("what was compressed does not come back"));
        }
        out.write_all(&compressed)?;
        indexer.frame(&frame, &compressed)?;
    }
}
