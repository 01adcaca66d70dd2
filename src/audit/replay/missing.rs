//! What belongs to a session and is not in the log.

use serde::Serialize;

use super::parts::Connection;
use super::statement::{Statement, Step};
use super::story::Story;
use crate::access::ConnectionId;

/// Something that a session's story lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Missing {
    /// These records are not there; some of them may be the session's.
    Records {
        /// The sequence of the first.
        first: u64,
        /// And of the last.
        last: u64,
    },
    /// A line that names the session is not a record.
    Unreadable {
        /// The segment's file.
        file: String,
        /// What is wrong with it.
        error: String,
    },
    /// Who asked, and why.
    Request,
    /// Who approved.
    Approval,
    /// Where a connection came from.
    Opening {
        /// The connection.
        connection: ConnectionId,
    },
    /// Numbers within a connection that no record has.
    Statements {
        /// The connection.
        connection: ConnectionId,
        /// How many.
        count: u64,
    },
    /// Texts of statements.
    Texts {
        /// Of how many.
        count: usize,
    },
    /// Parameters whose records are not there.
    Parameters {
        /// Of how many statements.
        count: usize,
    },
    /// Values that the target keeps out of the record.
    Values {
        /// Of how many statements.
        count: usize,
    },
}

/// What a story lacks, as it can be seen from itself.
pub(super) fn of(story: &Story) -> Vec<Missing> {
    let mut missing = Vec::new();
    if story.approved.is_none() {
        missing.push(Missing::Approval);
    }
    if story.submitted.is_none() {
        missing.push(Missing::Request);
    }
    for connection in &story.connections {
        of_connection(connection, &story.statements, &mut missing);
    }
    of_statements(&story.statements, &mut missing);
    missing
}

fn of_connection(connection: &Connection, statements: &[Statement], missing: &mut Vec<Missing>) {
    let id = connection.id;
    if connection.peer.is_none() {
        missing.push(Missing::Opening { connection: id });
    }
    let numbers = statements.iter().filter(|it| it.connection == id);
    let (seen, last) = numbers.fold((0, 0), |(seen, last), it| (seen + 1, it.number.max(last)));
    // hallpass counts the numbers, too; one that died could not say so.
    let counted = connection.closed.as_ref().map_or(0, |it| it.statements);
    if let Some(count) = last.max(counted).checked_sub(seen).filter(|it| *it > 0) {
        missing.push(Missing::Statements {
            connection: id,
            count,
        });
    }
}

fn of_statements(statements: &[Statement], missing: &mut Vec<Missing>) {
    let count = |lacks: fn(&&Statement) -> bool| {
        let run = statements.iter().filter(|it| it.step == Step::Started);
        run.filter(lacks).count()
    };
    let found = [
        Missing::Texts {
            count: count(|it| it.sql.is_none() && it.function.is_none()),
        },
        Missing::Parameters {
            count: count(|it| it.parameters.is_none()),
        },
        Missing::Values {
            count: count(|it| it.is_redacted()),
        },
    ];
    let says = |it: &Missing| match it {
        Missing::Texts { count } | Missing::Parameters { count } | Missing::Values { count } => {
            *count > 0
        }
        _ => true,
    };
    missing.extend(found.into_iter().filter(says));
}
