//! A statement as one value: what was started, joined with what became of it.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::outcome::{CommandResult, Copy, Outcome, StatementKind};
use super::text::{Parameter, Text};
use super::{Event, Origin, Record};

/// A statement, from the records that tell of it. As JSON it is the document that readers get:
/// fields are added, never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "statement")]
pub struct Statement {
    /// The sequence of the record of its start.
    pub seq: u64,
    /// When it was sent.
    pub at: Timestamp,
    /// Whose.
    #[serde(flatten)]
    pub origin: Arc<Origin>,
    /// Its number within the connection.
    pub statement: u64,
    /// How it was run.
    pub kind: StatementKind,
    /// The prepared statement's name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// The portal's name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub portal: Option<Text>,
    /// The function's OID, of a function call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<u32>,
    /// The text, from wherever it is recorded. Absent of a function call, and where `missing` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<Text>,
    /// The parameters, from wherever they are recorded.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parameters: Vec<Parameter>,
    /// What of it is not in what was read.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub missing: Vec<Missing>,
    /// How it ended; absent while it runs, or if its end is not in what was read.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub finish: Option<Finish>,
    /// The SQLSTATE with which its commit failed after it had completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_failed: Option<String>,
}

/// How a statement ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finish {
    /// The sequence of the record of its end.
    pub finished_seq: u64,
    /// When that was observed.
    pub finished_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// PostgreSQL's five-character code, of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// What each command in it did; those of the records before its end too.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub results: Vec<CommandResult>,
    /// Rows that were sent to the client.
    pub rows: u64,
    /// Bytes that answered it.
    pub bytes: u64,
    /// What was copied.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub copies: Vec<Copy>,
    /// From the record of its start to its end.
    pub microseconds: u64,
}

/// Something of a statement that is not in what was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Missing {
    /// The text: a name stands for it that was defined in SQL (`PREPARE`, `DECLARE`), by an
    /// earlier statement of the connection.
    Definition,
    /// The record that holds the text is not there: deleted, or before what was read.
    Text {
        /// Its number within the connection.
        statement: u64,
    },
    /// The record that holds the parameters is not there.
    Parameters {
        /// Its number within the connection.
        statement: u64,
    },
    /// Not all records of the message's parts are there.
    Parts {
        /// The number within the connection that they have.
        statement: u64,
    },
    /// It is longer than what is put together: its beginning stands here.
    Rest {
        /// Bytes of the whole message.
        bytes: u64,
    },
}

impl Statement {
    /// The statement that `record` starts; `None` if it starts none. The text and the parameters
    /// are those of the record itself.
    pub fn started_by(record: &Record) -> Option<Self> {
        let Event::StatementStarted {
            origin,
            statement,
            kind,
            name,
            portal,
            sql,
            parameters,
            function,
            ..
        } = &record.event
        else {
            return None;
        };
        Some(Self {
            seq: record.seq,
            at: record.at,
            origin: Arc::clone(origin),
            statement: *statement,
            kind: *kind,
            name: name.clone(),
            portal: portal.clone(),
            function: *function,
            sql: sql.clone(),
            parameters: parameters.clone(),
            missing: Vec::new(),
            finish: None,
            commit_failed: None,
        })
    }

    /// How it ended, if that is known.
    pub fn outcome(&self) -> Option<Outcome> {
        self.finish.as_ref().map(|finish| finish.outcome)
    }

    /// The SQLSTATE of its failure, or of that of its commit.
    pub fn sqlstate(&self) -> Option<&str> {
        let failed = self.finish.as_ref().and_then(|it| it.sqlstate.as_deref());
        failed.or(self.commit_failed.as_deref())
    }

    /// The tags of its commands (`SELECT 5`).
    pub fn tags(&self) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
        let results = self.finish.iter().flat_map(|finish| &finish.results);
        results.map(|result| result.tag.to_lossy())
    }
}

impl Finish {
    /// The end that `record` tells of; `None` if it tells of none.
    pub fn told_by(record: &Record) -> Option<Self> {
        let Event::StatementFinished {
            outcome,
            results,
            sqlstate,
            rows,
            bytes,
            copies,
            microseconds,
            ..
        } = &record.event
        else {
            return None;
        };
        Some(Self {
            finished_seq: record.seq,
            finished_at: record.at,
            outcome: *outcome,
            sqlstate: sqlstate.clone(),
            results: results.clone(),
            rows: *rows,
            bytes: *bytes,
            copies: copies.clone(),
            microseconds: *microseconds,
        })
    }
}
