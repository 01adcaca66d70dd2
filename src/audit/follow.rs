//! Reads the log as it grows, line by line, byte for byte: raw segments, sealed ones, and the one
//! that is being written.
//!
//! A place in the log is a sequence and nothing else: the sequence has no gap and a segment is named
//! by its first, so line n of a segment is the record that many after it. A place therefore stays
//! good when its segment is sealed or hallpass is started again.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;

use super::files::{FileKind, open_regular};
use super::listing::segments;
use super::{Hash, Head};

/// How much one read asks a file for.
const STEP: usize = 256 * 1024;
/// The longest line there may be. Records are kept well below a mebibyte; this is a damaged file.
const LONGEST: usize = 64 * 1024 * 1024;

/// Whole records in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The sequence of the first.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Their lines, each with its line end.
    pub lines: Vec<u8>,
}

impl Chunk {
    /// The sequence after the last.
    pub fn end(&self) -> u64 {
        self.first + self.count
    }

    /// The lines, each with its sequence and without its line end.
    pub fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let lines = self.lines.split_inclusive(|&byte| byte == b'\n');
        (self.first..).zip(lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line)))
    }

    /// The last of them.
    pub fn head(&self) -> Head {
        let lines = self.lines.strip_suffix(b"\n").unwrap_or(&self.lines);
        let start = memchr::memrchr(b'\n', lines).map_or(0, |end| end + 1);
        Head {
            seq: self.end() - 1,
            hash: Hash::of(&lines[start..]),
        }
    }

    /// What is needed to say something about the first record.
    pub fn opening(&self) -> Option<Opening> {
        let (_, line) = self.lines().next()?;
        serde_json::from_slice(line).ok()
    }
}

/// What every record begins with.
#[derive(Debug, Clone, Deserialize)]
pub struct Opening {
    /// When the fact was observed.
    pub at: Timestamp,
    /// What kind of fact it is.
    pub r#type: String,
}

/// Why the log cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file, or the folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// Records are no longer there.
    #[error("records {wanted} to {} are not in {}", next - 1, folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The first that is missing.
        wanted: u64,
        /// The first after it that is there.
        next: u64,
    },
    /// A segment ends before the records that it should have.
    #[error("{} ends before record {wanted}", path.display())]
    Short {
        /// The segment.
        path: PathBuf,
        /// The first that is missing.
        wanted: u64,
    },
}

/// Reads from one place on.
pub struct Follower {
    folder: PathBuf,
    next: u64,
    open: Option<Open>,
}

/// The segment that is being read.
struct Open {
    path: PathBuf,
    lines: Lines,
}

enum Lines {
    /// A file that may grow, and whose end may be cut and written anew: nothing of it is kept but
    /// where the next line begins.
    Raw { file: File, offset: u64 },
    /// A file that never changes.
    Sealed {
        file: Box<dyn Read + Send>,
        /// Decompressed, and not taken yet.
        rest: Vec<u8>,
    },
}

impl Follower {
    /// Follows the log in `folder` from record `next` on.
    pub fn new(folder: &Path, next: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            next,
            open: None,
        }
    }

    /// The sequence of the record that is read next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Goes on at record `next`.
    pub fn seek(&mut self, next: u64) {
        if next != self.next {
            self.open = None;
            self.next = next;
        }
    }

    /// The records from here on that are before `written`: at least one if there is one, else as
    /// many as fit in `bytes`; never of two segments. `None`: there is nothing new.
    ///
    /// # Errors
    /// [`FollowError`]; the place stays as it was.
    pub fn read(&mut self, written: u64, bytes: usize) -> Result<Option<Chunk>, FollowError> {
        if self.next >= written {
            return Ok(None);
        }
        if let Some(chunk) = self.read_open(written, bytes)? {
            return Ok(Some(chunk));
        }
        // The open segment has ended; or none was open.
        self.open = Some(match self.find() {
            // It was sealed, and the raw file deleted, between our list and our look.
            Err(FollowError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.find()?
            }
            found => found?,
        });
        let chunk = self.read_open(written, bytes)?;
        chunk.map(Some).ok_or_else(|| self.short())
    }

    fn read_open(&mut self, written: u64, bytes: usize) -> Result<Option<Chunk>, FollowError> {
        let Some(open) = &mut self.open else {
            return Ok(None);
        };
        let most = written - self.next;
        let result = open.lines.take(most, bytes);
        let (count, lines) = match result {
            Ok(taken) => taken,
            Err(source) => {
                let path = open.path.clone();
                self.open = None;
                return Err(FollowError::Io { path, source });
            }
        };
        if count == 0 {
            return Ok(None);
        }
        let first = self.next;
        self.next += count;
        Ok(Some(Chunk {
            first,
            count,
            lines,
        }))
    }

    /// Opens the segment that has the next record, at that record.
    fn find(&self) -> Result<Open, FollowError> {
        let segments = segments(&self.folder).map_err(io_error(&self.folder))?;
        let at = segments.partition_point(|segment| segment.first <= self.next);
        let Some(segment) = at.checked_sub(1).map(|at| &segments[at]) else {
            return Err(match segments.first() {
                Some(segment) => self.missing(segment.first),
                None => self.short(),
            });
        };
        let path = segment.path(&self.folder);
        let mut lines = Lines::open(&path, segment.kind).map_err(io_error(&path))?;
        let skipped = lines
            .skip(self.next - segment.first)
            .map_err(io_error(&path))?;
        match (skipped, segments.get(at)) {
            (true, _) => Ok(Open { path, lines }),
            (false, Some(after)) => Err(self.missing(after.first)),
            (false, None) => Err(FollowError::Short {
                path,
                wanted: self.next,
            }),
        }
    }

    fn missing(&self, next: u64) -> FollowError {
        FollowError::Missing {
            folder: self.folder.clone(),
            wanted: self.next,
            next,
        }
    }

    fn short(&self) -> FollowError {
        let open = self.open.as_ref().map(|open| &open.path);
        FollowError::Short {
            path: open.unwrap_or(&self.folder).clone(),
            wanted: self.next,
        }
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> FollowError {
    let path = path.to_owned();
    move |source| FollowError::Io { path, source }
}

impl Lines {
    fn open(path: &Path, kind: FileKind) -> io::Result<Self> {
        let file = open_regular(path)?;
        Ok(match kind {
            FileKind::Raw | FileKind::Index => Self::Raw { file, offset: 0 },
            FileKind::Sealed => Self::Sealed {
                file: Box::new(zstd::Decoder::new(file)?),
                rest: Vec::new(),
            },
        })
    }

    /// Passes over `count` lines; whether there were as many.
    fn skip(&mut self, mut count: u64) -> io::Result<bool> {
        while count > 0 {
            let (skipped, _) = self.take(count, 4 * STEP)?;
            if skipped == 0 {
                return Ok(false);
            }
            count -= skipped;
        }
        Ok(true)
    }

    /// At most `most` lines, of as many bytes, but at least one line if there is a whole one.
    fn take(&mut self, most: u64, bytes: usize) -> io::Result<(u64, Vec<u8>)> {
        match self {
            Self::Raw { file, offset } => {
                let (count, lines) = take_raw(file, *offset, most, bytes)?;
                *offset += lines.len() as u64;
                Ok((count, lines))
            }
            Self::Sealed { file, rest } => take_sealed(file, rest, most, bytes),
        }
    }
}

fn take_raw(file: &File, offset: u64, most: u64, bytes: usize) -> io::Result<(u64, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        let (count, len) = whole_lines(&read, most, bytes);
        let enough = count == most || read.len() >= bytes;
        if count > 0 && enough {
            read.truncate(len);
            return Ok((count, read));
        }
        let start = read.len();
        grow(&mut read)?;
        let got = file.read_at(&mut read[start..], offset + start as u64)?;
        read.truncate(start + got);
        if got == 0 {
            read.truncate(len);
            return Ok((count, read));
        }
    }
}

fn take_sealed(
    file: &mut impl Read,
    rest: &mut Vec<u8>,
    most: u64,
    bytes: usize,
) -> io::Result<(u64, Vec<u8>)> {
    loop {
        let (count, len) = whole_lines(rest, most, bytes);
        let enough = count == most || rest.len() >= bytes;
        let start = rest.len();
        let got = if count > 0 && enough {
            0
        } else {
            grow(rest)?;
            let got = file.read(&mut rest[start..]);
            rest.truncate(start + *got.as_ref().unwrap_or(&0));
            got?
        };
        if got == 0 {
            let after = rest.split_off(len);
            return Ok((count, std::mem::replace(rest, after)));
        }
    }
}

/// Makes room for the next read.
fn grow(buffer: &mut Vec<u8>) -> io::Result<()> {
    if buffer.len() >= LONGEST {
        return Err(io::Error::other("a line that does not end"));
    }
    buffer.resize(buffer.len() + STEP, 0);
    Ok(())
}

/// How many whole lines `buffer` begins with, up to `most`, and their length: within `bytes`, but
/// at least one.
fn whole_lines(buffer: &[u8], most: u64, bytes: usize) -> (u64, usize) {
    let (mut count, mut len) = (0, 0);
    for end in memchr::memchr_iter(b'\n', buffer) {
        if count == most || (count > 0 && end >= bytes) {
            break;
        }
        (count, len) = (count + 1, end + 1);
    }
    (count, len)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn line(seq: u64) -> String {
        let at = "2026-11-22T09:04:45Z";
        format!("{{\"v\":1,\"seq\":{seq},\"at\":\"{at}\",\"type\":\"stopped\"}}\n")
    }

    fn lines(sequences: std::ops::Range<u64>) -> String {
        sequences.map(line).collect()
    }

    fn raw(folder: &Path, sequences: std::ops::Range<u64>) {
        let path = folder.join(FileKind::Raw.name(sequences.start));
        fs::write(path, lines(sequences)).unwrap();
    }

    fn seal(folder: &Path, first: u64) {
        let raw = folder.join(FileKind::Raw.name(first));
        let sealed = zstd::encode_all(&*fs::read(&raw).unwrap(), 3).unwrap();
        fs::write(folder.join(FileKind::Sealed.name(first)), sealed).unwrap();
        fs::write(folder.join(FileKind::Index.name(first)), "{}").unwrap();
        fs::remove_file(raw).unwrap();
    }

    fn all(follower: &mut Follower, written: u64, bytes: usize) -> String {
        let mut text = Vec::new();
        while let Some(chunk) = follower.read(written, bytes).unwrap() {
            let counted = chunk.lines().count();
            assert_eq!(counted as u64, chunk.count);
            text.extend(chunk.lines);
        }
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn every_line_comes_once_and_as_it_is_from_any_place_and_in_any_bites() {
        let dir = tempfile::tempdir().unwrap();
        raw(dir.path(), 1..40);
        raw(dir.path(), 40..41);
        raw(dir.path(), 41..100);
        seal(dir.path(), 1);
        seal(dir.path(), 40);
        for start in [1, 2, 39, 40, 41, 99] {
            for bytes in [1, 100, 1 << 20] {
                let mut follower = Follower::new(dir.path(), start);
                assert_eq!(all(&mut follower, 100, bytes), lines(start..100));
            }
        }
    }

    #[test]
    fn what_is_not_durable_yet_is_not_read_not_even_ahead() {
        let dir = tempfile::tempdir().unwrap();
        raw(dir.path(), 1..10);
        let mut follower = Follower::new(dir.path(), 1);
        assert_eq!(all(&mut follower, 5, 1 << 20), lines(1..5));
        // The rest is taken back, and other records take its place.
        let others = lines(1..5) + "{\"seq\":5,\"other\":true}\n";
        fs::write(dir.path().join(FileKind::Raw.name(1)), &others).unwrap();
        let last = others.lines().last().unwrap().to_owned() + "\n";
        assert_eq!(all(&mut follower, 6, 1 << 20), last);
    }

    #[test]
    fn a_segment_that_is_sealed_while_it_is_read_goes_on_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        raw(dir.path(), 1..50);
        let mut follower = Follower::new(dir.path(), 1);
        let chunk = follower.read(50, 500).unwrap().unwrap();
        seal(dir.path(), 1);
        raw(dir.path(), 50..60);
        let rest = all(&mut follower, 60, 500);
        assert_eq!(rest, lines(chunk.end()..60));
        follower.seek(7);
        assert_eq!(all(&mut follower, 9, 500), lines(7..9));
    }

    #[test]
    fn records_that_are_gone_are_named() {
        let dir = tempfile::tempdir().unwrap();
        raw(dir.path(), 10..20);
        let missing = Follower::new(dir.path(), 4).read(20, 1).unwrap_err();
        assert!(missing.to_string().starts_with("records 4 to 9 are not in"));
        let short = Follower::new(dir.path(), 25).read(30, 1).unwrap_err();
        assert!(short.to_string().contains("ends before record 25"));
    }

    #[test]
    fn what_a_record_begins_with_is_read() {
        let dir = tempfile::tempdir().unwrap();
        raw(dir.path(), 1..3);
        let chunk = Follower::new(dir.path(), 2).read(3, 1).unwrap().unwrap();
        assert_eq!(chunk.opening().unwrap().r#type, "stopped");
    }
}
