//! What is found, as people read it: a row each, or all of it.

use std::borrow::Cow;

use anstyle::Style;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::columns::{Column, Columns, Field};
use super::super::highlight;
use super::super::human::{clean, count};
use super::super::out::{BAD, DIM, WARN, paint};
use super::words::{self, number, took};
use crate::audit::search::Found;
use crate::audit::{Missing, Outcome, Record, Statement};

/// Characters of a parameter in a row.
const VALUE: usize = 60;

/// The columns that rows have, on a terminal of this width.
pub(super) fn columns(width: Option<usize>) -> Columns {
    // A wide terminal has room for names, too.
    let names = width.map_or(12, |width| (width / 9).clamp(10, 24));
    Columns::new(
        vec![
            Column::text("TIME", 19),
            Column::text("WHO", names),
            Column::text("TARGET", names),
            Column::number("TOOK", 7),
            Column::number("ROWS", 7),
            Column::text("RESULT", 9),
            Column::rest("STATEMENT"),
        ],
        width,
    )
}

/// A row of what was found.
pub(super) fn row(columns: &Columns, zone: &TimeZone, found: &Found) -> String {
    match found {
        Found::Statement(statement) => statement_row(columns, zone, statement),
        Found::Event(record) => event_row(columns, zone, record),
    }
}

fn statement_row(columns: &Columns, zone: &TimeZone, statement: &Statement) -> String {
    let origin = &statement.origin;
    let finish = statement.finish.as_ref();
    let (style, result) = result(statement);
    columns.row(&[
        Field::Text(DIM, local(zone, statement.at).into()),
        Field::plain(origin.principal.as_str()),
        Field::plain(origin.target.as_str()),
        Field::plain(finish.map_or_else(String::new, |it| took(it.microseconds))),
        Field::plain(finish.map_or_else(String::new, |it| count(it.rows))),
        Field::Text(style, result),
        Field::Sql(&in_one(statement)),
    ])
}

fn event_row(columns: &Columns, zone: &TimeZone, record: &Record) -> String {
    let about = record.event.about();
    let by = about.principals.into_iter().flatten().last();
    let what = told(record);
    columns.row(&[
        Field::Text(DIM, local(zone, record.at).into()),
        Field::plain(by.map_or("", |it| it.as_str())),
        Field::plain(about.target.map_or("", |it| it.as_str())),
        Field::plain(""),
        Field::plain(""),
        Field::plain(""),
        Field::Text(WARN, what.into()),
    ])
}

/// A record that is not of a statement, in words.
pub(super) fn told(record: &Record) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(&record.event) else {
        return String::new();
    };
    let kind = fields
        .get("type")
        .and_then(|it| it.as_str())
        .unwrap_or_default();
    let named = ["type", "principal", "target", "database"];
    let rest = fields
        .iter()
        .filter(|(name, _)| !named.contains(&name.as_str()));
    let rest = rest.map(|(name, value)| match value {
        serde_json::Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    });
    let rest: Vec<String> = rest.collect();
    format!("{}  {}", kind.replace('_', " "), rest.join("  "))
}

/// All that is known of what was found, in some lines.
pub(super) fn whole(zone: &TimeZone, found: &Found) -> String {
    match found {
        Found::Statement(statement) => whole_statement(zone, statement),
        Found::Event(record) => {
            let at = paint(DIM, &local(zone, record.at));
            format!("{at}  {}\n", paint(WARN, &clean(&told(record))))
        }
    }
}

fn whole_statement(zone: &TimeZone, statement: &Statement) -> String {
    let origin = &statement.origin;
    let (style, result) = result(statement);
    let mut head = vec![
        paint(DIM, &local(zone, statement.at)),
        origin.principal.to_string(),
        clean(&format!("{}/{}", origin.target, origin.database)),
        paint(
            DIM,
            &format!(
                "{} {}#{}",
                origin.session, origin.connection, statement.statement
            ),
        ),
        paint(style, &told_result(statement, &result)),
    ];
    if let Some(finish) = &statement.finish {
        head.push(took(finish.microseconds));
        let tags: Vec<_> = statement.tags().collect();
        head.push(clean(&tags.join(", ")));
        head.push(number(finish.rows, "row"));
    }
    head.retain(|part| !part.is_empty());
    let mut lines = vec![head.join("  ")];
    let sql = statement
        .sql
        .as_ref()
        .map(|sql| highlight::lines(&sql.to_lossy()));
    let sql = sql.unwrap_or_else(|| clean(&in_one(statement)));
    lines.extend(sql.lines().map(|line| format!("    {line}")));
    for (value, number) in statement.parameters.iter().zip(1..) {
        lines.push(format!(
            "    {}",
            paint(
                DIM,
                &format!("${number} = {}", clean(&words::value(value, None)))
            )
        ));
    }
    lines.extend(
        statement
            .missing
            .iter()
            .map(|it| format!("    {}", paint(WARN, &lacks(it)))),
    );
    lines.join("\n") + "\n"
}

/// With PostgreSQL's name for an error.
fn told_result(statement: &Statement, result: &str) -> String {
    statement
        .sqlstate()
        .map_or_else(|| result.to_owned(), words::error)
}

/// How a statement ended, in a word: `ok`, or what went wrong.
pub(super) fn result(statement: &Statement) -> (Style, Cow<'static, str>) {
    if let Some(code) = statement.sqlstate() {
        return (BAD, code.to_owned().into());
    }
    match statement.outcome() {
        Some(Outcome::Completed) => (Style::new(), "ok".into()),
        Some(Outcome::Failed) => (BAD, "failed".into()),
        Some(outcome) => (WARN, outcome.label().into()),
        None => (WARN, "running".into()),
    }
}

/// The text of a statement, with its parameters behind it as a comment.
pub(super) fn in_one(statement: &Statement) -> String {
    let mut text = match (&statement.sql, statement.function) {
        (Some(sql), _) => sql.to_lossy().into_owned(),
        (None, Some(oid)) => format!("-- call of function {oid}"),
        (None, None) => match &statement.name {
            Some(name) => format!("-- prepared statement {}", name.to_lossy()),
            None => "-- a text that is not in what was read".to_owned(),
        },
    };
    if !statement.parameters.is_empty() {
        let values = statement.parameters.iter().zip(1..);
        let values =
            values.map(|(value, n)| format!("${n} = {}", words::value(value, Some(VALUE))));
        let values: Vec<String> = values.collect();
        // On a line of its own: the text may end in a comment.
        text = format!("{}\n/* {} */", text.trim_end(), values.join(", "));
    }
    text
}

fn lacks(missing: &Missing) -> String {
    match missing {
        Missing::Definition => {
            "its text is in the PREPARE or DECLARE that an earlier statement ran".to_owned()
        }
        Missing::Text { statement } => {
            format!("its text, of number {statement}, is not in the log")
        }
        Missing::Parameters { statement } => {
            format!("its parameters, of number {statement}, are not in the log")
        }
        Missing::Parts { statement } => {
            format!("not all parts of number {statement} are in the log")
        }
        Missing::Rest { bytes } => {
            format!(
                "this is its beginning: all {} bytes are in the log",
                count(*bytes)
            )
        }
    }
}

/// Local time to the second.
pub(super) fn local(zone: &TimeZone, at: Timestamp) -> String {
    at.to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}
