//! The files in a log's folder or bucket.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// Held by the one who writes.
pub(super) const LOCK: &str = "lock";
/// A copy of the last checkpoint's line.
pub(super) const HEAD: &str = "HEAD";

/// A file that holds, or describes, a segment: named by the sequence of the segment's first record,
/// so that names sort as the sequence does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// Lines as they were written.
    Raw,
    /// The same, compressed.
    Sealed,
    /// What a sealed segment holds, and where.
    Index,
}

impl FileKind {
    const ALL: [Self; 3] = [Self::Raw, Self::Sealed, Self::Index];

    fn suffix(self) -> &'static str {
        match self {
            Self::Raw => ".jsonl",
            Self::Sealed => ".jsonl.zst",
            Self::Index => ".index.json",
        }
    }

    /// The name of this file of the segment whose first record is `first`.
    pub fn name(self, first: u64) -> String {
        format!("{first:020}{}", self.suffix())
    }

    /// What a file of this name is.
    pub fn parse(name: &str) -> Option<(u64, Self)> {
        let digits = name.get(..20)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let kind = Self::ALL
            .into_iter()
            .find(|it| it.suffix() == &name[20..])?;
        Some((digits.parse().ok()?, kind))
    }
}

/// Opens a file to be read, if it is one: whoever can write to the folder could put a pipe there,
/// which would be waited for without end.
///
/// # Errors
/// If it is none, or cannot be opened.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new();
    let file = file.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let file = file.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => {
            let what = format!("{} is not a file", path.display());
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::super::Head;
    use super::super::source::{self, Directory};
    use super::super::verify::{Demands, verify};
    use super::*;

    #[test]
    fn a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join(FileKind::Raw.name(1));
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        mkfifo(&dir.path().join(HEAD), Mode::S_IRWXU).unwrap();
        assert!(open_regular(&pipe).is_err());
        assert!(open_regular(dir.path()).is_err());
        let folder: Box<dyn source::Source> = Box::new(Directory(dir.path().to_owned()));
        for source in [folder, source::open(pipe.to_str().unwrap()).unwrap()] {
            let report = verify(source, &Demands::default(), &mut |_| {});
            let refused = report.map(|report| report.sound).unwrap_err();
            assert!(refused.to_string().contains("is not a file"), "{refused}");
        }
        let mut follower = super::super::follow::Follower::new(dir.path(), Head::START.seq + 1);
        assert!(follower.read(2, 1).is_err());
    }

    #[test]
    fn names_are_read_back_and_others_are_not_taken_for_them() {
        for kind in FileKind::ALL {
            assert_eq!(FileKind::parse(&kind.name(42)), Some((42, kind)));
        }
        for other in [
            "HEAD",
            "lock",
            "1.jsonl",
            "00000000000000000001.jsonl.tmp",
            "0000000000000000000é.jsonl",
        ] {
            assert_eq!(FileKind::parse(other), None, "{other}");
        }
    }
}
