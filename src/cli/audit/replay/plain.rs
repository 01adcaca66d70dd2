//! A session as lines, with the time between them.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::super::super::error::CliError;
use super::super::super::out::{self, DIM, Format, Output, paint};
use super::super::super::{Done, Global};
use super::super::show::moments::{acts, beside, marked};
use super::super::show::statement::{begun, ended};
use super::super::words::clock;
use super::ReplayArgs;
use crate::audit::replay::{Cue, Moment, Story, Tape};

/// Something to print: where on the tape, and what.
struct Entry<'a> {
    at: Duration,
    moment: &'a Moment<'a>,
    number: Option<usize>,
    /// Whether it is the end of what has begun before.
    is_end: bool,
}

pub(super) async fn run(global: &Global, args: &ReplayArgs, story: &Story) -> Done {
    let moments = Tape::moments(story);
    let tape = Tape::of(&moments);
    let began = Instant::now();
    let mut played = Duration::ZERO;
    let mut before = Duration::ZERO;
    for entry in entries(&tape, &moments) {
        if !args.no_wait {
            let takes = tape.takes(before, entry.at, args.max_idle);
            played += takes.div_f64(args.speed);
            tokio::time::sleep_until(began + played).await;
        }
        before = entry.at;
        match global.output() {
            Output(Format::Json) => out::print(&json(&entry)?)?,
            // CSV is refused before any command that has none.
            Output(Format::Human | Format::Csv) => out::print(&text(story, &entry, args.full))?,
        }
    }
    Ok(0)
}

/// Beginnings and ends in their order.
fn entries<'a>(tape: &Tape, moments: &'a [Moment<'a>]) -> Vec<Entry<'a>> {
    let entry = |cue: &Cue, at, is_end| Entry {
        at,
        moment: &moments[cue.moment],
        number: cue.number,
        is_end,
    };
    let begin = tape.cues.iter().map(|cue| entry(cue, cue.start, false));
    let statements = tape.cues.iter().filter(|cue| cue.number.is_some());
    let end = statements.map(|cue| entry(cue, cue.end, true));
    let mut all: Vec<Entry<'_>> = begin.chain(end).collect();
    all.sort_by_key(|entry| entry.at);
    all
}

fn text(story: &Story, entry: &Entry<'_>, full: bool) -> String {
    let time = paint(DIM, &format!("{:>12}", clock(entry.at)));
    let Moment::Statement(statement) = entry.moment else {
        return beside(&time, &acts(story, entry.moment));
    };
    let mut lines = match entry.is_end {
        true => ended(statement, full),
        false => begun(statement, full),
    };
    let mark = marked(story, statement.connection);
    let number = format!("{:>4} ", format!("#{}", entry.number.unwrap_or_default()));
    for (place, line) in lines.iter_mut().enumerate() {
        let number = if place == 0 { &number } else { "     " };
        *line = format!("{mark}{}{line}", paint(DIM, number));
    }
    beside(&time, &lines)
}

/// A line of JSON: a beginning as it was recorded, or the end of what has begun.
#[derive(Serialize)]
struct Line {
    /// Milliseconds from the first line.
    milliseconds: u128,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<usize>,
    of: serde_json::Value,
}

fn json(entry: &Entry<'_>) -> Result<String, CliError> {
    let (event, of) = match entry.moment {
        Moment::Opened(it) => ("connection_opened", serde_json::to_value(it)),
        Moment::Cancelled(it) => ("cancel_requested", serde_json::to_value(it)),
        Moment::Closed(it, _) => ("connection_closed", serde_json::to_value(it.id)),
        Moment::Ended(it) => ("session_ended", serde_json::to_value(it)),
        Moment::Statement(it) if entry.is_end => {
            ("statement_finished", serde_json::to_value(&it.end))
        }
        Moment::Statement(it) => ("statement_started", serde_json::to_value(it)),
        _ => ("other", Ok(serde_json::Value::Null)),
    };
    let line = of.and_then(|of| {
        serde_json::to_string(&Line {
            milliseconds: entry.at.as_millis(),
            event,
            number: entry.number,
            of,
        })
    });
    line.map_err(|error| CliError::Output(error.into()))
}
