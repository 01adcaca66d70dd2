//! Where the log of a folder goes on, after whatever the last run came to.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::archive::{Archive, Stored};
use super::aside::set_aside;
use super::files::FileKind;
use super::folder::{OpenError, io_error, segments};
use super::source::Directory;
use super::{Event, Hash, Head, Record, seal};

/// Where the log goes on.
pub(super) struct Resumption {
    /// Its last record.
    pub(super) head: Head,
    /// The first record of the last segment.
    pub(super) last_segment: Option<u64>,
    /// What a crash left of records: [`Event::SegmentTorn`].
    pub(super) torn: Vec<Event>,
}

/// Where the log goes on: behind the last segment that has a record.
pub(super) fn resume(folder: &Path) -> Result<Resumption, OpenError> {
    let segments = segments(folder).map_err(|source| io_error(folder, source))?;
    let torn = set_aside(folder, &segments).map_err(|source| io_error(folder, source))?;
    for (position, &segment) in segments.iter().enumerate().rev() {
        if let Some(head) = end_of(folder, segment)? {
            let begun = &segments[position + 1..];
            remove_empty(folder, begun, head.seq + 1).map_err(|source| io_error(folder, source))?;
            return Ok(Resumption {
                head,
                last_segment: Some(segment.0),
                torn,
            });
        }
    }
    // A first segment that got no record is taken again. Others that have none have lost them.
    match segments[..] {
        [] | [(1, FileKind::Raw)] => Ok(Resumption {
            head: Head::START,
            last_segment: None,
            torn,
        }),
        _ => Err(OpenError::Empty(folder.to_owned())),
    }
}

/// Removes segments that were begun and have no record, but for the one that is taken again: there
/// will be others of these names, or none.
fn remove_empty(folder: &Path, begun: &[(u64, FileKind)], next: u64) -> io::Result<()> {
    for (first, kind) in begun.iter().filter(|(first, _)| *first != next) {
        tracing::warn!(
            segment = first,
            "an audit segment without a record is removed"
        );
        fs::remove_file(folder.join(kind.name(*first)))?;
    }
    Ok(())
}

/// A segment's last record, if it has one.
fn end_of(folder: &Path, (first, kind): (u64, FileKind)) -> Result<Option<Head>, OpenError> {
    if kind == FileKind::Raw {
        return end_of_raw(&folder.join(FileKind::Raw.name(first)));
    }
    let path = folder.join(kind.name(first));
    let source = Box::new(Directory(folder.to_owned()));
    let index = Archive::open(source)
        .and_then(|archive| seal::sound_index(&archive, &Stored { first, kind }))
        .map_err(|source| io_error(&path, source))?;
    let last = index.map(|index| index.last);
    last.map_or_else(|| end_of_sealed(&path, first), Ok)
        .map(Some)
}

/// The last record of a segment that has no index to go by.
fn end_of_sealed(path: &Path, first: u64) -> Result<Head, OpenError> {
    let io = |source| io_error(path, source);
    let mut lines = BufReader::new(
        zstd::stream::read::Decoder::new(File::open(path).map_err(io)?).map_err(io)?,
    );
    let (mut line, mut last) = (Vec::new(), None);
    let mut seq = first;
    while lines.read_until(b'\n', &mut line).map_err(io)? > 0 {
        last = Some(Head {
            seq,
            hash: Hash::of(line.strip_suffix(b"\n").unwrap_or(&line)),
        });
        seq += 1;
        line.clear();
    }
    last.ok_or_else(|| OpenError::Malformed(path.to_owned()))
}

fn end_of_raw(path: &Path) -> Result<Option<Head>, OpenError> {
    let io = |source| io_error(path, source);
    let mut file = File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    let line = last_line(&mut file, len).map_err(io)?;
    if line.is_empty() {
        return Ok(None);
    }
    let record: Record =
        serde_json::from_slice(&line).map_err(|_| OpenError::Malformed(path.to_owned()))?;
    let head = Head {
        seq: record.seq,
        hash: Hash::of(&line),
    };
    Ok(Some(head))
}

/// The last line of a file of whole lines, without its end; empty if it has none.
fn last_line(file: &mut File, len: u64) -> io::Result<Vec<u8>> {
    // Read backwards in growing steps until the end of the line before, or the beginning, is in
    // sight.
    let mut step = 64 * 1024;
    loop {
        let start = len.saturating_sub(step);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.take(len - start).read_to_end(&mut tail)?;
        let line = tail.strip_suffix(b"\n").unwrap_or(&tail);
        match memchr::memrchr(b'\n', line) {
            Some(before) => return Ok(line[before + 1..].to_vec()),
            None if start == 0 => return Ok(line.to_vec()),
            None => step *= 4,
        }
    }
}
