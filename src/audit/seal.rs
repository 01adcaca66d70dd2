//! Sealing: a segment that is complete is compressed with zstd and gets its index.
//!
//! The compressed file is a row of zstd frames, each of whole lines: `zstdcat` gives back the very
//! lines that were written, and a reader that knows from the index where a frame is needs no other.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use super::archive::{Archive, Stored};
use super::durable::{sync_folder, whole};
use super::files::FileKind;
use super::flow::Flow;
use super::index::{Index, Indexer};
use super::open::Open;
use super::reader;
use super::source::Directory;

/// Bytes of lines in a frame, about: enough to compress well, little enough to read for one record.
const FRAME: usize = 1024 * 1024;
/// Fast, and nine tenths of what higher levels save.
const LEVEL: i32 = 3;

/// What became of the segments that were complete; each by the sequence of its first record.
#[derive(Debug, Default)]
pub(super) struct Sealing {
    /// They are sealed.
    pub(super) sealed: Vec<u64>,
    /// They are left as they were, because the file system refuses, or a line is not a record.
    pub(super) failed: Vec<(u64, io::Error)>,
}

/// Seals the segments of a folder that are complete: all raw ones but the one that `flow` says is
/// open. One that cannot be sealed does not keep those behind it from being so.
///
/// # Errors
/// If the folder cannot be listed.
pub(super) fn seal_complete(folder: &Path, flow: &Flow) -> io::Result<Sealing> {
    let archive = Archive::open(Box::new(Directory(folder.to_owned())))?;
    let segments = archive.segments();
    // Only now: what has been opened since is not among them.
    let complete = flow.complete();
    let mut sealing = Sealing::default();
    for (position, segment) in segments.iter().enumerate() {
        if segment.kind != FileKind::Raw || !complete.has(segment.first) {
            continue;
        }
        let open = open_after(&archive, folder, &segments[..position]);
        match open.and_then(|open| seal(folder, segment.first, open)) {
            Ok(()) => sealing.sealed.push(segment.first),
            Err(error) => sealing.failed.push((segment.first, error)),
        }
    }
    Ok(sealing)
}

/// What is open after these segments: the last one's index says it, or, where that is gone, what
/// was open before and the segment's own records.
fn open_after(archive: &Archive, folder: &Path, segments: &[Stored]) -> io::Result<Open> {
    let Some((last, before)) = segments.split_last() else {
        return Ok(Open::default());
    };
    match Index::load(&folder.join(FileKind::Index.name(last.first))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut open = open_after(archive, folder, before)?;
            let here = Stored {
                first: last.first,
                kind: match folder.join(last.file()).exists() {
                    true => last.kind,
                    false => FileKind::Sealed,
                },
            };
            let records = reader::segment_records(archive, &here);
            records
                .flatten()
                .for_each(|record| open.note(&record.event));
            Ok(open)
        }
        index => Ok(index?.open),
    }
}

/// Seals one segment, before which `open` is open.
fn seal(folder: &Path, first: u64, open: Open) -> io::Result<()> {
    let raw = folder.join(FileKind::Raw.name(first));
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
    sync_folder(folder)?;
    // What is there now is complete: the raw form may go.
    fs::remove_file(&raw)
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
