//! Search: the statements of a log that are what somebody looks for.
//!
//! The log is read in groups of pieces (`plan`), several at once (`pool`). Of each line only its
//! beginning is looked at (`sieve`, `pass`); what may be found is read whole, with what is recorded
//! of it before (`behind`) and after (`ahead`) the group, and asked again (`query`). Memory is
//! bounded by a few groups, whatever is found.
//!
//! Which pieces are read, the indexes say. They prove nothing: `verify` compares them with the
//! log, and a search may be told not to use them.

mod ahead;
mod behind;
mod hands;
mod keys;
mod log;
mod pass;
mod plan;
mod pool;
mod query;
mod scan;
mod sieve;
#[cfg(test)]
mod tests;
mod text;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::archive::Archive;
use super::reader::ReadError;
use super::{Record, Statement};

pub use query::{Ending, Events, InvalidSqlstate, Query, RowCount, SqlstatePattern};
pub use text::{InvalidText, Scope, TextFilter};

/// What was found. As JSON it is the statement's, or the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Found {
    /// A statement.
    Statement(Box<Statement>),
    /// A record that is not of a statement.
    Event(Box<Record>),
}

impl Found {
    /// The sequence of the record, or of that of the statement's start.
    pub fn seq(&self) -> u64 {
        match self {
            Self::Statement(statement) => statement.seq,
            Self::Event(record) => record.seq,
        }
    }
}

/// How a log is searched.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// From the end of the log to its beginning.
    pub newest_first: bool,
    /// Indexes are not used: everything is read.
    pub without_index: bool,
    /// How many threads search.
    pub workers: usize,
}

/// What was read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Coverage {
    /// Bytes of lines.
    pub bytes: u64,
    /// Lines that are not records.
    pub unreadable: u64,
}

/// Who takes what is found; breaking ends the search.
pub trait Taker {
    /// The next that is found.
    fn found(&mut self, found: Found) -> ControlFlow<()>;

    /// So much was read until now.
    fn read(&mut self, _: Coverage) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(Found) -> ControlFlow<()>> Taker for F {
    fn found(&mut self, found: Found) -> ControlFlow<()> {
        self(found)
    }
}

/// Searches a log, and gives what is found to `taker`, in order.
///
/// # Errors
/// If a segment cannot be read.
pub fn search(
    archive: &Archive,
    query: &Query,
    manner: Manner,
    taker: &mut impl Taker,
) -> Result<Coverage, ReadError> {
    let log = log::Log::new(archive, !manner.without_index);
    let scanner = scan::Scanner::new(&log, query);
    let groups = plan::Plan::new(&log, query, manner.newest_first);
    let scan = |hands: &mut hands::Hands, group: Result<plan::Group, ReadError>| {
        scanner.scan(hands, &group?)
    };
    let mut coverage = Coverage::default();
    let mut failure = None;
    let give = |result| match result {
        Ok(scanned) => give(scanned, &mut coverage, manner.newest_first, taker),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    };
    pool::in_order(groups, manner.workers, hands::Hands::default, scan, give);
    failure.map_or(Ok(coverage), Err)
}

fn give(
    scanned: scan::Scanned,
    coverage: &mut Coverage,
    newest_first: bool,
    taker: &mut impl Taker,
) -> ControlFlow<()> {
    coverage.bytes += scanned.bytes;
    coverage.unreadable += scanned.unreadable;
    let mut found = scanned.found;
    if newest_first {
        found.reverse();
    }
    found.into_iter().try_for_each(|found| taker.found(found))?;
    taker.read(*coverage)
}
