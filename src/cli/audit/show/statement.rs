//! One statement: its text, its parameters, what became of it.

use super::super::super::highlight;
use super::super::super::human::clean;
use super::super::super::out::{BAD, DIM, GOOD, WARN, paint};
use super::super::words::{error, number, outcome, size, took, value};
use crate::audit::replay::{End, Statement, Step};
use crate::audit::{Copy, CopyDirection, Outcome, StatementKind};

/// Lines of a text, characters of a value, and results that are shown unless all are asked for.
const LINES: usize = 12;
const VALUE: usize = 60;
const PARAMETERS: usize = 20;
const RESULTS: usize = 10;
/// Columns of a text in one line.
const ONE_LINE: usize = 400;

/// A statement in lines.
pub(super) fn lines(statement: &Statement, full: bool) -> Vec<String> {
    let mut lines = begun(statement, full);
    lines.extend(ended(statement, full));
    lines
}

/// What is known of it when it begins: its text and parameters.
pub(in super::super) fn begun(statement: &Statement, full: bool) -> Vec<String> {
    let mut lines = text(statement, full);
    lines.extend(parameters(statement, full));
    lines
}

/// What became of it.
pub(in super::super) fn ended(statement: &Statement, full: bool) -> Vec<String> {
    let mut lines = end(statement, full);
    if let Some(sqlstate) = &statement.commit_failed {
        let text = format!("✗ its commit failed: {}", error(sqlstate));
        lines.push(format!("  {}", paint(BAD, &text)));
    }
    lines
}

/// Its text in one line.
pub(in super::super) fn one_line(statement: &Statement) -> String {
    match (&statement.sql, statement.continues, statement.function) {
        (Some(sql), None, None) => highlight::line(&sql.to_lossy(), Some(ONE_LINE)),
        _ => text(statement, false).swap_remove(0),
    }
}

fn text(statement: &Statement, full: bool) -> Vec<String> {
    let step = match statement.step {
        Step::Prepared => "(only prepared) ",
        Step::Bound => "(only bound) ",
        Step::Started => "",
    };
    let mut lines = match (&statement.sql, statement.function) {
        (_, Some(function)) => vec![format!("call of function {function}")],
        (Some(sql), _) => sql_lines(&sql.to_lossy(), full),
        (None, None) => vec![paint(WARN, &unknown_text(statement))],
    };
    if let Some(first) = lines.first_mut().filter(|_| !step.is_empty()) {
        first.insert_str(0, &paint(DIM, step));
    }
    if statement.continues.is_some() {
        lines = vec![paint(DIM, "more rows of the same portal")];
    }
    lines
}

fn sql_lines(sql: &str, full: bool) -> Vec<String> {
    let text = highlight::lines(sql.trim());
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let hidden = lines.len().saturating_sub(LINES);
    if !full && hidden > 1 {
        lines.truncate(LINES);
        let more = format!(
            "… {} more; --full shows them",
            number(hidden as u64, "line")
        );
        lines.push(paint(DIM, &more));
    }
    if lines.is_empty() {
        lines.push(paint(DIM, "(an empty text)"));
    }
    lines
}

fn unknown_text(statement: &Statement) -> String {
    match &statement.name {
        Some(name) => format!(
            "(text not known: the prepared statement {})",
            clean(&name.to_lossy())
        ),
        None => "(its text is not in this log)".to_owned(),
    }
}

fn parameters(statement: &Statement, full: bool) -> Vec<String> {
    let Some(parameters) = &statement.parameters else {
        return vec![paint(WARN, "  (its parameters are not in this log)")];
    };
    let (most, width) = match full {
        true => (usize::MAX, None),
        false => (PARAMETERS, Some(VALUE)),
    };
    let shown = parameters.iter().take(most).enumerate();
    let shown = shown.map(|(place, parameter)| {
        let name = format!("  ${} = ", place + 1);
        format!("{}{}", paint(DIM, &name), value(parameter, width))
    });
    let mut lines: Vec<String> = shown.collect();
    let hidden = parameters.len().saturating_sub(most);
    if hidden > 0 {
        let more = format!(
            "  … {} more; --full shows them",
            number(hidden as u64, "value")
        );
        lines.push(paint(DIM, &more));
    }
    lines
}

fn end(statement: &Statement, full: bool) -> Vec<String> {
    let Some(end) = &statement.end else {
        let text = "? no outcome in this log";
        return vec![format!("  {}", paint(WARN, text))];
    };
    let mut lines = vec![format!("  {}", verdict(statement, end, full))];
    lines.extend(
        end.copies
            .iter()
            .map(|it| format!("  {}", copied(it, full))),
    );
    lines
}

fn verdict(statement: &Statement, end: &End, full: bool) -> String {
    let took = paint(DIM, &format!("in {}", took(end.microseconds)));
    match end.outcome {
        Outcome::Completed => {
            format!(
                "{} {} {took}",
                paint(GOOD, "✓"),
                what_it_did(statement, end, full)
            )
        }
        Outcome::Suspended => format!(
            "{} {} so far, there are more {took}",
            paint(GOOD, "✓"),
            number(end.rows, "row")
        ),
        Outcome::Failed => {
            let code = end.sqlstate.as_deref().map_or("no code".into(), error);
            let before = done_before(end, full);
            format!(
                "{} {took}",
                paint(BAD, &format!("✗ failed: {code}{before}"))
            )
        }
        Outcome::Skipped => paint(DIM, "– not run: an error before it made the server skip it"),
        Outcome::Unknown => paint(WARN, "? nobody knows: the connection ended first"),
    }
}

fn what_it_did(statement: &Statement, end: &End, full: bool) -> String {
    let done = match statement.kind {
        Some(StatementKind::FunctionCall) => "called".to_owned(),
        _ if end.results.is_empty() => outcome(Some(end.outcome)).to_owned(),
        _ => tags(end, full),
    };
    // The tag of a SELECT says it already.
    let says = end.results.len() == 1 && done.ends_with(&format!(" {}", end.rows));
    match end.rows {
        0 => done,
        _ if says => format!("{done}, {}", size(end.bytes)),
        rows => format!("{done}, {}, {}", number(rows, "row"), size(end.bytes)),
    }
}

fn tags(end: &End, full: bool) -> String {
    let most = if full { usize::MAX } else { RESULTS };
    let tags = end.results.iter().take(most);
    let mut tags: Vec<String> = tags.map(|it| clean(&it.tag.to_lossy())).collect();
    let hidden = end.results.len().saturating_sub(most);
    if hidden > 0 {
        tags.push(format!("… {} more", number(hidden as u64, "result")));
    }
    tags.join("; ")
}

/// What the commands before the one that failed did, of a text with several.
fn done_before(end: &End, full: bool) -> String {
    match end.results.is_empty() {
        true => String::new(),
        false => format!(", after {}", tags(end, full)),
    }
}

fn copied(copy: &Copy, full: bool) -> String {
    let direction = match copy.direction {
        CopyDirection::In => "copied in",
        CopyDirection::Out => "copied out",
    };
    let digest = |name: &str, hash: &str| match full {
        true => format!(", {name} {}", clean(hash)),
        false => format!(", {name} {}…", clean(hash.get(..12).unwrap_or(hash))),
    };
    let hash = match (&copy.sha256, &copy.hmac) {
        (Some(sha256), _) => digest("SHA-256", sha256),
        (None, Some(hmac)) => digest("keyed hash", hmac),
        (None, None) => ", its hash is not recorded".to_owned(),
    };
    format!("{direction}: {}{hash}", size(copy.bytes))
}
