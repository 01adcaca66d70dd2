//! What the audit says about a session, read from its segments.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use comfy_table::Cell;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::time::{Instant, sleep};

use super::super::error::CliError;
use super::super::human::{cell, clean, state, table};
use crate::access::ConnectionId;
use crate::audit::{Event, Outcome, Record, Text, reader};

/// A statement of the session: what was recorded before it ran, and what after.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    at: Timestamp,
    /// Its text.
    pub(super) sql: String,
    finish: Option<Finish>,
}

#[derive(Debug, Clone)]
struct Finish {
    outcome: Outcome,
    sqlstate: Option<String>,
    tag: Option<String>,
    microseconds: u64,
}

impl Statement {
    /// How it ended: PostgreSQL's code of a failure, else the outcome's name; nothing before that.
    pub(super) fn end(&self) -> &str {
        self.finish.as_ref().map_or("", |finish| {
            let code = finish.sqlstate.as_deref();
            code.unwrap_or(finish.outcome.label())
        })
    }
}

/// The statements of `session`, once each has its end, or after a while without.
pub(super) async fn statements(folder: &Path, session: &str) -> Result<Vec<Statement>, CliError> {
    let deadline = Instant::now() + Duration::from_secs(3);
    loop {
        let found = read(folder, session)?;
        let whole = !found.is_empty() && found.iter().all(|s| s.finish.is_some());
        if whole || Instant::now() > deadline {
            return Ok(found);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn read(folder: &Path, session: &str) -> Result<Vec<Statement>, CliError> {
    let mut statements = Statements::default();
    for record in reader::records(folder).map_err(CliError::file(folder))? {
        let record = record.map_err(|error| CliError::Demo(error.to_string()))?;
        statements.note(record, session);
    }
    Ok(statements.in_order)
}

/// Statements by their place in the order of their starts.
#[derive(Default)]
struct Statements {
    in_order: Vec<Statement>,
    places: HashMap<(ConnectionId, u64), usize>,
}

impl Statements {
    fn note(&mut self, record: Record, session: &str) {
        match record.event {
            Event::StatementStarted {
                origin,
                statement,
                sql,
                ..
            } if origin.session.to_string() == session => {
                let key = (origin.connection, statement);
                self.places.insert(key, self.in_order.len());
                self.in_order.push(Statement {
                    at: record.at,
                    sql: clean(&sql.unwrap_or_default().to_lossy()),
                    finish: None,
                });
            }
            Event::StatementFinished {
                origin,
                statement,
                outcome,
                results,
                sqlstate,
                microseconds,
                ..
            } => {
                let finish = Finish {
                    outcome,
                    sqlstate,
                    tag: results.last().map(|result| words(&result.tag)),
                    microseconds,
                };
                self.finish((origin.connection, statement), finish);
            }
            _ => {}
        }
    }

    fn finish(&mut self, key: (ConnectionId, u64), finish: Finish) {
        if let Some(&place) = self.places.get(&key) {
            self.in_order[place].finish = Some(finish);
        }
    }
}

fn words(text: &Text) -> String {
    clean(&text.to_lossy())
}

/// The statements as people read them.
pub(super) fn text(statements: &[Statement]) -> String {
    table(
        &["TIME", "STATEMENT", "OUTCOME", "RESULT", "TOOK"],
        statements.iter().map(row).collect(),
        "(nothing)",
    )
}

fn row(statement: &Statement) -> Vec<Cell> {
    let time = statement.at.to_zoned(TimeZone::system());
    let finish = statement.finish.as_ref();
    let outcome = finish.map_or("unfinished", |finish| finish.outcome.label());
    let result = finish.and_then(|f| f.sqlstate.as_deref().or(f.tag.as_deref()));
    vec![
        cell(&time.strftime("%H:%M:%S").to_string()),
        cell(&shortened(&statement.sql)),
        state(outcome),
        cell(result.unwrap_or("")),
        cell(&finish.map_or(String::new(), |finish| took(finish.microseconds))),
    ]
}

/// As much of a statement as fits a line; the record itself has all of it.
fn shortened(sql: &str) -> String {
    const WIDTH: usize = 44;
    if sql.chars().count() <= WIDTH {
        return sql.to_owned();
    }
    let start: String = sql.chars().take(WIDTH - 1).collect();
    format!("{start}…")
}

fn took(microseconds: u64) -> String {
    match microseconds {
        0..1_000 => format!("{microseconds} us"),
        1_000..1_000_000 => format!("{} ms", microseconds / 1_000),
        _ => format!(
            "{}.{} s",
            microseconds / 1_000_000,
            microseconds / 100_000 % 10
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: &str = r#"
{"v":1,"seq":1,"prev":"0000000000000000000000000000000000000000000000000000000000000000","at":"2026-01-01T00:00:00Z","type":"statement_started","connection":"con-111111111111","session":"ses-111111111111","principal":"maya","target":"orders-ro","database":"orders","statement":1,"kind":"simple","sql":"select 1"}
{"v":1,"seq":2,"prev":"0000000000000000000000000000000000000000000000000000000000000000","at":"2026-01-01T00:00:00Z","type":"statement_started","connection":"con-222222222222","session":"ses-222222222222","principal":"maya","target":"orders-ro","database":"orders","statement":1,"kind":"simple","sql":"select 2"}
{"v":1,"seq":3,"prev":"0000000000000000000000000000000000000000000000000000000000000000","at":"2026-01-01T00:00:01Z","type":"statement_finished","connection":"con-111111111111","session":"ses-111111111111","principal":"maya","target":"orders-ro","database":"orders","statement":1,"outcome":"failed","sqlstate":"57014","rows":0,"bytes":10,"microseconds":1500000}
"#;

    #[test]
    fn a_sessions_statements_are_joined_with_their_ends_and_others_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000000000000000001.jsonl");
        std::fs::write(path, SEGMENT.trim_start()).unwrap();
        let found = read(dir.path(), "ses-111111111111").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].sql.as_str(), found[0].end()),
            ("select 1", "57014")
        );
        let shown = text(&found);
        assert!(
            shown.contains("1.5 s") && shown.contains("failed"),
            "{shown}"
        );
        let unfinished = read(dir.path(), "ses-222222222222").unwrap();
        assert_eq!(unfinished[0].end(), "");
    }

    #[test]
    fn long_statements_are_shortened_for_the_eye_only() {
        assert_eq!(shortened("select 1"), "select 1");
        assert_eq!(shortened(&"é".repeat(60)).chars().count(), 44);
    }
}
