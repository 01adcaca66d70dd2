//! One pass over lines: what starts there that may be looked for, and what is said of it further
//! on.

use std::collections::HashMap;

use super::super::Record;
use super::super::line::Line;
use super::ahead::LATE;
use super::sieve::Sieve;
use super::text::Signs;

/// A line that is not as hallpass writes lines.
#[derive(Debug)]
pub(super) struct Odd;

/// What a pass found.
#[derive(Default)]
pub(super) struct Pass<'b> {
    starts: HashMap<(&'b [u8], u64), Start<'b>>,
    /// Lines that are not of statements.
    pub(super) events: Vec<&'b [u8]>,
}

/// A start that may be looked for, and the other lines of its statement.
pub(super) struct Start<'b> {
    pub(super) line: Line<'b>,
    /// Results, the end, and what became of the commit.
    pub(super) later: Vec<Line<'b>>,
    /// Nothing more is said of it.
    pub(super) closed: bool,
    /// Its end is so late that its commit may fail in the next piece.
    pub(super) late: bool,
}

impl Start<'_> {
    fn may_have_failed_to_commit(&self) -> bool {
        self.late || self.later.iter().any(|line| line.kind == b"commit_failed")
    }
}

impl<'b> Pass<'b> {
    /// Goes over the lines of `blocks`.
    pub(super) fn over(
        blocks: &'b [Vec<u8>],
        sieve: &Sieve<'_>,
        with_events: bool,
    ) -> Result<Self, Odd> {
        let mut pass = Self::default();
        let total: usize = blocks.iter().map(Vec::len).sum();
        let mut before = 0;
        for block in blocks {
            let mut marks = Marks::new(sieve.signs(), block);
            let mut start = 0;
            while let Some(length) = memchr::memchr(b'\n', &block[start..]) {
                let end = start + length;
                let line = Line::of(&block[start..end]).ok_or(Odd)?;
                let late = total - before - end < LATE;
                pass.line(line, sieve, late, |rest| marks.any_in(end - rest..end));
                if with_events && is_event(line.kind) {
                    pass.events.push(line.whole);
                }
                start = end + 1;
            }
            before += block.len();
        }
        Ok(pass)
    }

    /// `signed` tells whether the last so many bytes of the line have signs.
    fn line(
        &mut self,
        line: Line<'b>,
        sieve: &Sieve<'_>,
        late: bool,
        signed: impl FnOnce(usize) -> bool,
    ) {
        match line.kind {
            b"statement_started" => {
                let Some(origin) = line.origin() else {
                    return;
                };
                if sieve.passes(&line, &origin, || signed(origin.rest.len())) {
                    let start = Start {
                        line,
                        later: Vec::new(),
                        closed: false,
                        late: false,
                    };
                    self.starts
                        .insert((origin.connection, origin.statement), start);
                }
            }
            b"statement_finished" | b"statement_results" | b"commit_failed" => {
                self.later(line, late);
            }
            b"connection_closed" => self.closed(&line),
            _ => {}
        }
    }

    fn later(&mut self, line: Line<'b>, late: bool) {
        if self.starts.is_empty() {
            return;
        }
        let Some(origin) = line.origin() else {
            return;
        };
        if let Some(start) = self.starts.get_mut(&(origin.connection, origin.statement)) {
            start.late |= late && line.kind == b"statement_finished";
            start.later.push(line);
        }
    }

    fn closed(&mut self, line: &Line<'b>) {
        if self.starts.is_empty() {
            return;
        }
        let Some(origin) = line.origin() else {
            return;
        };
        for ((connection, _), start) in &mut self.starts {
            start.closed |= *connection == origin.connection;
        }
    }

    /// The starts, in order, without those whose ends are not what is looked for.
    pub(super) fn starts(self, sieve: &Sieve<'_>) -> Vec<Start<'b>> {
        let mut starts: Vec<Start<'b>> = self.starts.into_values().collect();
        starts.retain(|start| passes_end(start, sieve));
        starts.sort_unstable_by_key(|start| start.line.seq);
        starts
    }
}

fn passes_end(start: &Start<'_>, sieve: &Sieve<'_>) -> bool {
    let mut lines = start.later.iter();
    let end = lines.find(|line| line.kind == b"statement_finished");
    let Some(origin) = end.and_then(Line::origin) else {
        return true;
    };
    sieve.passes_end(origin.rest)
        && (start.may_have_failed_to_commit() || sieve.passes_failure(origin.rest))
}

fn is_event(kind: &[u8]) -> bool {
    !matches!(
        kind,
        b"statement_started"
            | b"statement_finished"
            | b"statement_prepared"
            | b"portal_bound"
            | b"statement_part"
            | b"statement_results"
            | b"commit_failed"
            | b"segment_opened"
            | b"checkpoint"
    )
}

/// The signs in a block, looked for as far as is asked.
struct Marks<'b> {
    signs: Option<&'b Signs>,
    block: &'b [u8],
    next: Option<usize>,
    begun: bool,
}

impl<'b> Marks<'b> {
    fn new(signs: Option<&'b Signs>, block: &'b [u8]) -> Self {
        Self {
            signs,
            block,
            next: None,
            begun: false,
        }
    }

    /// Whether one begins in `range`; ranges must rise.
    fn any_in(&mut self, range: std::ops::Range<usize>) -> bool {
        let Some(signs) = self.signs else {
            return false;
        };
        if !self.begun || self.next.is_some_and(|next| next < range.start) {
            self.begun = true;
            self.next = signs.find(self.block, range.start);
        }
        self.next.is_some_and(|next| next < range.end)
    }
}

/// The lines of a block as hallpass writes them, and how many cannot be read.
pub(super) fn canonical(block: &[u8]) -> (Vec<u8>, u64) {
    let (mut lines, mut unreadable) = (Vec::with_capacity(block.len()), 0);
    for line in super::super::line::lines(block) {
        let parsed = || serde_json::from_slice::<Record>(line).ok();
        let written = match Line::of(line) {
            Some(_) => Some(line.to_vec()),
            None => parsed().and_then(|record| serde_json::to_vec(&record).ok()),
        };
        match written.filter(|written| Line::of(written).is_some()) {
            Some(written) => {
                lines.extend_from_slice(&written);
                lines.push(b'\n');
            }
            None => unreadable += 1,
        }
    }
    (lines, unreadable)
}
