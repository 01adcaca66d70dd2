//! What a crash cut off: it is moved to a file beside its segment, for evidence is not thrown away.
//!
//! A kill cuts the last segment only. A loss of power may cut any that was not sealed: the kernel
//! brings files to the disk when it likes.
//!
//! First the piece is in that file, then the segment is cut, then a record names the piece. Another
//! crash may come in between, so a start looks how far the one before it came: what is in the file
//! and named by no record is named now, and what is there already is not put there again.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::archive::Archive;
use super::durable::{sync_folder, whole};
use super::files::FileKind;
use super::line::Line;
use super::source::Directory;
use super::{Event, Record};
use crate::secret::{hex, sha256};

/// What such files are called, behind the digits of their segment.
const SUFFIX: &str = ".torn";
/// Bytes that are looked at in one go for the end of a line.
const STEP: u64 = 64 * 1024;

/// Sets aside what follows the last whole line of each raw segment. Returns what is to be recorded:
/// that, and what was set aside before and is not on record.
///
/// # Errors
/// If the file system refuses.
pub(super) fn set_aside(folder: &Path, segments: &[(u64, FileKind)]) -> io::Result<Vec<Event>> {
    let mut files = files(folder)?;
    let mut named = named(folder, &files)?;
    for (first, _) in segments.iter().filter(|(_, kind)| *kind == FileKind::Raw) {
        files.entry(*first).or_default();
    }
    let mut events = Vec::new();
    for first in files.into_keys() {
        let named = named.remove(&first).unwrap_or_default();
        events.extend(tidy(folder, first, named)?);
    }
    Ok(events)
}

/// The files that are there, by the segment that they belong to, and their bytes.
fn files(folder: &Path) -> io::Result<BTreeMap<u64, u64>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(first) = entry.file_name().to_str().and_then(segment_of) {
            files.insert(first, entry.metadata()?.len());
        }
    }
    Ok(files)
}

fn segment_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX).filter(|it| it.len() == 20)?;
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

fn name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// How many bytes of each file the log names. A start that sets something aside records it first
/// of all, in a segment that it opens: so only how segments begin is read, and usually of two.
fn named(folder: &Path, files: &BTreeMap<u64, u64>) -> io::Result<BTreeMap<u64, u64>> {
    let mut named = BTreeMap::new();
    let Some((oldest, _)) = files.first_key_value() else {
        return Ok(named);
    };
    let archive = Archive::open(Box::new(Directory(folder.to_owned())))?;
    let segments = archive.segments().iter().filter(|it| it.first >= *oldest);
    for segment in segments {
        // What cannot be read names nothing; `verify` tells why it cannot.
        let Some(Ok(block)) = archive.blocks(segment).next() else {
            continue;
        };
        for (first, bytes) in block.lines().filter_map(names) {
            *named.entry(first).or_default() += bytes;
        }
        if files
            .iter()
            .all(|(first, bytes)| named.get(first) >= Some(bytes))
        {
            break;
        }
    }
    Ok(named)
}

/// The segment that a line names a piece of, and the piece's bytes.
fn names(line: &[u8]) -> Option<(u64, u64)> {
    let line = Line::of(line).filter(|line| line.kind == b"segment_torn")?;
    let record: Record = line.parse().ok()?;
    match record.event {
        Event::SegmentTorn { file, bytes, .. } => Some((segment_of(&file)?, bytes)),
        _ => None,
    }
}

/// Sets aside the torn end of one segment, if it has one. `named` bytes of its file are on record.
fn tidy(folder: &Path, first: u64, named: u64) -> io::Result<Vec<Event>> {
    let path = folder.join(name(first));
    let mut before = read(&path)?;
    let end = TornEnd::of(&folder.join(FileKind::Raw.name(first)))?;
    let named = usize::try_from(named).unwrap_or(usize::MAX);
    let mut unnamed = before.split_off(named.min(before.len()));
    let Some(end) = end else {
        return Ok(torn(first, &unnamed).into_iter().collect());
    };
    // The crash may have come right before the segment was cut.
    match unnamed.strip_suffix(&end.bytes[..]).map(<[u8]>::len) {
        Some(len) => unnamed.truncate(len),
        None => whole(&path, |file| {
            file.write_all(&[&before[..], &unnamed, &end.bytes].concat())
        })?,
    }
    sync_folder(folder)?;
    end.cut()?;
    let pieces = [torn(first, &unnamed), torn(first, &end.bytes)];
    Ok(pieces.into_iter().flatten().collect())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// The record of a piece; `None` if it is empty.
fn torn(first: u64, piece: &[u8]) -> Option<Event> {
    (!piece.is_empty()).then(|| Event::SegmentTorn {
        file: name(first),
        bytes: piece.len() as u64,
        sha256: hex(&sha256(piece)),
    })
}

/// What follows the last whole line of a raw segment.
struct TornEnd {
    file: File,
    /// Where it begins.
    start: u64,
    bytes: Vec<u8>,
}

impl TornEnd {
    /// `None` if there is none, or no such segment.
    fn of(path: &Path) -> io::Result<Option<Self>> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let len = file.metadata()?.len();
        let start = whole_lines(&file, len)?;
        let mut bytes = vec![0; usize::try_from(len - start).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, start)?;
        let end = Self { file, start, bytes };
        Ok((!end.bytes.is_empty()).then_some(end))
    }

    /// Takes it off the segment.
    fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.start)?;
        self.file.sync_all()
    }
}

/// How many bytes are whole lines.
fn whole_lines(file: &File, len: u64) -> io::Result<u64> {
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let mut bytes = vec![0; (end - start) as usize];
        file.read_exact_at(&mut bytes, start)?;
        if let Some(at) = memchr::memrchr(b'\n', &bytes) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::Head;
    use super::super::testing::lines;
    use super::*;

    const TORN: &[u8] = b"{\"v\":1,\"se";

    /// A log in segments of the given events, the first of which begins with record 1.
    struct Log {
        folder: TempDir,
        head: Head,
        segments: Vec<(u64, FileKind)>,
    }

    impl Log {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                head: Head::START,
                segments: Vec::new(),
            }
        }

        fn segment(&mut self, events: &[Event]) {
            let first = self.head.seq + 1;
            let lines = lines(&mut self.head, events);
            fs::write(self.path(FileKind::Raw.name(first)), lines).unwrap();
            self.segments.push((first, FileKind::Raw));
        }

        fn path(&self, name: String) -> std::path::PathBuf {
            self.folder.path().join(name)
        }

        fn tear(&self, first: u64) {
            let path = self.path(FileKind::Raw.name(first));
            let lines = fs::read(&path).unwrap();
            fs::write(&path, [&lines[..], TORN].concat()).unwrap();
        }

        fn set_aside(&self) -> Vec<Event> {
            set_aside(self.folder.path(), &self.segments).unwrap()
        }

        fn aside(&self, first: u64) -> Vec<u8> {
            fs::read(self.path(name(first))).unwrap()
        }
    }

    fn piece(first: u64) -> Event {
        torn(first, TORN).unwrap()
    }

    #[test]
    fn a_piece_that_no_record_names_is_named_by_the_next_start_and_by_no_later_one() {
        let mut log = Log::new();
        log.segment(&[Event::Stopped]);
        log.tear(1);
        assert_eq!(log.set_aside(), [piece(1)]);
        // A crash: it was not recorded.
        assert_eq!(log.set_aside(), [piece(1)]);
        log.segment(&[Event::Stopped, piece(1)]);
        assert_eq!(log.set_aside(), []);
        assert_eq!(log.aside(1), TORN);
    }

    #[test]
    fn a_piece_that_was_set_aside_and_not_cut_off_is_not_set_aside_again() {
        let mut log = Log::new();
        log.segment(&[Event::Stopped]);
        log.tear(1);
        fs::write(log.path(name(1)), TORN).unwrap();
        assert_eq!(log.set_aside(), [piece(1)]);
        assert_eq!(log.aside(1), TORN);
        assert_eq!(log.set_aside(), [piece(1)], "it is cut off by now");
    }

    #[test]
    fn a_segment_that_was_taken_again_may_be_torn_again() {
        let mut log = Log::new();
        log.segment(&[piece(1)]);
        fs::write(log.path(name(1)), TORN).unwrap();
        log.tear(1);
        assert_eq!(log.set_aside(), [piece(1)]);
        assert_eq!(log.aside(1), [TORN, TORN].concat());
        // One that nobody came to name, and another.
        log.segment(&[Event::Stopped]);
        fs::write(log.path(name(2)), b"earlier").unwrap();
        log.tear(2);
        let pieces = [piece(1), torn(2, b"earlier").unwrap(), piece(2)];
        assert_eq!(log.set_aside(), pieces);
        assert_eq!(log.aside(2), [b"earlier", TORN].concat());
    }
}
