//! What of a session can be run again, and how.

use serde::Serialize;

use super::parts::Connection;
use super::pieces::{Control, pieces};
use super::statement::Statement;
use super::story::Story;
use crate::audit::{CopyDirection, Outcome, Parameter, StatementKind, Text};

/// What is done about a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// It is run.
    Run,
    /// It is not.
    Skip(Skip),
}

/// Why a statement is not run again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Skip {
    /// Its text is not known.
    NoText,
    /// Its parameters are not in the log.
    NoParameters,
    /// Values are kept out of the record.
    Redacted,
    /// What was copied in is not recorded.
    CopyIn,
    /// It did not run then.
    Skipped,
    /// It did not come to its end then: with this SQLSTATE, or nobody knows how.
    CutOff {
        /// The error's code, if there was one.
        sqlstate: Option<String>,
    },
    /// It does not run in a transaction block, and nothing is committed.
    Alone,
    /// It concerns a prepared transaction, which would outlive a rollback.
    TwoPhase,
    /// The connection was for replication.
    Replication,
    /// What it would go on with was not run.
    NoPortal,
    /// The connection was lost before.
    NoConnection,
}

impl Skip {
    /// In words.
    pub fn reason(&self) -> String {
        match self {
            Self::NoText => "its text is not known".to_owned(),
            Self::NoParameters => "its parameters are not in the log".to_owned(),
            Self::Redacted => "its values are kept out of the record".to_owned(),
            Self::CopyIn => "what was copied in is not recorded".to_owned(),
            Self::Skipped => "it did not run then either".to_owned(),
            Self::CutOff {
                sqlstate: Some(code),
            } => format!("it was cut off then ({code})"),
            Self::CutOff { sqlstate: None } => "nobody knows how it ended then".to_owned(),
            Self::Alone => "it cannot run in a transaction, and nothing is committed".to_owned(),
            Self::TwoPhase => "prepared transactions would outlive the rollback".to_owned(),
            Self::Replication => "its connection was for replication".to_owned(),
            Self::NoPortal => "what it goes on with was not run".to_owned(),
            Self::NoConnection => "the connection was lost before it".to_owned(),
        }
    }
}

/// What is done about a statement, and whether what was run is `committed`.
pub fn plan(statement: &Statement, connection: Option<&Connection>, committed: bool) -> Plan {
    match unrunnable(statement, connection) {
        Some(skip) => Plan::Skip(skip),
        None if committed => Plan::Run,
        None => in_a_transaction(statement),
    }
}

/// The statements of a session that are run again, or named as skipped.
pub fn replayed(story: &Story) -> impl Iterator<Item = &Statement> {
    story.statements.iter().filter(|it| it.is_telling())
}

fn unrunnable(statement: &Statement, connection: Option<&Connection>) -> Option<Skip> {
    let end = statement.end.as_ref();
    let copies = end.iter().flat_map(|end| &end.copies);
    let mut directions = copies.map(|copy| copy.direction);
    let sqlstate = end.and_then(|end| end.sqlstate.clone());
    if connection.is_some_and(is_replication) {
        return Some(Skip::Replication);
    }
    match statement.outcome() {
        Some(Outcome::Skipped) => return Some(Skip::Skipped),
        None | Some(Outcome::Unknown) => return Some(Skip::CutOff { sqlstate: None }),
        Some(Outcome::Failed) if sqlstate.as_deref().is_some_and(is_cut_off) => {
            return Some(Skip::CutOff { sqlstate });
        }
        _ => {}
    }
    if statement.sql.is_none() && statement.function.is_none() {
        return Some(Skip::NoText);
    }
    let Some(parameters) = &statement.parameters else {
        return Some(Skip::NoParameters);
    };
    if parameters.iter().any(is_redacted) {
        return Some(Skip::Redacted);
    }
    let copies_in = directions.any(|it| it == CopyDirection::In);
    copies_in.then_some(Skip::CopyIn)
}

fn is_redacted(parameter: &Parameter) -> bool {
    matches!(parameter, Parameter::Hashed { .. } | Parameter::Omitted)
}

/// Cancelled, or ended with its connection: that says nothing about the statement.
fn is_cut_off(sqlstate: &str) -> bool {
    matches!(sqlstate, "57014" | "57P01" | "57P02" | "57P05" | "58030")
        || sqlstate.starts_with("08")
}

fn is_replication(connection: &Connection) -> bool {
    let named = |(name, _): &&(Text, Text)| &name.0[..] == b"replication";
    let value = connection
        .startup
        .iter()
        .find(named)
        .map(|(_, value)| value.to_lossy());
    value.is_some_and(|it| !matches!(&*it.to_lowercase(), "false" | "off" | "no" | "0" | ""))
}

fn in_a_transaction(statement: &Statement) -> Plan {
    let sql = statement
        .sql
        .as_ref()
        .filter(|_| statement.kind != Some(StatementKind::FunctionCall));
    let sql = sql.map(Text::to_lossy).unwrap_or_default();
    let skip = pieces(&sql)
        .into_iter()
        .find_map(|piece| match piece.control {
            Control::Alone => Some(Skip::Alone),
            Control::TwoPhase => Some(Skip::TwoPhase),
            _ => None,
        });
    skip.map_or(Plan::Run, Plan::Skip)
}
