//! What is looked for.

use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::ops::RangeBounds;
use std::time::Duration;

use jiff::Timestamp;

use super::super::outcome::Outcome;
use super::super::statement::Statement;
use super::super::{Event, Record};
use super::text::TextFilter;
use crate::access::{ConnectionId, PrincipalName, SessionId, TargetName};
use crate::sql::{self, WantedTable};

/// What is looked for: all of what is set has to hold; of a list, one.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Who.
    pub principals: Vec<PrincipalName>,
    /// What was reached.
    pub targets: Vec<TargetName>,
    /// Of one session.
    pub session: Option<SessionId>,
    /// Of one connection.
    pub connection: Option<ConnectionId>,
    /// The database.
    pub database: Option<String>,
    /// Begun then or later.
    pub since: Option<Timestamp>,
    /// Begun before.
    pub until: Option<Timestamp>,
    /// The failure's code.
    pub sqlstate: Option<SqlstatePattern>,
    /// A command's tag, without its numbers, or its beginning: `UPDATE`, `CREATE`, `CREATE TABLE`.
    pub tag: Option<String>,
    /// A table that the text names.
    pub table: Option<WantedTable>,
    /// How it ended.
    pub outcomes: Vec<Ending>,
    /// Text that it has.
    pub text: Option<TextFilter>,
    /// It took longer.
    pub longer: Option<Duration>,
    /// It gave so many rows.
    pub rows: Option<RowCount>,
    /// Records that are not of statements.
    pub events: Events,
}

/// Whether records are wanted that are not of statements: denials, approvals, sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Events {
    /// Not.
    #[default]
    None,
    /// Between the statements.
    Also,
    /// And no statements.
    Only,
    /// Those of clients that connected, or were turned away; whatever is asked of statements.
    Connections,
}

/// How a statement ended, or that it did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It ended so. One whose commit failed counts as failed, too.
    As(Outcome),
    /// It runs still, or its end is not in the log.
    None,
}

/// A SQLSTATE, or its beginning: `42P01`, `42*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlstatePattern {
    code: String,
    whole: bool,
}

/// A number of rows that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowCount {
    /// At least.
    pub from: u64,
    /// At most.
    pub to: u64,
}

/// The text is not a SQLSTATE.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a SQLSTATE: write five letters or digits (42P01), or a beginning and a star (42*)"
)]
pub struct InvalidSqlstate(String);

impl std::str::FromStr for SqlstatePattern {
    type Err = InvalidSqlstate;

    fn from_str(text: &str) -> Result<Self, InvalidSqlstate> {
        let code = text.strip_suffix('*').unwrap_or(text).to_ascii_uppercase();
        let whole = !text.ends_with('*');
        let plain = code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let long_enough = if whole {
            code.len() == 5
        } else {
            code.len() < 5
        };
        if plain && long_enough {
            Ok(Self { code, whole })
        } else {
            Err(InvalidSqlstate(text.to_owned()))
        }
    }
}

impl std::fmt::Display for SqlstatePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let star = if self.whole { "" } else { "*" };
        write!(f, "{}{star}", self.code)
    }
}

impl SqlstatePattern {
    /// Whether `code` is one.
    pub fn is(&self, code: &str) -> bool {
        match self.whole {
            true => self.code == code,
            false => code.starts_with(&self.code),
        }
    }
}

impl RowCount {
    /// Whether it is one of the numbers that are wanted.
    pub fn is(&self, rows: u64) -> bool {
        (self.from..=self.to).contains(&rows)
    }
}

impl Query {
    /// Whether a statement is what is looked for.
    pub fn accepts(&self, statement: &Statement) -> bool {
        self.accepts_start(statement) && self.accepts_end(statement)
    }

    /// Whether it is, by what is known when it begins.
    pub(super) fn accepts_start(&self, statement: &Statement) -> bool {
        let origin = &statement.origin;
        one_of(&self.principals, &origin.principal)
            && one_of(&self.targets, &origin.target)
            && self.session.is_none_or(|it| it == origin.session)
            && self.connection.is_none_or(|it| it == origin.connection)
            && self
                .database
                .as_ref()
                .is_none_or(|it| *it == origin.database)
            && self.time().contains(&statement.at)
            && self.table.as_ref().is_none_or(|it| names(statement, it))
            && self.text.as_ref().is_none_or(|it| it.is_in(statement))
    }

    fn accepts_end(&self, statement: &Statement) -> bool {
        let finish = statement.finish.as_ref();
        let took = finish.map(|it| Duration::from_micros(it.microseconds));
        self.longer
            .is_none_or(|it| took.is_some_and(|took| took > it))
            && self
                .rows
                .is_none_or(|it| finish.is_some_and(|end| it.is(end.rows)))
            && self.accepts_sqlstate(statement)
            && self.tag.as_ref().is_none_or(|it| has_tag(statement, it))
            && (self.outcomes.is_empty() || self.outcomes.iter().any(|it| it.is_of(statement)))
    }

    fn accepts_sqlstate(&self, statement: &Statement) -> bool {
        let has = |wanted: &SqlstatePattern| {
            let finish = statement.finish.as_ref();
            let codes = [
                finish.and_then(|it| it.sqlstate.as_deref()),
                statement.commit_failed.as_deref(),
            ];
            codes.into_iter().flatten().any(|code| wanted.is(code))
        };
        self.sqlstate.as_ref().is_none_or(has)
    }

    pub(super) fn time(&self) -> (Bound<Timestamp>, Bound<Timestamp>) {
        let since = self.since.map_or(Unbounded, Included);
        (since, self.until.map_or(Unbounded, Excluded))
    }

    /// Whether it asks how statements ended.
    pub(super) fn asks_for_ends(&self) -> bool {
        self.longer.is_some()
            || self.rows.is_some()
            || self.tag.is_some()
            || self.asks_for_failures()
    }

    /// Whether it asks for what the failure of a commit changes.
    pub(super) fn asks_for_failures(&self) -> bool {
        self.sqlstate.is_some() || !self.outcomes.is_empty()
    }

    /// Whether a record that is not of a statement is what is looked for.
    pub fn accepts_event(&self, record: &Record) -> bool {
        if self.events == Events::Connections {
            return is_of_a_connection(&record.event) && self.is_about(record);
        }
        if self.events == Events::None || self.asks_for_ends() || self.table.is_some() {
            return false;
        }
        if record.event.is_of_the_log() || record.event.is_of_a_statement() {
            return false;
        }
        self.is_about(record)
            && self.time().contains(&record.at)
            && self.text.as_ref().is_none_or(|it| tells(&record.event, it))
    }

    /// Whether whom and what a record is about is what is looked for.
    fn is_about(&self, record: &Record) -> bool {
        let about = record.event.about();
        let origin = record.event.origin();
        self.is_by_one_of(record)
            && (self.targets.is_empty() || about.target.is_some_and(|it| self.targets.contains(it)))
            && self.session.is_none_or(|it| about.session == Some(it))
            && self
                .connection
                .is_none_or(|it| connection(&record.event) == Some(it))
            && self
                .database
                .as_ref()
                .is_none_or(|it| origin.is_some_and(|origin| origin.database == *it))
    }

    fn is_by_one_of(&self, record: &Record) -> bool {
        let about = record.event.about();
        let is = |name: &PrincipalName| self.principals.contains(name);
        self.principals.is_empty()
            || about.principals.into_iter().flatten().any(is)
            || self
                .principals
                .iter()
                .any(|name| claims(&record.event, name))
    }
}

fn is_of_a_connection(event: &Event) -> bool {
    matches!(
        event,
        Event::ConnectionOpened { .. } | Event::ConnectionDenied { .. }
    )
}

fn one_of<T: PartialEq>(wanted: &[T], found: &T) -> bool {
    wanted.is_empty() || wanted.contains(found)
}

fn names(statement: &Statement, table: &WantedTable) -> bool {
    let sql = statement.sql.as_ref();
    sql.is_some_and(|sql| table.is_named_in(&sql.to_lossy()))
}

/// Whether a client that was turned away said that it is `name`.
fn claims(event: &Event, name: &PrincipalName) -> bool {
    let Event::ConnectionDenied { user, .. } = event else {
        return false;
    };
    let user = user.to_lossy();
    user.split('~').next() == Some(name.as_str())
}

fn connection(event: &Event) -> Option<ConnectionId> {
    match event {
        Event::ConnectionDenied { connection, .. } => Some(*connection),
        _ => event.origin().map(|origin| origin.connection),
    }
}

/// Whether one of the event's own fields has the text.
fn tells(event: &Event, text: &TextFilter) -> bool {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(event) else {
        return false;
    };
    fields.values().any(|value| match value {
        serde_json::Value::String(value) => text.is_in_text(value),
        other => text.is_in_text(&other.to_string()),
    })
}

/// Whether a statement has a tag of this name; one that did not get to a tag, by its text.
fn has_tag(statement: &Statement, wanted: &str) -> bool {
    let mut tags = statement.tags().peekable();
    if tags.peek().is_none() && statement.outcome() != Some(Outcome::Completed) {
        let sql = statement.sql.as_ref();
        let command = sql.and_then(|sql| sql::command(&sql.to_lossy()));
        return command.is_some_and(|command| is_tag(&command, wanted));
    }
    tags.any(|tag| is_tag(&tag, wanted))
}

fn is_tag(tag: &str, wanted: &str) -> bool {
    let start = tag.as_bytes().get(..wanted.len());
    let rest = tag.as_bytes().get(wanted.len()..).unwrap_or_default();
    start.is_some_and(|start| start.eq_ignore_ascii_case(wanted.as_bytes()))
        && matches!(rest, [] | [b' ', ..])
}

impl Ending {
    fn is_of(self, statement: &Statement) -> bool {
        match self {
            Self::None => statement.finish.is_none(),
            Self::As(Outcome::Failed) if statement.commit_failed.is_some() => true,
            Self::As(outcome) => statement.outcome() == Some(outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{finished, origin, records, started};
    use super::super::super::{CommandResult, join::Joiner};
    use super::*;

    fn statement(sql: &str, rows: u64, tag: &str) -> Statement {
        let origin = origin(1, 1);
        let mut joiner = Joiner::default();
        for record in records(vec![started(&origin, 1, sql), finished(&origin, 1, rows)]) {
            joiner.take(&record);
        }
        let mut statement = joiner.finish().next().unwrap();
        let results = &mut statement.finish.as_mut().unwrap().results;
        results.push(CommandResult { tag: tag.into() });
        statement
    }

    #[test]
    fn each_condition_has_to_hold() {
        let statement = statement("update orders set a = 1", 7, "UPDATE 7");
        let base = Query {
            principals: vec!["dana".parse().unwrap(), "maya".parse().unwrap()],
            tag: Some("update".into()),
            table: Some("public.orders".parse().unwrap()),
            rows: Some(RowCount { from: 7, to: 7 }),
            longer: Some(Duration::from_millis(6)),
            since: Some(statement.at),
            outcomes: vec![Ending::As(Outcome::Completed)],
            ..Query::default()
        };
        assert!(base.accepts(&statement));
        let changes: [fn(&mut Query); 8] = [
            |it| it.principals = vec!["dana".parse().unwrap()],
            |it| it.tag = Some("UPD".into()),
            |it| it.table = Some("other".parse().unwrap()),
            |it| {
                it.rows = Some(RowCount {
                    from: 8,
                    to: u64::MAX,
                });
            },
            |it| it.longer = Some(Duration::from_millis(7)),
            |it| it.until = it.since,
            |it| it.outcomes = vec![Ending::None],
            |it| it.sqlstate = Some("42*".parse().unwrap()),
        ];
        for change in changes {
            let mut query = base.clone();
            change(&mut query);
            assert!(!query.accepts(&statement), "{query:?}");
        }
    }

    #[test]
    fn a_commit_that_failed_counts_as_a_failure() {
        let mut statement = statement("insert into a values (1)", 0, "INSERT 0 1");
        let mut query = Query {
            outcomes: vec![Ending::As(Outcome::Failed)],
            ..Query::default()
        };
        assert!(!query.accepts(&statement));
        statement.commit_failed = Some("23503".into());
        assert!(query.accepts(&statement));
        query.sqlstate = Some("23*".parse().unwrap());
        assert!(query.accepts(&statement));
    }

    #[test]
    fn sqlstates_are_whole_or_end_in_a_star() {
        let is = |pattern: &str, code| pattern.parse::<SqlstatePattern>().unwrap().is(code);
        assert!(is("42p01", "42P01") && is("42*", "42P01") && is("*", "42P01"));
        assert!(!is("42*", "23505") && !is("42P01", "42P02"));
        for wrong in ["", "42", "42P0?", "42P012", "42P01*"] {
            assert!(wrong.parse::<SqlstatePattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tag_is_met_word_by_word() {
        assert!(is_tag("CREATE TABLE", "create") && is_tag("INSERT 0 5", "insert"));
        assert!(!is_tag("CREATE TABLE", "crea") && !is_tag("UPDATE", "UPDATE 5"));
    }
}
