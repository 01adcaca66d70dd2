//! The folder that the one writer holds: where the log goes on, and the files that it grows by.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::archive::{Archive, Stored};
use super::aside::set_aside;
use super::durable::sync_folder;
use super::files::{FileKind, HEAD, LOCK};
use super::segment::Segment;
use super::source::Directory;
use super::{Event, Hash, Head, Record, seal};

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

/// Where the log goes on.
pub(super) struct Resumption {
    /// Its last record.
    pub(super) head: Head,
    /// The first record of the last segment.
    pub(super) last_segment: Option<u64>,
    /// What a crash left of records: [`Event::SegmentTorn`].
    pub(super) torn: Vec<Event>,
}

impl Folder {
    /// Takes the folder, making it if need be (mode 0700), and finds where the log goes on.
    /// Last lines that a crash cut off are set aside in files beside their segments.
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
        sync_folder(&self.path)?;
        // A segment that was begun and got no record before a crash is simply taken again; what is
        // there of records is never written over, nor behind.
        let sealed = self.path.join(FileKind::Sealed.name(first)).exists();
        if sealed || file.metadata()?.len() > 0 {
            let message = format!("the audit has a segment {first} already");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
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

/// Where the log goes on: behind the last segment that has a record.
fn resume(folder: &Path) -> Result<Resumption, OpenError> {
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

/// Removes segments that were begun and have no record, but for the one that is taken again: a name
/// behind the segment that is written would make it look complete.
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::{Batch, Flow, seal};
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
