//! One session's records, and its statements, from as little of the log as has them.

use std::io;

use super::archive::{Archive, Stored};
use super::files::FileKind;
use super::join::Joiner;
use super::layout::{Layout, PieceReader};
use super::line::lines;
use super::reader::ReadError;
use super::{Record, Statement};
use crate::access::SessionId;

/// The records that are about a session, in order.
pub fn session_records(
    archive: &Archive,
    session: SessionId,
) -> impl Iterator<Item = Result<Record, ReadError>> {
    let segments = archive.segments().iter();
    segments.flat_map(move |segment| match of_segment(archive, segment, session) {
        Ok(records) => records,
        Err(source) => vec![Err(ReadError::Io {
            file: segment.file(),
            source,
        })],
    })
}

/// The statements of a session, in the order of their starts. Those that run still, or whose ends
/// are not in the log, come last.
pub fn session_statements(
    archive: &Archive,
    session: SessionId,
) -> impl Iterator<Item = Result<Statement, ReadError>> {
    let mut records = session_records(archive, session);
    let mut joiner = Some(Joiner::default());
    let mut rest = Vec::new().into_iter();
    std::iter::from_fn(move || {
        while let Some(joining) = &mut joiner {
            if let Some(statement) = joining.ready() {
                return Some(Ok(statement));
            }
            match records.next() {
                Some(Ok(record)) => joining.take(&record),
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    let left: Vec<Statement> = joiner.take()?.finish().collect();
                    rest = left.into_iter();
                }
            }
        }
        rest.next().map(Ok)
    })
}

type Records = Vec<Result<Record, ReadError>>;

fn of_segment(archive: &Archive, segment: &Stored, session: SessionId) -> io::Result<Records> {
    let id = session.to_string();
    if !may_have(archive, segment, &id)? {
        return Ok(Vec::new());
    }
    let layout = Layout::of(archive, segment, true)?;
    let frames = layout
        .index
        .as_ref()
        .and_then(|it| it.sessions.get(&session));
    let finder = memchr::memmem::Finder::new(&id);
    let mut reader = PieceReader::default();
    let (mut records, mut bytes) = (Vec::new(), Vec::new());
    for number in layout.pieces_in(frames) {
        let Some(piece) = layout.pieces.get(number) else {
            continue;
        };
        reader.read(archive, segment, piece, &mut bytes)?;
        let with_id = lines(&bytes).filter(|line| finder.find(line).is_some());
        let parsed = with_id.map(|line| {
            serde_json::from_slice(line).map_err(|source| ReadError::Garbled {
                file: segment.file(),
                source,
            })
        });
        records.extend(parsed.filter(|it| it.as_ref().map_or(true, |it| is_of(it, session))));
    }
    Ok(records)
}

fn is_of(record: &Record, session: SessionId) -> bool {
    record.event.about().session == Some(session)
}

/// Whether a segment's index, if it has one, names the session at all: quicker than reading it.
fn may_have(archive: &Archive, segment: &Stored, id: &str) -> io::Result<bool> {
    if segment.kind == FileKind::Raw {
        return Ok(true);
    }
    match archive.source().read(&FileKind::Index.name(segment.first)) {
        Ok(index) => Ok(memchr::memmem::find(&index, id.as_bytes()).is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
