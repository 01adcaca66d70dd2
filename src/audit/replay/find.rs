//! Finds sessions in a log, by its indexes where it has them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use jiff::Timestamp;
use memchr::memmem::Finder;
use serde::Serialize;

use super::super::archive::{Archive, Block, Stored};
use super::super::index::{Frames, Index};
use super::super::{Event, Record};
use super::missing::Missing;
use super::story::Story;
use crate::access::{PrincipalName, RequestId, SessionId, TargetName};

/// A part of the log that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {source}")]
pub struct Unread {
    /// The file.
    pub file: String,
    /// What the system said.
    pub source: io::Error,
}

/// A session that the log names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The session.
    pub session: SessionId,
    /// Who holds it.
    pub principal: PrincipalName,
    /// What it opens.
    pub target: TargetName,
    /// When the first record of it was made that is in the log.
    pub at: Timestamp,
}

/// The sessions of the log that `wanted` takes, in the order of their first records.
///
/// # Errors
/// [`Unread`]
pub fn list(archive: &Archive, wanted: &dyn Fn(SessionId) -> bool) -> Result<Vec<Found>, Unread> {
    let mut found: BTreeMap<SessionId, Found> = BTreeMap::new();
    for segment in archive.segments() {
        let blocks = match index(archive, segment)? {
            Some(index) => {
                let new = |id: &SessionId| wanted(*id) && !found.contains_key(id);
                let ids = index.sessions.iter().filter(|(id, _)| new(id));
                let first: BTreeSet<u32> = ids.filter_map(|(_, it)| it.iter().next()).collect();
                frames(archive, segment, &index, first)?
            }
            None => Box::new(archive.blocks(segment)),
        };
        for block in blocks {
            note(&block.map_err(unread(segment))?, wanted, &mut found);
        }
    }
    let mut found: Vec<Found> = found.into_values().collect();
    found.sort_by_key(|it| it.at);
    Ok(found)
}

/// Takes note of the sessions that a block names first.
fn note(block: &Block, wanted: &dyn Fn(SessionId) -> bool, found: &mut BTreeMap<SessionId, Found>) {
    let mark = Finder::new("\"session\":\"");
    for line in block.lines() {
        let named = mark.find(line).and_then(|at| line.get(at + 11..at + 27));
        let named = named.and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
        if named.is_none_or(|id| !wanted(id) || found.contains_key(&id)) {
            continue;
        }
        let Ok(record) = serde_json::from_slice::<Record>(line) else {
            continue;
        };
        let about = record.event.about();
        // Who reads a secret or places a hold is not whose session it is.
        if let (Some(session), [Some(principal), _], Some(target)) =
            (about.session, about.principals, about.target)
        {
            found.entry(session).or_insert_with(|| Found {
                session,
                principal: principal.clone(),
                target: target.clone(),
                at: record.at,
            });
        }
    }
}

/// The story of a session; `None` if the log does not name it.
///
/// # Errors
/// [`Unread`]
pub fn load(archive: &Archive, session: SessionId) -> Result<Option<Story>, Unread> {
    let mut found = Collected::default();
    let mut gaps = Gaps::default();
    let finder = Finder::new(&session.to_string()).into_owned();
    let mut approval = None;
    for (place, segment) in archive.segments().iter().enumerate() {
        let index = index(archive, segment)?;
        gaps.segment(archive, segment, index.as_ref())?;
        let blocks = match &index {
            Some(index) => of_session(archive, segment, index, session)?,
            None => Box::new(archive.blocks(segment)),
        };
        let before = found.records.len();
        for block in blocks {
            found.take(&block.map_err(unread(segment))?, segment, &finder);
        }
        let new = &found.records[before..];
        approval = approval.or_else(|| new.iter().find_map(approved).map(|it| (place, it)));
    }
    if found.records.is_empty() {
        return Ok(None);
    }
    if let Some((place, (request, principal))) = approval {
        found.submission(archive, place, request, &principal)?;
    }
    let mut story = Story::read(session, &found.records);
    let lost = gaps.around(&story, &found.records);
    story.missing.splice(0..0, lost.chain(found.unreadable));
    Ok(Some(story))
}

fn approved(record: &Record) -> Option<(RequestId, PrincipalName)> {
    match &record.event {
        Event::RequestApproved {
            request, principal, ..
        } => Some((*request, principal.clone())),
        _ => None,
    }
}

type Blocks<'a> = Box<dyn Iterator<Item = io::Result<Block>> + 'a>;

fn of_session<'a>(
    archive: &'a Archive,
    segment: &'a Stored,
    index: &Index,
    session: SessionId,
) -> Result<Blocks<'a>, Unread> {
    let numbers = index.sessions.get(&session).map(Frames::iter);
    frames(archive, segment, index, numbers.into_iter().flatten())
}

/// The blocks of these frames.
fn frames<'a>(
    archive: &'a Archive,
    segment: &'a Stored,
    index: &Index,
    numbers: impl IntoIterator<Item = u32>,
) -> Result<Blocks<'a>, Unread> {
    let frame = |number: u32| index.frames.get(number as usize).cloned();
    let frames: Option<Vec<_>> = numbers.into_iter().map(frame).collect();
    let frames = frames.ok_or_else(|| {
        let wrong = io::Error::new(io::ErrorKind::InvalidData, "its index is wrong");
        unread(segment)(wrong)
    })?;
    let blocks = frames.into_iter();
    Ok(Box::new(blocks.map(|it| archive.frame(segment, &it))))
}

fn index(archive: &Archive, segment: &Stored) -> Result<Option<Index>, Unread> {
    archive.index(segment).map_err(unread(segment))
}

fn unread(segment: &Stored) -> impl Fn(io::Error) -> Unread + use<> {
    let file = segment.file();
    move |source| Unread {
        file: file.clone(),
        source,
    }
}

/// Records of one session.
#[derive(Default)]
struct Collected {
    records: Vec<Record>,
    unreadable: Vec<Missing>,
}

impl Collected {
    fn take(&mut self, block: &Block, segment: &Stored, finder: &Finder<'_>) {
        for line in block.lines().filter(|line| finder.find(line).is_some()) {
            match serde_json::from_slice::<Record>(line) {
                // It may only be spoken of: in SQL, or in a reason.
                Ok(record) if is_of(&record, finder.needle()) => self.records.push(record),
                Ok(_) => {}
                Err(error) => self.unreadable.push(Missing::Unreadable {
                    file: segment.file(),
                    error: error.to_string(),
                }),
            }
        }
    }

    /// Looks for the request, which comes before the approval in the segment at `place`.
    fn submission(
        &mut self,
        archive: &Archive,
        place: usize,
        request: RequestId,
        principal: &PrincipalName,
    ) -> Result<(), Unread> {
        let finder = Finder::new(&request.to_string()).into_owned();
        for segment in archive.segments()[..=place].iter().rev() {
            let blocks = match index(archive, segment)? {
                Some(index) => {
                    let numbers = index.principals.get(principal).map(Frames::iter);
                    let numbers = numbers.into_iter().flatten();
                    frames(archive, segment, &index, numbers)?
                }
                None => Box::new(archive.blocks(segment)),
            };
            for block in blocks {
                if let Some(record) = submitted(&block.map_err(unread(segment))?, &finder) {
                    self.records.insert(0, record);
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn submitted(block: &Block, finder: &Finder<'_>) -> Option<Record> {
    let named = block.lines().filter(|line| finder.find(line).is_some());
    let mut records = named.filter_map(|line| serde_json::from_slice::<Record>(line).ok());
    records.find(|record| match &record.event {
        Event::RequestSubmitted { request, .. } => {
            request.to_string().as_bytes() == finder.needle()
        }
        _ => false,
    })
}

fn is_of(record: &Record, session: &[u8]) -> bool {
    let about = record.event.about().session;
    about.is_some_and(|it| it.to_string().as_bytes() == session)
}

/// Records that are not in the log, as the segments' numbers tell.
#[derive(Default)]
struct Gaps {
    gaps: Vec<(u64, u64)>,
    /// The sequence that comes next.
    next: Option<u64>,
}

impl Gaps {
    fn segment(
        &mut self,
        archive: &Archive,
        segment: &Stored,
        index: Option<&Index>,
    ) -> Result<(), Unread> {
        let expected = self.next.unwrap_or(1);
        if segment.first > expected {
            self.gaps.push((expected, segment.first - 1));
        }
        self.next = Some(match index {
            Some(index) => index.last.seq + 1,
            None => segment.first + lines(archive, segment).map_err(unread(segment))?,
        });
        Ok(())
    }

    /// Those in which records of the session may have been.
    fn around(&self, story: &Story, records: &[Record]) -> impl Iterator<Item = Missing> + use<> {
        // The request comes long before the rest.
        let own = records.iter().filter(|it| is_own(&it.event));
        let first = own.map(|record| record.seq).min().unwrap_or(1);
        let last = records.iter().map(|record| record.seq).max().unwrap_or(1);
        let (begun, ended) = (story.approved.is_some(), story.ended.is_some());
        let open = story.connections.iter().any(|it| it.closed.is_none());
        let may_hold = move |(from, to): &(u64, u64)| {
            let before = *to < first && begun;
            let behind = *from > last && ended && !open;
            !before && !behind
        };
        let gaps: Vec<(u64, u64)> = self.gaps.iter().copied().filter(may_hold).collect();
        gaps.into_iter()
            .map(|(first, last)| Missing::Records { first, last })
    }
}

fn is_own(event: &Event) -> bool {
    !matches!(event, Event::RequestSubmitted { .. })
}

fn lines(archive: &Archive, segment: &Stored) -> io::Result<u64> {
    let mut count = 0;
    for block in archive.blocks(segment) {
        count += block?.lines().count() as u64;
    }
    Ok(count)
}
