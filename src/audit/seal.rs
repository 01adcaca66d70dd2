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
use super::folder::segments;
use super::index::{Index, Indexer};
use super::open::Open;
use super::reader;
use super::source::Directory;
use super::{Head, Record};

/// Bytes of lines in a frame, about: enough to compress well, little enough to read for one record.
const FRAME: usize = 1024 * 1024;
/// Logs are so regular that higher levels save nothing: they only compress and decompress slower.
const LEVEL: i32 = 1;

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

/// How many complete segments are not sealed.
///
/// # Errors
/// If the folder cannot be listed.
pub(super) fn waiting(folder: &Path, flow: &Flow) -> io::Result<usize> {
    let segments = segments(folder)?;
    let complete = flow.complete();
    let waits = |(first, kind): &&(u64, FileKind)| *kind == FileKind::Raw && complete.has(*first);
    Ok(segments.iter().filter(waits).count())
}

/// What is open after these segments: the last sound index says it, and the lines behind it.
///
/// # Errors
/// If an index cannot be read.
pub(super) fn open_after(
    archive: &Archive,
    folder: &Path,
    segments: &[Stored],
) -> io::Result<Open> {
    let (mut open, mut behind) = (Open::default(), Vec::new());
    for segment in segments.iter().rev() {
        let segment = as_it_is(folder, segment);
        if let Some(index) = sound_index(archive, &segment)? {
            open = index.open;
            break;
        }
        behind.push(segment);
    }
    let behind = behind.iter().rev();
    for record in behind.flat_map(|segment| reader::segment_records(archive, segment)) {
        match record {
            Ok(record) => open.note(&record.event),
            // `verify` says how; what is sound goes on.
            Err(error) => tracing::error!(file = error.file(), "the audit log is damaged"),
        }
    }
    Ok(open)
}

/// A segment that was raw when the folder was listed, and may have been sealed since.
fn as_it_is(folder: &Path, segment: &Stored) -> Stored {
    match folder.join(segment.file()).exists() {
        true => *segment,
        false => Stored {
            kind: FileKind::Sealed,
            ..*segment
        },
    }
}

/// The index of a segment, unless it is not the segment's own: it has to end in the record that the
/// segment's last frame ends in. `None` also if there is none.
///
/// # Errors
/// If it cannot be read.
pub(super) fn sound_index(archive: &Archive, segment: &Stored) -> io::Result<Option<Index>> {
    let sound = match archive.index(segment) {
        Ok(None) => return Ok(None),
        Ok(Some(index)) => last_record(archive, segment, &index)
            .is_ok_and(|last| last == index.last)
            .then_some(index),
        Err(error) if is_malformed(&error) => None,
        Err(error) => return Err(error),
    };
    if sound.is_none() {
        let file = FileKind::Index.name(segment.first);
        tracing::error!(
            file,
            "an index is not that of its segment, whose lines count"
        );
    }
    Ok(sound)
}

fn is_malformed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

/// The record that a sealed segment ends in: only its last frame is read.
fn last_record(archive: &Archive, segment: &Stored, index: &Index) -> io::Result<Head> {
    let frame = index.frames.last().ok_or(io::ErrorKind::UnexpectedEof)?;
    let block = archive.frame(segment, frame)?;
    let end = frame.offset + frame.compressed;
    // Nothing may be behind it.
    if archive
        .source()
        .read_range(&segment.file(), end..end + 1)
        .is_ok()
    {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let line = block.lines().last().ok_or(io::ErrorKind::UnexpectedEof)?;
    let seq = serde_json::from_slice::<Record>(line)?.seq;
    let head = Head::START.followed_by(line);
    Ok(Head { seq, ..head })
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
