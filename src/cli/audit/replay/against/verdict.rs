//! What became of each statement, against the record.

use std::collections::HashMap;

use super::super::super::words::number;
use super::report::{Line, Report, Totals, Verdict};
use super::runner::{Outcome, Results, Settings, What, Work};
use crate::access::ConnectionId;
use crate::audit::replay::{Plan, Skip, Statement, Story, compare};

/// What all of it came to.
pub(super) fn report(
    settings: &Settings,
    story: &Story,
    plans: Vec<(&Statement, Plan)>,
    work: &[Work],
    mut results: Results,
) -> Report {
    let places: HashMap<u64, usize> = work
        .iter()
        .enumerate()
        .map(|(i, it)| (it.item.start, i))
        .collect();
    let mut lines = Vec::new();
    let unopened = unopened(work, &results);
    let writers = match settings.committed {
        true => HashMap::new(),
        false => writers(story),
    };
    for (place, (statement, plan)) in plans.into_iter().enumerate() {
        let outcome = places
            .get(&statement.seq)
            .and_then(|it| results.outcomes.remove(it));
        let ordinal = story.ordinal(statement.connection);
        let (mut result, microseconds) = verdict(statement, plan, outcome, &unopened, ordinal);
        if let Verdict::Different { hint, .. } = &mut result {
            *hint = self::hint(story, &writers, statement);
        }
        lines.push(Line {
            number: place + 1,
            connection: statement.connection,
            connection_number: ordinal,
            seq: statement.seq,
            recorded_microseconds: statement.end.as_ref().map(|end| end.microseconds),
            microseconds,
            statement: statement.clone(),
            result,
        });
    }
    let totals = Totals::of(&lines);
    Report {
        session: story.session,
        against: settings.address.name(),
        committed: settings.committed,
        notes: notes(settings, &totals, results.ahead.len()),
        statements: lines,
        totals,
    }
}

/// Why connections could not be opened, by their numbers.
fn unopened(work: &[Work], results: &Results) -> HashMap<usize, String> {
    let opened = work
        .iter()
        .enumerate()
        .filter(|(_, it)| matches!(it.what, What::Open));
    let failed = opened.filter_map(|(index, it)| match results.outcomes.get(&index) {
        Some(Outcome::Lost(why)) => Some((it.item.connection + 1, why.clone())),
        _ => None,
    });
    failed.collect()
}

fn verdict(
    statement: &Statement,
    plan: Plan,
    outcome: Option<Outcome>,
    unopened: &HashMap<usize, String>,
    ordinal: usize,
) -> (Verdict, Option<u64>) {
    let skipped = |skip: Skip| {
        let reason = skip.reason();
        (Verdict::Skipped { skip, reason }, None)
    };
    if let Plan::Skip(skip) = plan {
        return skipped(skip);
    }
    if let Some(why) = unopened.get(&ordinal) {
        let error = format!("no connection: {why}");
        return (Verdict::Stuck { error }, None);
    }
    match outcome {
        Some(Outcome::Ran(ran)) => {
            let took = u64::try_from(ran.took.as_micros()).unwrap_or(u64::MAX);
            let differences = compare(statement, &ran.seen);
            let verdict = match differences.is_empty() {
                true => Verdict::Same,
                false => Verdict::Different {
                    differences,
                    hint: None,
                },
            };
            (verdict, Some(took))
        }
        Some(Outcome::Lost(error)) => (Verdict::Stuck { error }, None),
        Some(Outcome::Skipped(skip)) => skipped(skip),
        None => skipped(Skip::NoConnection),
    }
}

/// The connections that changed something, with the end of the first change.
fn writers(story: &Story) -> HashMap<ConnectionId, u64> {
    let mut writers = HashMap::new();
    for statement in &story.statements {
        let end = statement.end.iter();
        for end in end.filter(|end| end.results.iter().any(changes)) {
            let first = writers.entry(statement.connection).or_insert(end.seq);
            *first = end.seq.min(*first);
        }
    }
    writers
}

/// Why a statement may have done something else, where it is not for the data.
fn hint(
    story: &Story,
    writers: &HashMap<ConnectionId, u64>,
    statement: &Statement,
) -> Option<String> {
    let before = |(connection, end): &(&ConnectionId, &u64)| {
        **connection != statement.connection && **end < statement.seq
    };
    let writer = writers.iter().filter(before).min_by_key(|(_, end)| **end)?;
    Some(format!(
        "perhaps for want of what connection {} had committed before: see --commit",
        story.ordinal(*writer.0)
    ))
}

fn changes(result: &crate::audit::CommandResult) -> bool {
    let tag = result.tag.to_lossy();
    let reads = [
        "SELECT", "BEGIN", "COMMIT", "ROLLBACK", "SET", "SHOW", "FETCH", "EXPLAIN", "START",
    ];
    !reads.iter().any(|it| tag.starts_with(it))
}

fn notes(settings: &Settings, totals: &Totals, ahead: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if ahead > 0 {
        let text = format!(
            "{} went ahead of what it followed then, for that took too long: it waited for a lock, \
             perhaps",
            number(ahead as u64, "statement")
        );
        notes.push(text);
    }
    if !settings.committed && totals.same + totals.different > 0 {
        notes.push(
            "What PostgreSQL does not roll back stays: values of sequences, and what functions do \
             outside of the database."
                .to_owned(),
        );
    }
    notes
}
