//! What can be wrong with a log, in words for people who have to decide what to do about it.

use serde::Serialize;

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Of what kind it is.
    pub kind: FaultKind,
    /// The file.
    pub file: String,
    /// The line of it, from 1, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The first record that may be bad or missing: all before it is sound.
    pub seq: u64,
    /// The last one that may be; `seq` itself if it is the only one.
    pub last: u64,
    /// What was found.
    pub what: String,
    /// What that means.
    pub means: String,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A compressed file does not decompress.
    Damaged,
    /// A line is not a record of this version.
    NotARecord,
    /// A line has no end.
    Torn,
    /// A record has another number than its place.
    Sequence,
    /// A record is there again, or out of its place.
    Repeated,
    /// Records are missing.
    Missing,
    /// A record is not the one that the next one was linked to.
    Chain,
    /// A checkpoint's signature is wrong.
    Signature,
    /// A checkpoint's key is not accepted.
    Key,
    /// A file's name does not fit what is in it.
    Name,
    /// A segment does not begin as segments do.
    Opening,
    /// A segment's index says something else than the segment.
    Index,
    /// The log does not hold a head that it must.
    Head,
    /// A connection or a statement lacks a record, or has one too many.
    Incomplete,
    /// The parts of a statement are not what they were.
    Parts,
    /// Nothing is signed that must be.
    Unsigned,
}

/// Where a record is: a file and a line.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// The file.
    pub(super) file: std::sync::Arc<str>,
    /// The line, from 1; 0 for the file as a whole.
    pub(super) line: u64,
}

impl Place {
    /// A fault of the record `seq` here.
    pub(super) fn fault(
        &self,
        kind: FaultKind,
        seq: u64,
        what: impl Into<String>,
        means: impl Into<String>,
    ) -> Fault {
        Fault {
            kind,
            file: self.file.to_string(),
            line: (self.line > 0).then_some(self.line),
            seq,
            last: seq,
            what: what.into(),
            means: means.into(),
        }
    }
}

impl Fault {
    /// The same, of all records up to `last`.
    pub(super) fn up_to(self, last: u64) -> Self {
        Self { last, ..self }
    }
}

/// `record 7`, or `records 7 to 9`.
pub(super) fn records(first: u64, last: u64) -> String {
    match first == last {
        true => format!("record {first}"),
        false => format!("records {first} to {last}"),
    }
}

/// `is` or `are`, for [`records`].
pub(super) fn are(first: u64, last: u64) -> &'static str {
    if first == last { "is" } else { "are" }
}
