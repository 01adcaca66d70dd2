//! What is found in a group of pieces.

use std::collections::HashSet;

use super::super::join::Joiner;
use super::super::layout::Piece;
use super::super::reader::ReadError;
use super::super::{Record, Statement};
use super::behind::{self, Known};
use super::hands::Hands;
use super::keys::Keys;
use super::log::Log;
use super::pass::{self, Pass, Start};
use super::plan::Group;
use super::query::{Events, Query};
use super::sieve::Sieve;
use super::{Found, ahead};

/// What workers share.
pub(super) struct Scanner<'a> {
    pub(super) log: &'a Log<'a>,
    pub(super) query: &'a Query,
    pub(super) sieve: Sieve<'a>,
    pub(super) known: Known,
}

/// What is in a group.
#[derive(Default)]
pub(super) struct Scanned {
    /// In order.
    pub(super) found: Vec<Found>,
    /// Bytes of its lines.
    pub(super) bytes: u64,
    /// Lines that are not records.
    pub(super) unreadable: u64,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(log: &'a Log<'a>, query: &'a Query) -> Self {
        Self {
            log,
            query,
            sieve: Sieve::new(query),
            known: Known::default(),
        }
    }

    /// Looks at a group.
    pub(super) fn scan(&self, hands: &mut Hands, group: &Group) -> Result<Scanned, ReadError> {
        let may_have = |piece: &Piece, block: &[u8]| !piece.plain || self.sieve.may_have(block);
        let (mut blocks, bytes) = hands.blocks(self.log, group, may_have)?;
        let mut scanned = Scanned {
            bytes,
            ..Scanned::default()
        };
        if self.pass(&blocks).is_err() {
            for block in &mut blocks {
                let (lines, unreadable) = pass::canonical(block);
                *block = lines;
                scanned.unreadable += unreadable;
            }
        }
        if let Ok(pass) = self.pass(&blocks) {
            scanned.found = self.found(hands, group, pass, &mut scanned.unreadable)?;
        }
        hands.give_back(blocks);
        Ok(scanned)
    }
}

impl Scanner<'_> {
    fn pass<'b>(&self, blocks: &'b [Vec<u8>]) -> Result<Pass<'b>, pass::Odd> {
        Pass::over(blocks, &self.sieve, self.query.events != Events::None)
    }

    fn found(
        &self,
        hands: &mut Hands,
        group: &Group,
        mut pass: Pass<'_>,
        unreadable: &mut u64,
    ) -> Result<Vec<Found>, ReadError> {
        let events = std::mem::take(&mut pass.events);
        let events = parsed(events.into_iter(), unreadable);
        let events = events.into_iter().filter(|it| self.query.accepts_event(it));
        let mut found: Vec<Found> = events.map(|it| Found::Event(Box::new(it))).collect();
        if self.query.events != Events::Only {
            let starts = pass.starts(&self.sieve);
            let statements = self.statements(hands, group, &starts, unreadable)?;
            found.extend(
                statements
                    .into_iter()
                    .map(|it| Found::Statement(Box::new(it))),
            );
            found.sort_by_key(Found::seq);
        }
        Ok(found)
    }

    /// The statements that begin with `starts`, whole, if they are what is looked for.
    fn statements(
        &self,
        hands: &mut Hands,
        group: &Group,
        starts: &[Start<'_>],
        unreadable: &mut u64,
    ) -> Result<Vec<Statement>, ReadError> {
        if starts.is_empty() {
            return Ok(Vec::new());
        }
        let lines = starts.iter().map(|start| start.line.whole);
        let mut records = parsed(lines, unreadable);
        let holders = behind::holders(self.log, hands, &self.known, group, &records)?;
        let later = starts.iter().flat_map(|start| &start.later);
        records.extend(parsed(later.map(|line| line.whole), unreadable));
        records.extend(holders);
        let mut joiner = Joiner::default();
        take(&mut joiner, records);
        let ends = self.ends(hands, group, starts, &joiner)?;
        take(&mut joiner, ends);
        let own: HashSet<u64> = starts.iter().map(|start| start.line.seq).collect();
        let statements = joiner.finish().filter(|it| own.contains(&it.seq));
        Ok(statements.filter(|it| self.query.accepts(it)).collect())
    }

    /// What is said of the statements behind the group.
    fn ends(
        &self,
        hands: &mut Hands,
        group: &Group,
        starts: &[Start<'_>],
        joiner: &Joiner,
    ) -> Result<Vec<Record>, ReadError> {
        let closed = starts.iter().filter(|start| start.closed);
        let closed: HashSet<u64> = closed.map(|start| start.line.seq).collect();
        let mut wanted = Keys::default();
        for it in joiner.running() {
            if !closed.contains(&it.seq) && self.query.accepts_start(it) {
                wanted.add((it.origin.connection, it.statement), it.origin.session);
            }
        }
        let mut late = Keys::default();
        for line in starts
            .iter()
            .filter(|start| start.late)
            .map(|start| &start.line)
        {
            late.add_line(line);
        }
        let mut records = ahead::ends(self.log, hands, group, wanted)?;
        let next = (
            group.segment,
            group.pieces.last().map_or(0, |last| last + 1),
        );
        records.extend(ahead::commits(self.log, hands, next, &late)?);
        Ok(records)
    }
}

fn parsed<'b>(lines: impl Iterator<Item = &'b [u8]>, unreadable: &mut u64) -> Vec<Record> {
    let mut parse = |line| match serde_json::from_slice(line) {
        Ok(record) => Some(record),
        Err(_) => {
            *unreadable += 1;
            None
        }
    };
    lines.filter_map(&mut parse).collect()
}

/// Gives the joiner records in their order, each once.
fn take(joiner: &mut Joiner, mut records: Vec<Record>) {
    records.sort_unstable_by_key(|record| record.seq);
    records.dedup_by_key(|record| record.seq);
    records.iter().for_each(|record| joiner.take(record));
}
