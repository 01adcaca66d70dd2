//! What a verification covered and found.

use jiff::Timestamp;
use serde::Serialize;

use super::super::{Head, PublicKey};
use super::fault::Fault;

/// What a verification covered and found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Whether nothing is wrong.
    pub sound: bool,
    /// Where the log was read.
    pub log: String,
    /// Segments that were read, whole or up to what is wrong.
    pub segments: u64,
    /// Their records.
    pub records: u64,
    /// Bytes of their lines.
    pub bytes: u64,
    /// The first record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Moment>,
    /// The last record that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Moment>,
    /// Sessions that some record is about.
    pub sessions: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Statements that were started.
    pub statements: u64,
    /// Statements whose outcome nobody knows.
    pub unknown_outcomes: u64,
    /// Connections that were open when a hallpass died, and were closed by the next.
    pub crashed_connections: u64,
    /// Connections that are open after the last record.
    pub open_connections: u64,
    /// Their statements without an outcome.
    pub open_statements: u64,
    /// Checkpoints whose signature is right.
    pub checkpoints: u64,
    /// The keys that signed them.
    pub keys: Vec<KeyUse>,
    /// Whether the keys were given, not taken from the log itself.
    pub keys_given: bool,
    /// The last checkpoint: all up to it is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed: Option<Moment>,
    /// Records behind it.
    pub unsigned: u64,
    /// Stretches of records that were not signed when their writer went away, and behind which the
    /// next one went on.
    pub taken_over: u64,
    /// The records in them.
    pub taken_over_records: u64,
    /// Records that are not there, and of which the log says that they were deleted.
    pub deleted: Vec<Deleted>,
    /// The last record: kept elsewhere, it proves later that the log up to it is this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// What is odd and not wrong.
    pub notes: Vec<String>,
    /// What is wrong, the first record first.
    pub faults: Vec<Fault>,
}

/// A record's place and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// Its sequence.
    pub seq: u64,
    /// When the fact was observed.
    pub at: Timestamp,
}

/// A key, and what it signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KeyUse {
    /// The key.
    pub key: PublicKey,
    /// Checkpoints that it signed.
    pub checkpoints: u64,
    /// The first record of the first segment that names it.
    pub since: u64,
}

/// Records that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// The record that says so; none if the log is read from a part of it only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<u64>,
}

impl Report {
    /// The last record before anything that is wrong; all if nothing is.
    pub fn sound_up_to(&self) -> Option<u64> {
        let first = self.first?.seq;
        let of_records = |fault: &&Fault| fault.kind.is_of_records();
        let bad = self.faults.iter().filter(of_records).map(|fault| fault.seq);
        let bad = bad.min();
        let last = bad.map_or(self.last?.seq, |bad| bad.saturating_sub(1));
        (last >= first).then_some(last)
    }
}
