//! What is as it was, and what is not.

use serde::Serialize;

use super::super::super::super::human::clean;
use super::super::super::super::out::{BAD, BOLD, DIM, GOOD, WARN, paint};
use super::super::super::show::statement::one_line;
use super::super::super::words::{number, took};
use crate::access::{ConnectionId, SessionId};
use crate::audit::replay::{Difference, Skip, Statement, Story, What};

/// The whole of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The session that was run again.
    pub(super) session: SessionId,
    /// On which server, without a password.
    pub(super) against: String,
    /// Whether what was recorded as committed is committed now.
    pub(super) committed: bool,
    /// Each statement, in the order in which they began.
    pub(super) statements: Vec<Line>,
    /// In numbers.
    pub(super) totals: Totals,
    /// What has to be known to read it.
    pub(super) notes: Vec<String>,
}

/// A statement.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    /// Its number in the session.
    pub(super) number: usize,
    /// The connection, and its number in the session.
    pub(super) connection: ConnectionId,
    pub(super) connection_number: usize,
    /// The sequence of its record.
    pub(super) seq: u64,
    /// What became of it.
    #[serde(flatten)]
    pub(super) result: Verdict,
    /// How long it took then, in microseconds.
    pub(super) recorded_microseconds: Option<u64>,
    /// How long it took now.
    pub(super) microseconds: Option<u64>,
    #[serde(skip)]
    pub(super) statement: Statement,
}

/// What became of a statement.
#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub(super) enum Verdict {
    /// It did what it did then.
    Same,
    /// It did not.
    Different {
        /// In what.
        differences: Vec<Difference>,
        /// Why that may be.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// It was not run.
    Skipped {
        /// Why.
        #[serde(flatten)]
        skip: Skip,
        /// The same in words.
        reason: String,
    },
    /// It, or its connection, came to no end in time.
    Stuck {
        /// What happened.
        error: String,
    },
}

/// In numbers.
#[derive(Debug, Default, Serialize)]
pub(super) struct Totals {
    pub(super) same: usize,
    pub(super) different: usize,
    pub(super) skipped: usize,
    /// Of what was run both times.
    pub(super) recorded_microseconds: u64,
    pub(super) microseconds: u64,
}

impl Totals {
    pub(super) fn of(lines: &[Line]) -> Self {
        let mut totals = Self::default();
        for line in lines {
            match line.result {
                Verdict::Same => totals.same += 1,
                Verdict::Different { .. } | Verdict::Stuck { .. } => totals.different += 1,
                Verdict::Skipped { .. } => totals.skipped += 1,
            }
            if let (Some(then), Some(now)) = (line.recorded_microseconds, line.microseconds) {
                totals.recorded_microseconds += then;
                totals.microseconds += now;
            }
        }
        totals
    }
}

/// The report for people; with `full`, also what is the same.
pub(super) fn text(report: &Report, story: &Story, full: bool) -> String {
    let several = story.connections.len() > 1;
    let shown = |line: &&Line| full || !matches!(line.result, Verdict::Same);
    let mut lines: Vec<String> = Vec::new();
    for line in report.statements.iter().filter(shown) {
        lines.extend(told(line, several));
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(summary(report));
    lines.extend(
        report
            .notes
            .iter()
            .map(|note| paint(DIM, &format!("  {note}"))),
    );
    lines.join("\n")
}

fn told(line: &Line, several: bool) -> Vec<String> {
    let number = format!("{:>5}", format!("#{}", line.number));
    let connection = match several {
        true => format!(" {:>2}│", line.connection_number),
        false => String::new(),
    };
    let head = |word: String| {
        format!(
            "{}{connection} {word} {}",
            paint(DIM, &number),
            one_line(&line.statement)
        )
    };
    match &line.result {
        Verdict::Same => vec![format!(
            "{} {}",
            head(paint(GOOD, "=")),
            paint(DIM, &times(line))
        )],
        Verdict::Skipped { reason, .. } => vec![
            head(paint(WARN, "–")),
            format!("         {}", paint(WARN, &format!("not run: {reason}"))),
        ],
        Verdict::Stuck { error } => vec![
            head(paint(BAD, "✗")),
            format!("         {}", paint(BAD, &clean(error))),
        ],
        Verdict::Different { differences, hint } => {
            let mut lines = vec![head(paint(BAD, "≠"))];
            for it in differences {
                let what = match it.what {
                    What::Error => "result",
                    What::Tags => "tags",
                    What::Rows => "rows",
                    What::Copy => "copied",
                };
                lines.push(format!("         {what:<7} then  {}", clean(&it.then)));
                let now = format!("now   {}", clean(&it.now));
                lines.push(format!("         {:<7} {}", "", paint(BOLD, &now)));
            }
            lines.extend(
                hint.iter()
                    .map(|it| format!("         {}", paint(WARN, it))),
            );
            lines
        }
    }
}

fn times(line: &Line) -> String {
    let time = |it: Option<u64>| it.map_or_else(|| "–".to_owned(), took);
    format!(
        "({} then, {} now)",
        time(line.recorded_microseconds),
        time(line.microseconds)
    )
}

fn summary(report: &Report) -> String {
    let totals = &report.totals;
    let all = totals.same + totals.different + totals.skipped;
    let different = match totals.different {
        0 => paint(GOOD, "none different"),
        n => paint(BAD, &format!("{n} different")),
    };
    let skipped = match totals.skipped {
        0 => String::new(),
        n => paint(WARN, &format!(", {n} not run")),
    };
    let time = format!(
        "{} in the database then, {} now",
        took(totals.recorded_microseconds),
        took(totals.microseconds)
    );
    let end = match report.committed {
        true => "committed as recorded",
        false => "everything rolled back",
    };
    format!(
        "{}: {} the same, {different}{skipped}; {time}; {end}",
        number(all as u64, "statement"),
        totals.same
    )
}
