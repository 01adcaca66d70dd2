//! The records that are about one session, one block of lines at a time.

use std::io;

use memchr::memmem::Finder;

use super::Record;
use super::archive::{Archive, Block, Stored};
use super::index::{Frames, Index};
use super::reader::ReadError;
use crate::access::SessionId;

/// The records that are about a session and behind the record `after`, in order; of sealed segments
/// only what their indexes name is read.
pub fn session_records(
    archive: &Archive,
    session: SessionId,
    after: u64,
) -> impl Iterator<Item = Result<Record, ReadError>> {
    let finder = Finder::new(&session.to_string()).into_owned();
    let segments = archive.segments();
    // The last segment that begins at or before the next record, and all behind it.
    let behind = segments.partition_point(|it| it.first <= after + 1);
    let segments = segments[behind.saturating_sub(1)..].iter();
    let wanted = move |record: &Result<Record, ReadError>| {
        record.as_ref().map_or(true, |record| {
            record.seq > after && record.event.about().session == Some(session)
        })
    };
    segments
        .flat_map(move |segment| {
            blocks(archive, segment, session).map(move |block| (segment, block))
        })
        .flat_map(move |(segment, block)| match block {
            Ok(block) => parse(segment, &block, &finder),
            Err(error) => vec![Err(ReadError::in_segment(segment)(error))],
        })
        .filter(wanted)
}

type Blocks<'a> = Box<dyn Iterator<Item = io::Result<Block>> + 'a>;

fn blocks<'a>(archive: &'a Archive, segment: &'a Stored, session: SessionId) -> Blocks<'a> {
    match archive.index(segment) {
        Ok(None) => Box::new(archive.blocks(segment)),
        Ok(Some(index)) => frames(archive, segment, index, session),
        Err(error) => Box::new(std::iter::once(Err(error))),
    }
}

fn frames<'a>(
    archive: &'a Archive,
    segment: &'a Stored,
    index: Index,
    session: SessionId,
) -> Blocks<'a> {
    let numbers = index.sessions.get(&session).map(Frames::iter);
    let numbers: Vec<u32> = numbers.into_iter().flatten().collect();
    let frame = move |number: u32| match index.frames.get(number as usize) {
        Some(frame) => archive.frame(segment, frame),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "its index is wrong",
        )),
    };
    Box::new(numbers.into_iter().map(frame))
}

fn parse(segment: &Stored, block: &Block, finder: &Finder<'_>) -> Vec<Result<Record, ReadError>> {
    let lines = block.lines().filter(|line| finder.find(line).is_some());
    let parse = |line: &[u8]| serde_json::from_slice(line).map_err(io::Error::from);
    let records = lines.map(parse);
    records
        .map(|it| it.map_err(ReadError::in_segment(segment)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::source::Directory;
    use super::super::testing::{finished, lines, origin, seal_all_but_last, started};
    use super::super::{Event, Head, files::FileKind};
    use super::*;

    #[test]
    fn of_a_log_sealed_or_not_the_sessions_records_are_read_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut head = Head::START;
        let mut expected = Vec::new();
        for segment in 0..4 {
            let first = head.seq + 1;
            let events: Vec<Event> = (0..4)
                .flat_map(|n| {
                    let (number, origin) = (segment * 4 + n, origin(n, n % 2));
                    // The other's text speaks of this one.
                    let sql = format!("select '{}'", SessionId::from_random(1));
                    [started(&origin, number, &sql), finished(&origin, number, 1)]
                })
                .collect();
            let of_it = (first..).zip(&events);
            let of_it = of_it.filter(|(_, event)| event.about().session == Some(id()));
            expected.extend(of_it.map(|(seq, _)| seq));
            let path = dir.path().join(FileKind::Raw.name(first));
            fs::write(path, lines(&mut head, &events)).unwrap();
        }
        for _ in ["raw", "sealed, but the last"] {
            let archive = Archive::open(Box::new(Directory(dir.path().to_owned()))).unwrap();
            let read = |after| -> Vec<u64> {
                let records = session_records(&archive, id(), after);
                records.map(|record| record.unwrap().seq).collect()
            };
            assert_eq!(read(0), expected);
            for after in 1..=head.seq {
                let left = expected.iter().filter(|seq| **seq > after);
                assert_eq!(read(after), left.copied().collect::<Vec<_>>(), "{after}");
            }
            seal_all_but_last(dir.path());
        }
    }

    fn id() -> SessionId {
        SessionId::from_random(1)
    }
}
