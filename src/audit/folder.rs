//! The folder that the one writer holds: where the log goes on, and the files that it grows by.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::files::{FileKind, HEAD, LOCK};
use super::index::Index;
use super::segment::Segment;
use super::{Event, Hash, Head, Record};
use crate::secret::{hex, sha256};

/// Why the audit's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system refuses.
    #[error("the audit folder {}: {source}", path.display())]
    Io {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// Another process writes there.
    #[error("the audit folder {} is in use by another hallpass", .0.display())]
    InUse(PathBuf),
    /// The last whole line of the last segment is not a record.
    #[error("the audit segment {} ends in a line that is not a record; move it away only after finding out why", .0.display())]
    Malformed(PathBuf),
}

/// Where new segments come from.
pub(super) trait Volume: Send + Sync {
    /// Starts the segment whose first record is `first`.
    fn create(&self, first: u64) -> io::Result<Segment>;
    /// Replaces the copy of the last checkpoint.
    fn replace_head(&self, line: &[u8]) -> io::Result<()>;
}

/// A folder of segments, held by one writer.
pub(super) struct Folder {
    path: PathBuf,
    /// Held for as long as the folder is written; released with the process, however it ends.
    _lock: File,
}

/// Where the log goes on.
pub(super) struct Resumption {
    /// Its last record.
    pub(super) head: Head,
    /// The first record of the last segment.
    pub(super) last_segment: Option<u64>,
    /// What a crash left of a record: [`Event::SegmentTorn`].
    pub(super) torn: Option<Event>,
}

impl Folder {
    /// Takes the folder, making it if need be (mode 0700), and finds where the log goes on.
    /// A last line that a crash cut off is set aside in a file beside its segment.
    pub(super) fn open(path: &Path) -> Result<(Self, Resumption), OpenError> {
        let io = |source| io_error(path, source);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io)?;
        let lock = take_lock(path)?;
        let resumption = resume(path)?;
        let folder = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        Ok((folder, resumption))
    }
}

impl Volume for Folder {
    fn create(&self, first: u64) -> io::Result<Segment> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.path.join(FileKind::Raw.name(first)))?;
        // So that the name survives a loss of power with what is synced into the file.
        File::open(&self.path)?.sync_all()?;
        // A segment that was begun and got no record before a crash is simply taken again.
        let len = file.metadata()?.len();
        Ok(Segment::new(Box::new(file), len))
    }

    fn replace_head(&self, line: &[u8]) -> io::Result<()> {
        let new = self.path.join("HEAD.new");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(line)?;
        fs::rename(new, self.path.join(HEAD))
    }
}

fn io_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io {
        path: path.to_owned(),
        source,
    }
}

fn take_lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK);
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|source| io_error(&path, source))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(OpenError::InUse(folder.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(io_error(&path, source)),
    }
}

/// The segments of a folder, by the sequence of their first record, in order. A segment that is
/// just being sealed may be there in both forms: then as raw.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<(u64, FileKind)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let file = name.to_str().and_then(FileKind::parse);
        segments.extend(file.filter(|(_, kind)| *kind != FileKind::Index));
    }
    segments.sort_unstable();
    segments.dedup_by_key(|(first, _)| *first);
    Ok(segments)
}

/// Where the log goes on.
fn resume(folder: &Path) -> Result<Resumption, OpenError> {
    let segments = segments(folder).map_err(|source| io_error(folder, source))?;
    let Some((&last, before)) = segments.split_last() else {
        return Ok(Resumption {
            head: Head::START,
            last_segment: None,
            torn: None,
        });
    };
    let (head, torn) = end_of(folder, last)?;
    let (head, last_segment) = match (head, before.last()) {
        (Some(head), _) => (head, Some(last.0)),
        // Begun, and then nothing came into it.
        (None, Some(&before)) => {
            let head = end_of(folder, before)?.0;
            (head.unwrap_or(Head::START), Some(before.0))
        }
        (None, None) => (Head::START, None),
    };
    Ok(Resumption {
        head,
        last_segment,
        torn,
    })
}

/// A segment's last record, if it has one, and what a crash left of another.
fn end_of(
    folder: &Path,
    (first, kind): (u64, FileKind),
) -> Result<(Option<Head>, Option<Event>), OpenError> {
    if kind == FileKind::Raw {
        return end_of_raw(&folder.join(FileKind::Raw.name(first)));
    }
    let path = folder.join(FileKind::Index.name(first));
    let index = Index::load(&path).map_err(|source| io_error(&path, source))?;
    Ok((Some(index.last), None))
}

fn end_of_raw(path: &Path) -> Result<(Option<Head>, Option<Event>), OpenError> {
    let io = |source| io_error(path, source);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    let (whole, line) = last_line(&mut file, len).map_err(io)?;
    let torn = match whole < len {
        true => Some(set_aside(&mut file, path, whole).map_err(io)?),
        false => None,
    };
    if line.is_empty() {
        return Ok((None, torn));
    }
    let record: Record =
        serde_json::from_slice(&line).map_err(|_| OpenError::Malformed(path.to_owned()))?;
    let head = Head {
        seq: record.seq,
        hash: Hash::of(&line),
    };
    Ok((Some(head), torn))
}

/// Where the last whole line ends, and that line.
fn last_line(file: &mut File, len: u64) -> io::Result<(u64, Vec<u8>)> {
    // Read backwards in growing steps until two line ends, or the beginning, are in sight.
    let mut step = 64 * 1024;
    loop {
        let start = len.saturating_sub(step);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.take(len - start).read_to_end(&mut tail)?;
        let end = memchr::memrchr(b'\n', &tail);
        let before = end.and_then(|end| memchr::memrchr(b'\n', &tail[..end]));
        match (end, before) {
            (Some(end), Some(before)) => {
                return Ok((start + end as u64 + 1, tail[before + 1..end].to_vec()));
            }
            (Some(end), None) if start == 0 => {
                return Ok((end as u64 + 1, tail[..end].to_vec()));
            }
            (None, _) if start == 0 => return Ok((0, Vec::new())),
            _ => step *= 4,
        }
    }
}

/// Moves what follows the last whole line into a file of its own: evidence is not thrown away.
fn set_aside(file: &mut File, path: &Path, whole: u64) -> io::Result<Event> {
    let mut torn = Vec::new();
    file.seek(SeekFrom::Start(whole))?;
    file.read_to_end(&mut torn)?;
    let aside = path.with_extension("torn");
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&aside)?
        .write_all(&torn)?;
    file.set_len(whole)?;
    let name = aside.file_name().unwrap_or_default().to_string_lossy();
    Ok(Event::SegmentTorn {
        file: name.into_owned(),
        bytes: torn.len() as u64,
        sha256: hex(&sha256(&torn)),
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::Batch;
    use super::*;

    fn lines(head: &mut Head, count: usize) -> Vec<u8> {
        let mut lines = Vec::new();
        for _ in 0..count {
            Batch::of(Timestamp::UNIX_EPOCH, &Event::Stopped).link(head, &mut lines);
        }
        lines
    }

    fn reopen(folder: &Path) -> Head {
        Folder::open(folder).unwrap().1.head
    }

    #[test]
    fn a_folder_goes_on_after_its_last_whole_record() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(reopen(dir.path()), Head::START);
        let (folder, _) = Folder::open(dir.path()).unwrap();
        let mut head = Head::START;
        let lines = lines(&mut head, 2);
        folder.create(1).unwrap().append(&lines, true).unwrap();
        drop(folder);
        assert_eq!(reopen(dir.path()), head);
    }

    #[test]
    fn a_segment_without_a_record_goes_on_after_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut head = Head::START;
        let path = |first| dir.path().join(FileKind::Raw.name(first));
        fs::write(path(1), lines(&mut head, 2)).unwrap();
        fs::write(path(3), b"").unwrap();
        assert_eq!(reopen(dir.path()), head);
        fs::write(path(3), b"{\"v\":1,\"se").unwrap();
        let (_, resumption) = Folder::open(dir.path()).unwrap();
        let place = (resumption.head, resumption.last_segment);
        assert_eq!(
            place,
            (head, Some(1)),
            "what opens next is behind segment 1"
        );
    }

    #[test]
    fn a_torn_last_line_is_set_aside_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FileKind::Raw.name(1));
        let mut head = Head::START;
        let whole = lines(&mut head, 1);
        fs::write(&path, [&whole[..], b"{\"v\":1,\"se"].concat()).unwrap();
        let (_, resumption) = Folder::open(dir.path()).unwrap();
        assert_eq!(resumption.head, head);
        assert!(matches!(
            resumption.torn,
            Some(Event::SegmentTorn { bytes: 10, .. })
        ));
        assert_eq!(fs::read(&path).unwrap(), whole);
        assert_eq!(
            fs::read_to_string(path.with_extension("torn")).unwrap(),
            "{\"v\":1,\"se"
        );
    }

    #[test]
    fn a_folder_has_one_writer() {
        let dir = tempfile::tempdir().unwrap();
        let _held = Folder::open(dir.path()).unwrap();
        assert!(matches!(Folder::open(dir.path()), Err(OpenError::InUse(_))));
    }

    #[test]
    fn a_last_line_that_is_no_record_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FileKind::Raw.name(1)), "{}\n").unwrap();
        assert!(matches!(
            Folder::open(dir.path()),
            Err(OpenError::Malformed(_))
        ));
    }
}
