//! Which pieces of a log are read, and in which order: what the indexes rule out is left aside.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::super::index::{Frames, Index};
use super::super::layout::Layout;
use super::super::reader::ReadError;
use super::log::Log;
use super::query::{Events, Query};
use crate::access::SessionId;

/// Pieces that are looked at together.
const GROUP: usize = 4;
/// Records are numbered a little later than they are made, so that their times are not quite in
/// order; and clocks are set.
const SLACK: SignedDuration = SignedDuration::from_mins(5);

/// Pieces of one segment that are looked at together, one behind the other.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// The segment's number.
    pub(super) segment: usize,
    pub(super) layout: Arc<Layout>,
    pub(super) pieces: Vec<usize>,
}

/// The groups that may have something, in order.
pub(super) struct Plan<'a> {
    log: &'a Log<'a>,
    query: &'a Query,
    newest_first: bool,
    /// Segments that are still to come.
    segments: Range<usize>,
    /// Groups of the segment that is being read.
    groups: std::vec::IntoIter<Group>,
    begun: bool,
}

impl<'a> Plan<'a> {
    pub(super) fn new(log: &'a Log<'a>, query: &'a Query, newest_first: bool) -> Self {
        Self {
            log,
            query,
            newest_first,
            segments: 0..log.segments().len(),
            groups: Vec::new().into_iter(),
            begun: false,
        }
    }

    fn next_segment(&mut self) -> Option<usize> {
        match self.newest_first {
            true => self.segments.next_back(),
            false => self.segments.next(),
        }
    }

    fn groups_of(&mut self, segment: usize) -> Result<Vec<Group>, ReadError> {
        if let Some(session) = self.query.session
            && !self.log.may_have(segment, &session.to_string())?
        {
            return Ok(Vec::new());
        }
        let layout = self.log.layout(segment)?;
        if self.newest_first && self.is_before(&layout) {
            self.segments = 0..0;
        }
        let mut pieces = self.pieces(&layout);
        // The first result is not to wait for a whole group.
        let first = if self.begun { 0 } else { 1.min(pieces.len()) };
        self.begun |= first > 0;
        let rest = match self.newest_first {
            true => pieces.split_off(pieces.len() - first),
            false => pieces.drain(..first).collect(),
        };
        let mut runs = match self.newest_first {
            true => pieces
                .rchunks(GROUP)
                .map(<[usize]>::to_vec)
                .collect::<Vec<_>>(),
            false => pieces.chunks(GROUP).map(<[usize]>::to_vec).collect(),
        };
        runs.splice(0..0, Some(rest).filter(|rest| !rest.is_empty()));
        let group = |pieces| Group {
            segment,
            layout: Arc::clone(&layout),
            pieces,
        };
        Ok(runs.into_iter().map(group).collect())
    }

    /// Whether this segment, and so all before it, ended before what is looked for begins.
    fn is_before(&self, layout: &Layout) -> bool {
        let last = layout.index.as_ref().map(|index| index.last_at);
        matches!((self.query.since, last), (Some(since), Some(last)) if late(last) < since)
    }

    /// The pieces that may have something, rising.
    fn pieces(&self, layout: &Layout) -> Vec<usize> {
        let of_names = match &layout.index {
            Some(index) => named(index, self.query),
            None => None,
        };
        let pieces = of_names.unwrap_or_else(|| (0..layout.pieces.len()).collect());
        let in_time = |number: &usize| self.is_in_time(layout, *number);
        pieces.into_iter().filter(in_time).collect()
    }

    fn is_in_time(&self, layout: &Layout, number: usize) -> bool {
        if !is_in_order(layout) {
            return true;
        }
        let begin = layout.pieces.get(number).and_then(|piece| piece.at);
        let next = layout.pieces.get(number + 1).and_then(|piece| piece.at);
        let end = match &layout.index {
            Some(index) => next.or(Some(index.last_at)),
            None => next,
        };
        let ended =
            matches!((self.query.since, end), (Some(since), Some(end)) if late(end) < since);
        let to_come = matches!((self.query.until, begin), (Some(until), Some(begin)) if early(begin) >= until);
        !ended && !to_come
    }
}

impl Iterator for Plan<'_> {
    type Item = Result<Group, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(group) = self.groups.next() {
                return Some(Ok(group));
            }
            let segment = self.next_segment()?;
            match self.groups_of(segment) {
                Ok(groups) => self.groups = groups.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn late(at: Timestamp) -> Timestamp {
    at.checked_add(SLACK).unwrap_or(Timestamp::MAX)
}

fn early(at: Timestamp) -> Timestamp {
    at.checked_sub(SLACK).unwrap_or(Timestamp::MIN)
}

/// Whether times rise within a segment; a clock that was set back makes them useless.
fn is_in_order(layout: &Layout) -> bool {
    let times = layout.pieces.iter().filter_map(|piece| piece.at);
    times.is_sorted_by(|before, after| *before <= late(*after))
}

/// The pieces in which the index has what is asked for by name; `None` if nothing is.
fn named(index: &Index, query: &Query) -> Option<Vec<usize>> {
    let sessions = query.session.iter().map(|it| index.sessions.get(it));
    let of_session = query.session.map(|_| union(sessions));
    // Who was turned away only claimed a name, and is in no index.
    let by_principal = !query.principals.is_empty() && query.events == Events::None;
    let of_principals = by_principal.then(|| of_names(&index.principals, &query.principals));
    let by_target = !query.targets.is_empty();
    let of_targets = by_target.then(|| of_names(&index.targets, &query.targets));
    let sets = [of_session, of_principals, of_targets];
    let common = sets.into_iter().flatten().reduce(|a, b| &a & &b)?;
    Some(common.into_iter().collect())
}

/// The pieces that may have records of these sessions, rising.
pub(super) fn of_sessions(layout: &Layout, sessions: &HashSet<SessionId>) -> Vec<usize> {
    match &layout.index {
        None => (0..layout.pieces.len()).collect(),
        Some(index) => {
            let frames = sessions.iter().map(|session| index.sessions.get(session));
            union(frames).into_iter().collect()
        }
    }
}

fn of_names<K: Ord>(map: &BTreeMap<K, Frames>, names: &[K]) -> BTreeSet<usize> {
    union(names.iter().map(|name| map.get(name)))
}

fn union<'f>(frames: impl Iterator<Item = Option<&'f Frames>>) -> BTreeSet<usize> {
    let numbers = frames.flatten().flat_map(Frames::iter);
    numbers.map(|number| number as usize).collect()
}
