//! A line, looked at as closely as verifying needs.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

use super::super::{Event, Hash, Record, VERSION};

/// A line.
pub(super) enum Line<'a> {
    /// Most lines: of statements. They are not taken apart further.
    Statement(Look<'a>),
    /// All others, read whole.
    Other(Box<Record>),
}

/// What a line says of its place, and of the statement that it is about. Nothing of it is copied.
#[derive(Debug, Deserialize)]
pub(super) struct Look<'a> {
    v: u32,
    pub(super) seq: u64,
    pub(super) prev: &'a str,
    pub(super) at: &'a str,
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    pub(super) connection: &'a str,
    pub(super) session: &'a str,
    pub(super) principal: &'a str,
    pub(super) target: &'a str,
    #[serde(borrow)]
    pub(super) database: Cow<'a, str>,
    pub(super) statement: u64,
    #[serde(default)]
    pub(super) outcome: Option<&'a str>,
    #[serde(default)]
    pub(super) parts: u64,
}

impl<'a> Line<'a> {
    /// Reads a line.
    ///
    /// # Errors
    /// Why it is not a record of this version.
    pub(super) fn read(line: &'a [u8]) -> Result<Self, String> {
        if let Ok(look) = serde_json::from_slice::<Look<'_>>(line)
            && is_light(look.kind)
            && look.v == VERSION
        {
            return Ok(Self::Statement(look));
        }
        let record: Record = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if record.v != VERSION {
            return Err(format!("version {}, expected {VERSION}", record.v));
        }
        match is_light_event(&record.event) {
            true => Err("not written as hallpass writes it".to_owned()),
            false => Ok(Self::Other(Box::new(record))),
        }
    }

    pub(super) fn seq(&self) -> u64 {
        match self {
            Self::Statement(look) => look.seq,
            Self::Other(record) => record.seq,
        }
    }

    /// Whether it is linked to the record with this hash.
    pub(super) fn follows(&self, hash: &Hash) -> bool {
        match self {
            Self::Statement(look) => look.prev.as_bytes() == hash.digits(),
            Self::Other(record) => record.prev == *hash,
        }
    }

    /// What it is linked to, if that is a hash.
    pub(super) fn prev(&self) -> Option<Hash> {
        match self {
            Self::Statement(look) => look.prev.parse().ok(),
            Self::Other(record) => Some(record.prev),
        }
    }

    /// Its time, if that is one.
    pub(super) fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Statement(look) => look.at.parse().ok(),
            Self::Other(record) => Some(record.at),
        }
    }
}

/// Whether a look says all that is needed of a record of this type.
fn is_light(kind: &str) -> bool {
    matches!(
        kind,
        "statement_started"
            | "statement_finished"
            | "statement_prepared"
            | "portal_bound"
            | "statement_results"
            | "commit_failed"
    )
}

/// The same, of a record that was read whole.
fn is_light_event(event: &Event) -> bool {
    matches!(
        event,
        Event::StatementStarted { .. }
            | Event::StatementFinished { .. }
            | Event::StatementPrepared { .. }
            | Event::PortalBound { .. }
            | Event::StatementResults { .. }
            | Event::CommitFailed { .. }
    )
}
