//! A segment's index, made anew: one that hides records, or sends readers astray, is found.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use super::super::index::{self, Frame, Index};
use super::super::open::Open;
use super::super::shown::is_plain;
use super::super::{About, Head, Origin};
use super::reading::Lines;
use crate::access::ConnectionId;

/// Makes the index of a segment from what goes by.
pub(super) struct Contents {
    index: Index,
    /// Connections that were noted in the last frame.
    noted: HashSet<ConnectionId>,
}

impl Contents {
    /// Of the segment whose first record is `first`.
    pub(super) fn new(first: u64) -> Self {
        let index = Index {
            v: index::VERSION,
            first,
            last: Head::START,
            first_at: Timestamp::UNIX_EPOCH,
            last_at: Timestamp::UNIX_EPOCH,
            bytes: 0,
            frames: Vec::new(),
            sessions: BTreeMap::new(),
            principals: BTreeMap::new(),
            targets: BTreeMap::new(),
            open: Open::default(),
        };
        let noted = HashSet::new();
        Self { index, noted }
    }

    /// A frame begins, with a record of this number and time.
    pub(super) fn frame(&mut self, lines: &Lines, first: u64, at: Timestamp) {
        let Some(frame) = lines.frame else { return };
        let before = self.index.frames.last();
        let offset = before.map_or(0, |f| f.offset.saturating_add(f.compressed));
        if self.index.frames.is_empty() {
            self.index.first_at = at;
        }
        let bytes = lines.block.bytes.len() as u64;
        self.index.bytes += bytes;
        self.index.frames.push(Frame {
            offset,
            compressed: frame.bytes,
            sha256: frame.sha256,
            bytes,
            first,
            at,
            plain: is_plain(&lines.block.bytes),
        });
        self.noted.clear();
    }

    /// A record of this connection; whether it is the first in its frame.
    pub(super) fn connection(&mut self, origin: &Origin) -> bool {
        let new = self.noted.insert(origin.connection);
        if new {
            self.about(&About {
                session: Some(origin.session),
                principals: [Some(&origin.principal), None],
                target: Some(&origin.target),
            });
        }
        new
    }

    /// A record about these.
    pub(super) fn about(&mut self, about: &About<'_>) {
        let Some(frame) = self.index.frames.len().checked_sub(1) else {
            return;
        };
        let frame = u32::try_from(frame).unwrap_or(u32::MAX);
        if let Some(session) = about.session {
            self.index.sessions.entry(session).or_default().add(frame);
        }
        for principal in about.principals.into_iter().flatten() {
            index::add(&mut self.index.principals, principal, frame);
        }
        if let Some(target) = about.target {
            index::add(&mut self.index.targets, target, frame);
        }
    }

    /// The index, after the last record.
    pub(super) fn finish(mut self, last: Head, last_at: Timestamp, open: Open) -> Index {
        self.index.last = last;
        self.index.last_at = last_at;
        self.index.open = open;
        self.index
    }
}

/// What is wrong with an index that is not the one that it should be.
pub(super) fn difference(found: &Index, made: &Index) -> &'static str {
    if found.sessions != made.sessions {
        "which sessions the segment holds, and where"
    } else if found.principals != made.principals {
        "which principals the segment is about, and where"
    } else if found.targets != made.targets {
        "which targets the segment is about, and where"
    } else if found.frames != made.frames {
        "where in the file the records are, or the file is not the one that was sealed"
    } else if found.open != made.open {
        "which connections and statements are open at the segment's end"
    } else {
        "where the segment begins and ends"
    }
}
