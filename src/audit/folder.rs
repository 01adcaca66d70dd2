//! The folder that the one writer holds: where the log goes on, and the files that it grows by.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::durable::{make_folder, remove, sync_folder};
use super::files::{FileKind, HEAD, LOCK};
use super::resumption::{Resumption, resume};
use super::segment::Segment;

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
    /// There are segments, and no record in any of them.
    #[error("the audit folder {} has segments, but no record in any of them; move it away only after finding out why", .0.display())]
    Empty(PathBuf),
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

impl Folder {
    /// Takes the folder, making it if need be (mode 0700), and finds where the log goes on.
    /// Last lines that a crash cut off are set aside in files beside their segments.
    pub(super) fn open(path: &Path) -> Result<(Self, Resumption), OpenError> {
        make_folder(path).map_err(|source| io_error(path, source))?;
        let lock = take_lock(path)?;
        let resumption = resume(path)?;
        let folder = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        Ok((folder, resumption))
    }

    /// Whether a segment has records.
    fn has(&self, first: u64) -> io::Result<bool> {
        let path = |kind: FileKind| self.path.join(kind.name(first));
        match fs::metadata(path(FileKind::Raw)) {
            Ok(raw) if raw.len() > 0 => return Ok(true),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        path(FileKind::Sealed).try_exists()
    }
}

impl Volume for Folder {
    fn create(&self, first: u64) -> io::Result<Segment> {
        let path = self.path.join(FileKind::Raw.name(first));
        // What is there of records is never written over, nor behind.
        if self.has(first)? {
            let message = format!("the audit has a segment {first} already");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        // One may have been begun and got no record, because of a crash, or because its first fsync
        // failed: what the kernel says of that file proves nothing any more, so this is another.
        remove(&path)?;
        let mut file = OpenOptions::new();
        let file = file.create_new(true).append(true).mode(0o600).open(path)?;
        // So that the name survives a loss of power with what is synced into the file.
        sync_folder(&self.path)?;
        Ok(Segment::new(Box::new(file)))
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

/// For `map_err`: what went wrong at `path`.
pub(super) fn io_error(path: &Path, source: io::Error) -> OpenError {
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use jiff::Timestamp;

    use super::super::{Batch, Event, Flow, Head, seal};
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
    fn several_segments_without_a_record_hide_nothing_and_are_not_written_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mut head = Head::START;
        let path = |first| dir.path().join(FileKind::Raw.name(first));
        fs::write(path(1), lines(&mut head, 2)).unwrap();
        fs::write(path(3), b"{\"v\":1,\"se").unwrap();
        fs::write(path(9), b"{\"v\"").unwrap();
        let (folder, resumption) = Folder::open(dir.path()).unwrap();
        assert_eq!(resumption.head, head);
        assert_eq!(resumption.torn.len(), 2, "both pieces are on record");
        assert!(path(3).exists() && !path(9).exists());
        assert!(folder.create(3).is_ok());
        let there = folder.create(1).map(|_| ()).unwrap_err();
        assert_eq!(there.kind(), io::ErrorKind::AlreadyExists);
        drop(folder);
        fs::write(path(1), b"").unwrap();
        assert!(matches!(Folder::open(dir.path()), Err(OpenError::Empty(_))));
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
            resumption.torn[..],
            [Event::SegmentTorn { bytes: 10, .. }]
        ));
        assert_eq!(fs::read(&path).unwrap(), whole);
        assert_eq!(
            fs::read_to_string(path.with_extension("torn")).unwrap(),
            "{\"v\":1,\"se"
        );
    }

    #[test]
    fn a_loss_of_power_may_tear_segments_before_the_last_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = |first| dir.path().join(FileKind::Raw.name(first));
        let mut head = Head::START;
        let middle = lines(&mut head, 3);
        let last = lines(&mut head, 1);
        fs::write(path(1), &middle[..middle.len() - 5]).unwrap();
        fs::write(path(4), last).unwrap();
        let (_, resumption) = Folder::open(dir.path()).unwrap();
        assert_eq!((resumption.head, resumption.last_segment), (head, Some(4)));
        let [Event::SegmentTorn { file, .. }] = &resumption.torn[..] else {
            panic!("{:?}", resumption.torn);
        };
        assert_eq!(*file, "00000000000000000001.torn");
        // What is left of it is whole, and so can be sealed and shipped.
        let flow = Flow::default();
        flow.advance(5);
        assert_eq!(
            seal::seal_complete(dir.path(), &flow).unwrap().sealed,
            [1, 4]
        );
    }

    #[test]
    fn a_segment_that_got_no_record_is_taken_again_as_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, _) = Folder::open(dir.path()).unwrap();
        let path = dir.path().join(FileKind::Raw.name(1));
        // Open still, so that its number in the file system is not given to another.
        let _first = folder.create(1).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        let mut second = folder.create(1).unwrap();
        assert_ne!(fs::metadata(&path).unwrap().ino(), inode);
        second
            .append(&lines(&mut Head::START.clone(), 1), true)
            .unwrap();
        assert!(folder.create(1).is_err());
        assert!(fs::metadata(&path).unwrap().len() > 0);
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
