//! The beginning of a story: all of it in a few lines; and its end: what is missing.

use std::time::Duration;

use super::super::super::human::{clean, short};
use super::super::super::out::{BAD, BOLD, DIM, GOOD, WARN, paint};
use super::super::words::{day_and_time, grouped, number, since, size, took, zone};
use crate::audit::Outcome;
use crate::audit::replay::{Ended, Missing, Step, Story};

/// A session in a few lines.
pub(super) fn text(story: &Story) -> String {
    let mut lines = vec![title(story), String::new()];
    let fact = |name: &str, text: String| format!("  {}{text}", paint(DIM, &format!("{name:<10}")));
    lines.push(fact("Asked", asked(story)));
    lines.push(fact("Approved", approved(story)));
    lines.push(fact("Ended", ended(story)));
    lines.push(fact("Ran", ran(story)));
    lines.extend(copied(story).map(|text| fact("Copied", text)));
    lines.extend(crashed(story).map(|text| fact("Crash", text)));
    if !story.missing.is_empty() {
        let text = "not all of it is in this log: see the end";
        lines.push(fact("Lacking", paint(WARN, text)));
    }
    lines.join("\n")
}

fn title(story: &Story) -> String {
    let unknown = || "(unknown)".to_owned();
    let principal = story.principal.as_ref();
    let target = story.target.as_ref();
    let title = format!(
        "{}: {} on {}",
        story.session,
        principal.map_or_else(unknown, ToString::to_string),
        target.map_or_else(unknown, ToString::to_string)
    );
    paint(BOLD, &title)
}

fn asked(story: &Story) -> String {
    let Some(it) = &story.submitted else {
        return paint(WARN, "not in this log");
    };
    format!(
        "{} by {}, for {}: {}",
        day_and_time(it.at),
        it.principal,
        short(Duration::from_secs(it.seconds)),
        reason(&it.reason)
    )
}

fn approved(story: &Story) -> String {
    let Some(it) = &story.approved else {
        return paint(WARN, "not in this log");
    };
    format!(
        "{} by {}, for {}: until {} {}",
        day_and_time(it.at),
        it.by,
        short(since(it.at, it.expires_at) + Duration::from_millis(500)),
        day_and_time(it.expires_at),
        zone(it.at)
    )
}

fn ended(story: &Story) -> String {
    let Some(Ended { at, by, reason, .. }) = &story.ended else {
        return "not as far as this log goes".to_owned();
    };
    let after = short(since(story.begins_at(), *at) + Duration::from_millis(500));
    let how = match by {
        Some(by) => paint(WARN, &format!("revoked by {by}: {}", self::reason(reason))),
        None => "its time was over".to_owned(),
    };
    format!("{} {how} (after {after})", day_and_time(*at))
}

pub(super) fn reason(reason: &str) -> String {
    match clean(reason) {
        text if text.is_empty() => "no reason given".to_owned(),
        text => text,
    }
}

fn ran(story: &Story) -> String {
    let totals = &story.totals;
    let mut text = format!(
        "{} in {}",
        number(totals.statements as u64, "statement"),
        number(totals.connections as u64, "connection")
    );
    if totals.statements == 0 {
        return text;
    }
    text += &match totals.failed {
        0 => paint(GOOD, ", none failed"),
        n => format!(", {}", paint(BAD, &format!("{} failed", grouped(n as u64)))),
    };
    if totals.unknown > 0 {
        let unknown = format!(", {} without an outcome", grouped(totals.unknown as u64));
        text += &paint(WARN, &unknown);
    }
    format!(
        "{text}; {}, {}, {} in the database",
        number(totals.rows, "row"),
        size(totals.bytes),
        took(totals.microseconds)
    )
}

fn copied(story: &Story) -> Option<String> {
    let totals = &story.totals;
    let part = |bytes, how| (bytes > 0).then(|| format!("{} {how}", size(bytes)));
    let parts = [
        part(totals.copied_in, "into the database"),
        part(totals.copied_out, "out of it"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn crashed(story: &Story) -> Option<String> {
    let crash =
        |it: &crate::audit::replay::Connection| it.closed.as_ref().is_some_and(|it| it.is_crash());
    let connections = story.connections.iter().filter(|it| crash(it)).count();
    if connections == 0 {
        return None;
    }
    let started = story
        .statements
        .iter()
        .filter(|it| it.step == Step::Started);
    let unknown = started.filter(|it| it.outcome() == Some(Outcome::Unknown));
    let text = format!(
        "hallpass died with {} open: how {} ended nobody knows",
        number(connections as u64, "connection"),
        number(unknown.count() as u64, "statement")
    );
    Some(paint(BAD, &text))
}

/// What belongs to the session and is not there.
pub(super) fn missing(story: &Story) -> String {
    let mut lines = vec![paint(WARN, "Not in this log, or not to be read in it:")];
    let told = story.missing.iter();
    lines.extend(told.map(|it| format!("  - {}", lacks(story, it))));
    lines.join("\n")
}

fn lacks(story: &Story, missing: &Missing) -> String {
    let statements = |count: usize| number(count as u64, "statement");
    match missing {
        Missing::Records { first, last } => format!(
            "records {} to {}: deleted by the retention, or not here; some may be of this session",
            grouped(*first),
            grouped(*last)
        ),
        Missing::Unreadable { file, error } => format!(
            "a line of {} that names this session is damaged ({}); see `hallpass audit verify`",
            clean(file),
            clean(error)
        ),
        Missing::Request => "who asked, and why".to_owned(),
        Missing::Approval => "who approved, and until when".to_owned(),
        Missing::Opening { connection } => format!(
            "the beginning of connection {}: where it came from",
            story.ordinal(*connection)
        ),
        Missing::Statements { connection, count } => format!(
            "{} of connection {}",
            number(*count, "statement"),
            story.ordinal(*connection)
        ),
        Missing::Texts { count } => format!(
            "the text of {}: its name was defined in SQL, in a text above it",
            statements(*count)
        ),
        Missing::Parameters { count } => format!("the parameters of {}", statements(*count)),
        Missing::Values { count } => format!(
            "values of {}: the target keeps them out of the record",
            statements(*count)
        ),
    }
}
