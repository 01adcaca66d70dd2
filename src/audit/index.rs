//! What a sealed segment holds, and where: so that readers open only what they need. An index
//! speeds reading up and proves nothing; `verify` makes it anew and compares.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::line::{Line, LineOrigin};
use super::open::Open;
use super::shown::is_plain;
use super::{Hash, Head, Record};
use crate::access::{ConnectionId, PrincipalName, SessionId, TargetName};

/// The version of the index's format.
pub(super) const VERSION: u32 = 1;

/// Connections that are kept in mind while an index is made.
const MOST_KNOWN: usize = 10_000;

/// A sealed segment's index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// The format's version.
    pub v: u32,
    /// The sequence of the first record.
    pub first: u64,
    /// The last record.
    pub last: Head,
    /// When the first record was made.
    pub first_at: Timestamp,
    /// When the last record was made.
    pub last_at: Timestamp,
    /// Bytes of the lines.
    pub bytes: u64,
    /// The zstd frames; each holds whole lines.
    pub frames: Vec<Frame>,
    /// The frames with records of each session.
    pub sessions: BTreeMap<SessionId, Frames>,
    /// The frames with records of each principal.
    pub principals: BTreeMap<PrincipalName, Frames>,
    /// The frames with records of each target.
    pub targets: BTreeMap<TargetName, Frames>,
    /// What was open after the last record.
    pub open: Open,
}

/// A zstd frame of a sealed segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Where it begins in the compressed file.
    pub offset: u64,
    /// Its compressed bytes.
    pub compressed: u64,
    /// The SHA-256 of those.
    pub sha256: Hash,
    /// Its bytes.
    pub bytes: u64,
    /// The sequence of its first record.
    pub first: u64,
    /// When its first record was made.
    pub at: Timestamp,
    /// Whether every statement that starts in it has its text and its parameters there, readable:
    /// who looks for a text needs to look at no line that does not have it.
    #[serde(default)]
    pub plain: bool,
}

/// Numbers of frames, from 0, as ranges: `[[0,3],[7,7]]` is 0, 1, 2, 3 and 7.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Frames(Vec<(u32, u32)>);

impl Frames {
    pub(super) fn add(&mut self, frame: u32) {
        match self.0.last_mut() {
            Some((_, last)) if *last == frame => {}
            Some((_, last)) if last.checked_add(1) == Some(frame) => *last = frame,
            _ => self.0.push((frame, frame)),
        }
    }

    /// Whether each number is there once, in order, and all are below `end`.
    fn rise_below(&self, end: usize) -> bool {
        let mut next = 0;
        self.0.iter().all(|&(first, last)| {
            let rises = next <= u64::from(first) && first <= last;
            next = u64::from(last) + 1;
            rises && (last as usize) < end
        })
    }

    /// The numbers, rising.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }
}

impl Index {
    /// Reads an index file.
    ///
    /// # Errors
    /// If it cannot be read or is not an index of this version.
    pub fn load(path: &Path) -> io::Result<Self> {
        Self::parse(&fs::read(path)?)
    }

    /// Reads an index from a file's bytes.
    ///
    /// # Errors
    /// If it is not an index of this version.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        let index: Self = serde_json::from_slice(bytes)?;
        if index.v != VERSION {
            let message = format!("an index of version {}, expected {VERSION}", index.v);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        if !index.names_its_frames_only() {
            let message = "an index that names frames that there are not";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(index)
    }

    /// Who can write to the folder is not to have readers count to four billion.
    fn names_its_frames_only(&self) -> bool {
        let sessions = self.sessions.values();
        let principals = self.principals.values();
        let mut all = sessions.chain(principals).chain(self.targets.values());
        all.all(|frames| frames.rise_below(self.frames.len()))
    }

    /// How many records the segment has.
    pub fn records(&self) -> u64 {
        let behind = self.last.seq.saturating_add(1);
        behind.saturating_sub(self.first)
    }
}

/// Makes an index while a segment's lines go by.
pub(super) struct Indexer {
    index: Index,
    head: Head,
    /// Whose lines have gone by, by the connection as it is written.
    known: HashMap<Vec<u8>, Known>,
}

/// Whose connection it is, as that is written.
struct Known {
    connection: ConnectionId,
    session: Vec<u8>,
    principal: Vec<u8>,
    target: Vec<u8>,
    /// The frame for which this is in the index.
    frame: u32,
}

/// What a line tells without being read as JSON.
struct Glance<'a> {
    seq: u64,
    statement: u64,
    finished: bool,
    origin: LineOrigin<'a>,
}

impl<'a> Glance<'a> {
    /// Of a line of a statement's start or end, which nearly all are.
    fn of(line: &'a [u8]) -> Option<Self> {
        let line = Line::of(line)?;
        let finished = match line.kind {
            b"statement_started" => false,
            b"statement_finished" => true,
            _ => return None,
        };
        let origin = line.origin().filter(|it| it.statement > 0)?;
        Some(Self {
            seq: line.seq,
            statement: origin.statement,
            finished,
            origin,
        })
    }

    fn is_of(&self, known: &Known) -> bool {
        let LineOrigin {
            session,
            principal,
            target,
            ..
        } = self.origin;
        (session, principal, target) == (&known.session, &known.principal, &known.target)
    }
}

impl Indexer {
    /// For a segment after which `before` is open, whose first record is `first`.
    pub(super) fn new(first: u64, open: Open) -> Self {
        let index = Index {
            v: VERSION,
            first,
            last: Head::START,
            first_at: Timestamp::UNIX_EPOCH,
            last_at: Timestamp::UNIX_EPOCH,
            bytes: 0,
            frames: Vec::new(),
            sessions: BTreeMap::new(),
            principals: BTreeMap::new(),
            targets: BTreeMap::new(),
            open,
        };
        Self {
            index,
            head: Head::START,
            known: HashMap::new(),
        }
    }

    /// Takes note of a frame of whole lines that is `compressed` in the file.
    pub(super) fn frame(&mut self, lines: &[u8], compressed: &[u8]) -> io::Result<()> {
        let offset = self
            .index
            .frames
            .last()
            .map_or(0, |f| f.offset.saturating_add(f.compressed));
        let number = u32::try_from(self.index.frames.len()).map_err(io::Error::other)?;
        let (mut first, mut last) = (None, None);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let seq = match self.glance(number, line) {
                Some(seq) => seq,
                None => self.read(number, line)?,
            };
            self.head.seq = seq;
            first.get_or_insert(line);
            last = Some(line);
        }
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(());
        };
        self.head.hash = Hash::of(last);
        let first = self.parse(first)?;
        if number == 0 {
            self.index.first_at = first.at;
        }
        self.index.last_at = self.parse(last)?.at;
        self.index.bytes += lines.len() as u64;
        self.index.frames.push(Frame {
            offset,
            compressed: compressed.len() as u64,
            sha256: Hash::of(compressed),
            bytes: lines.len() as u64,
            first: first.seq,
            at: first.at,
            plain: is_plain(lines),
        });
        Ok(())
    }

    /// Takes note of a line that can be understood at a glance; its sequence, if it can.
    fn glance(&mut self, frame: u32, line: &[u8]) -> Option<u64> {
        // What is damaged behind the beginning is to be read as JSON, and found out.
        let has_control = line.iter().fold(false, |has, byte| has | (*byte < b' '));
        if has_control || !line.ends_with(b"}") {
            return None;
        }
        let glance = Glance::of(line)?;
        if glance.seq != self.head.seq + 1 {
            return None;
        }
        let known = self.known.get_mut(glance.origin.connection)?;
        if known.frame != frame || !glance.is_of(known) {
            return None;
        }
        let (open, connection) = (&mut self.index.open, &known.connection);
        match glance.finished {
            true => open.finished(connection, glance.statement),
            false => open.begun(connection, glance.statement),
        };
        Some(glance.seq)
    }

    /// Takes note of any other line; its sequence.
    fn read(&mut self, frame: u32, line: &[u8]) -> io::Result<u64> {
        let record = self.parse(line)?;
        self.record(frame, &record);
        if let (Some(glance), Some(origin)) = (Glance::of(line), record.event.origin()) {
            let known = Known {
                connection: origin.connection,
                session: glance.origin.session.to_vec(),
                principal: glance.origin.principal.to_vec(),
                target: glance.origin.target.to_vec(),
                frame,
            };
            if self.known.len() >= MOST_KNOWN {
                self.known.clear();
            }
            self.known.insert(glance.origin.connection.to_vec(), known);
        }
        Ok(record.seq)
    }

    fn parse(&self, line: &[u8]) -> io::Result<Record> {
        // serde_json's own words may quote the line, and this may get into a log.
        serde_json::from_slice(line).map_err(|_| {
            let what = format!("what follows record {} is not a record", self.head.seq);
            io::Error::new(io::ErrorKind::InvalidData, what)
        })
    }

    fn record(&mut self, frame: u32, record: &Record) {
        let about = record.event.about();
        if let Some(session) = about.session {
            self.index.sessions.entry(session).or_default().add(frame);
        }
        for principal in about.principals.into_iter().flatten() {
            add(&mut self.index.principals, principal, frame);
        }
        if let Some(target) = about.target {
            add(&mut self.index.targets, target, frame);
        }
        self.index.open.note(&record.event);
    }

    /// The index; `None` if there was no record.
    pub(super) fn finish(mut self) -> Option<Index> {
        self.index.last = self.head;
        (!self.index.frames.is_empty()).then_some(self.index)
    }
}

/// Adds without cloning a name that is there already.
pub(super) fn add<K: Ord + Clone>(map: &mut BTreeMap<K, Frames>, name: &K, frame: u32) {
    match map.get_mut(name) {
        Some(frames) => frames.add(frame),
        None => map.entry(name.clone()).or_default().add(frame),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Event;
    use super::super::testing::{lines, origin, started};
    use super::*;

    #[test]
    fn an_index_is_not_believed_that_names_frames_that_there_are_not() {
        let mut indexer = Indexer::new(1, Open::default());
        let origin = origin(1, 1);
        let mut head = Head::START;
        for events in [[Event::Stopped], [started(&origin, 1, "select 1")]] {
            indexer.frame(&lines(&mut head, &events), b"zstd").unwrap();
        }
        let index = indexer.finish().unwrap();
        let session = *index.sessions.keys().next().unwrap();
        let parsed = |frames: &[(u32, u32)]| {
            let mut index = index.clone();
            index.sessions.insert(session, Frames(frames.to_vec()));
            Index::parse(&serde_json::to_vec(&index).unwrap())
        };
        for frames in [&[(1, 1)][..], &[(0, 1)], &[(0, 0), (1, 1)]] {
            assert!(parsed(frames).is_ok(), "{frames:?}");
        }
        for frames in [
            &[(0, u32::MAX)][..],
            &[(2, 2)],
            &[(1, 0)],
            &[(0, 1), (1, 1)],
        ] {
            let refused = parsed(frames).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{frames:?}");
        }
    }
}
