//! Segments: files of records, one JSON object a line, named by the sequence of their first.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Event, Record};
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

/// A folder of segments, held by one writer.
pub(super) struct Folder {
    path: PathBuf,
    /// Held for as long as the folder is written; released with the process, however it ends.
    _lock: File,
}

/// Where the sequence goes on.
pub(super) struct Resumption {
    /// The sequence of the next record.
    pub(super) next: u64,
    /// What a crash left of a record: [`Event::SegmentTorn`].
    pub(super) torn: Option<Event>,
}

/// The segment that is written now.
pub(super) struct Segment {
    file: File,
    /// Bytes of whole records.
    len: u64,
    /// A write failed and what it left could not be cut off.
    torn: bool,
}

impl Folder {
    /// Takes the folder, making it if need be (mode 0700), and finds where the sequence goes on.
    /// A last line that a crash cut off is set aside in a file beside its segment.
    pub(super) fn open(path: &Path) -> Result<(Self, Resumption), OpenError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io(path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(OpenError::InUse(path.to_owned())),
            Err(fs::TryLockError::Error(source)) => return Err(io(&lock_path)(source)),
        }
        let resumption = match list(path).map_err(io(path))?.last() {
            Some((first, last_segment)) => resume(last_segment, *first)?,
            None => Resumption {
                next: 1,
                torn: None,
            },
        };
        let folder = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        Ok((folder, resumption))
    }

    /// Starts the segment whose first record is `first`.
    pub(super) fn create(&self, first: u64) -> io::Result<Segment> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.path.join(file_name(first)))?;
        // A segment that was begun and got no record before a crash is simply taken again.
        let len = file.metadata()?.len();
        Ok(Segment {
            file,
            len,
            torn: false,
        })
    }
}

impl Segment {
    /// Bytes of whole records.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Hands `lines` to the kernel, all or nothing: what a failed write leaves is cut off.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.cut()?;
        }
        match self.file.write_all(lines) {
            Ok(()) => {
                self.len += lines.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.torn = true;
                // If this fails too, the next append tries again before it writes.
                let _ = self.cut();
                Err(error)
            }
        }
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.len)?;
        self.torn = false;
        Ok(())
    }
}

/// `00000000000000000001.jsonl`: sorts as the sequence does.
fn file_name(first: u64) -> String {
    format!("{first:020}.jsonl")
}

/// The segments of a folder with the sequence of their first record, in order.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let first = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(".jsonl")?.parse().ok());
        if let Some(first) = first {
            segments.push((first, path));
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// Where the sequence goes on after the segment at `path`.
fn resume(path: &Path, first: u64) -> Result<Resumption, OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    let (whole, last_line) = last_line(&mut file, len).map_err(io)?;
    let torn = match whole < len {
        true => Some(set_aside(&mut file, path, whole).map_err(io)?),
        false => None,
    };
    if last_line.is_empty() {
        return Ok(Resumption { next: first, torn });
    }
    serde_json::from_slice::<Record>(&last_line)
        .map(|record| Resumption {
            next: record.seq + 1,
            torn,
        })
        .map_err(|_| OpenError::Malformed(path.to_owned()))
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
    use super::*;

    fn line(seq: u64) -> String {
        let record = Record {
            v: 1,
            seq,
            at: jiff::Timestamp::UNIX_EPOCH,
            event: Event::Stopped,
        };
        serde_json::to_string(&record).unwrap() + "\n"
    }

    fn reopen(folder: &Path) -> u64 {
        Folder::open(folder).unwrap().1.next
    }

    #[test]
    fn a_folder_goes_on_after_its_last_whole_record() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(reopen(dir.path()), 1);
        let (folder, _) = Folder::open(dir.path()).unwrap();
        folder
            .create(1)
            .unwrap()
            .append((line(1) + &line(2)).as_bytes())
            .unwrap();
        drop(folder);
        assert_eq!(reopen(dir.path()), 3);
    }

    #[test]
    fn a_torn_last_line_is_set_aside_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(file_name(1));
        fs::write(&path, line(1) + "{\"v\":1,\"se").unwrap();
        let (_, resumption) = Folder::open(dir.path()).unwrap();
        assert_eq!(resumption.next, 2);
        assert!(matches!(
            resumption.torn,
            Some(Event::SegmentTorn { bytes: 10, .. })
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), line(1));
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
        fs::write(dir.path().join(file_name(1)), "{}\n").unwrap();
        assert!(matches!(
            Folder::open(dir.path()),
            Err(OpenError::Malformed(_))
        ));
    }
}
