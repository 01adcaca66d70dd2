//! What a hallpass that died left open: the next one closes it, with an outcome that nobody knows.

use std::io;
use std::path::Path;

use super::archive::Archive;
use super::folder::OpenError;
use super::open::Open;
use super::source::Directory;
use super::{Batch, Event, seal};
use crate::clock::Clock;

/// The records that a start begins with: of a torn line, and of what was left open.
pub(super) fn left_behind(
    folder: &Path,
    torn: &[Event],
    clock: &Clock,
) -> Result<Batch, OpenError> {
    let open = open_at_end(folder).map_err(|source| OpenError::Io {
        path: folder.to_owned(),
        source,
    })?;
    let mut batch = Batch::new(clock.now());
    for torn in torn {
        batch.push(torn);
    }
    for event in open.closing() {
        batch.push(&event);
    }
    Ok(batch)
}

/// What is open after the last record.
fn open_at_end(folder: &Path) -> io::Result<Open> {
    let archive = Archive::open(Box::new(Directory(folder.to_owned())))?;
    seal::open_after(&archive, folder, archive.segments())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::files::FileKind;
    use super::super::folder::Folder;
    use super::super::index::Index;
    use super::super::testing::{finished, lines, origin, started};
    use super::super::{Flow, Hash, Head};
    use super::*;

    /// A log of one sealed segment of two frames, in which a connection with a statement is open.
    /// Returns the last record of each frame.
    fn sealed(folder: &Path) -> [Head; 2] {
        let origin = origin(1, 1);
        let opened = Event::ConnectionOpened {
            origin: origin.clone(),
            peer: "192.0.2.1:50000".into(),
            application_name: "psql".into(),
            startup: Vec::new(),
            tls: None,
        };
        let long = "x".repeat(1 << 20);
        let events = [
            opened,
            started(&origin, 1, &long),
            finished(&origin, 1, 0),
            started(&origin, 2, "select 2"),
        ];
        let mut head = Head::START;
        let mut all = lines(&mut head, &events[..2]);
        let first = head;
        all.extend(lines(&mut head, &events[2..]));
        fs::write(folder.join(FileKind::Raw.name(1)), all).unwrap();
        let flow = Flow::default();
        flow.advance(head.seq + 1);
        assert_eq!(seal::seal_complete(folder, &flow).unwrap().sealed, [1]);
        [first, head]
    }

    /// Where the log goes on, and how many records that begins with.
    fn resumed(folder: &Path) -> (Head, u64) {
        let (_, resumption) = Folder::open(folder).unwrap();
        let left = left_behind(folder, &resumption.torn, &Clock::system());
        (resumption.head, left.unwrap().records())
    }

    #[test]
    fn an_index_that_is_not_its_segments_is_not_gone_by() {
        let wrong: [fn(&mut Index, Head); 4] = [
            |index, _| index.last.hash = Hash::of(b"another"),
            |index, _| index.last.seq += 1,
            |index, _| index.frames.clear(),
            // It says that the log ends with the first frame.
            |index, first| {
                index.frames.pop();
                index.last = first;
            },
        ];
        let dir = tempfile::tempdir().unwrap();
        let [first, head] = sealed(dir.path());
        let path = dir.path().join(FileKind::Index.name(1));
        let index = Index::load(&path).unwrap();
        assert_eq!(index.frames.len(), 2);
        assert_eq!(resumed(dir.path()), (head, 2));
        for wrong in wrong {
            let mut index = index.clone();
            wrong(&mut index, first);
            index.open = Open::default();
            fs::write(&path, serde_json::to_vec(&index).unwrap()).unwrap();
            assert_eq!(resumed(dir.path()), (head, 2), "{:?}", index.last);
        }
        fs::write(&path, "{").unwrap();
        assert_eq!(resumed(dir.path()), (head, 2));
        fs::remove_file(&path).unwrap();
        assert_eq!(resumed(dir.path()), (head, 2));
    }
}
