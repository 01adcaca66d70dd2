//! What there is to do, from what was recorded.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::super::words::since;
use super::Timing;
use super::runner::{What, Work};
use super::worker::Job;
use crate::access::ConnectionId;
use crate::audit::replay::{
    Connection, Item, Plan, Skip, Statement, Step, Story, pieces, plan, replayed,
};
use crate::audit::{Outcome as Recorded, StatementKind, Text};
use crate::sql::command;

/// Stands for what was cut off.
const FAIL: &str = "DO $hallpass$ BEGIN RAISE 'cut off when it was recorded'; END $hallpass$";

/// What is done about each statement that counts.
pub(super) fn plans(story: &Story, committed: bool) -> Vec<(&Statement, Plan)> {
    let connections: HashMap<ConnectionId, _> =
        story.connections.iter().map(|it| (it.id, it)).collect();
    let mut gone: HashSet<(ConnectionId, u64)> = HashSet::new();
    let planned = replayed(story).map(|statement| {
        let connection = connections.get(&statement.connection).copied();
        let mut planned = plan(statement, connection, committed);
        let portal = statement.continues.map(|it| (statement.connection, it));
        if portal.is_some_and(|it| gone.contains(&it)) {
            planned = Plan::Skip(Skip::NoPortal);
        }
        if planned != Plan::Run {
            gone.insert((statement.connection, statement.portal));
        }
        (statement, planned)
    });
    planned.collect()
}

/// What there is to do, in the order in which it began.
pub(super) fn work(
    story: &Story,
    plans: &[(&Statement, Plan)],
    timing: Timing,
    speed: f64,
) -> Vec<Work> {
    let first = story.connections.first();
    let from = first.map_or_else(|| story.begins_at(), |it| it.at);
    let due = |at| match timing {
        Timing::Fast => Duration::ZERO,
        Timing::Original => since(from, at).div_f64(speed),
    };
    let used: HashSet<ConnectionId> = plans.iter().map(|(it, _)| it.connection).collect();
    let connections = story.connections.iter().enumerate();
    let connections = connections.filter(|(_, it)| used.contains(&it.id));
    let mut work: Vec<Work> = connections
        .flat_map(|(place, it)| of_connection(place, it, &due))
        .collect();
    let last = last_of_portals(story);
    let jobs = plans.iter().filter_map(|(statement, plan)| {
        let portal = (statement.connection, statement.portal);
        let goes_on = last.get(&portal) != Some(&statement.number);
        let statement = to_run(statement, plan)?;
        Some(of_statement(story, Job { statement, goes_on }, &due))
    });
    work.extend(jobs);
    work.sort_by_key(|it| it.item.start);
    work
}

type Due<'a> = &'a dyn Fn(Timestamp) -> Duration;

/// The opening of a connection, and its close.
fn of_connection(place: usize, connection: &Connection, due: Due<'_>) -> Vec<Work> {
    let item = |start: u64, end: u64, at| Item {
        connection: place,
        start,
        end: end.max(start + 1),
        due: due(at),
        took: Duration::ZERO,
    };
    let ready = connection.established.as_ref().map_or(0, |it| it.seq);
    let mut work = vec![Work {
        item: item(connection.seq, ready, connection.at),
        what: What::Open,
    }];
    work.extend(connection.closed.as_ref().map(|closed| Work {
        item: item(closed.seq, closed.seq, closed.at),
        what: What::Close,
    }));
    work
}

fn of_statement(story: &Story, job: Job, due: Due<'_>) -> Work {
    let statement = &job.statement;
    let end = statement.end.as_ref();
    let item = Item {
        connection: story.ordinal(statement.connection).saturating_sub(1),
        start: statement.seq,
        end: end.map_or(u64::MAX, |end| end.seq),
        due: due(statement.at),
        took: Duration::from_micros(end.map_or(0, |end| end.microseconds)),
    };
    let what = What::Run(Arc::new(job));
    Work { item, what }
}

/// What is run for a statement; of one that is skipped, what leaves its transaction as it was then.
fn to_run(statement: &Statement, plan: &Plan) -> Option<Statement> {
    let Plan::Skip(skip) = plan else {
        return Some(statement.clone());
    };
    let end = statement.end.as_ref()?;
    let sql = statement
        .sql
        .as_ref()
        .map(Text::to_lossy)
        .unwrap_or_default();
    let instead = match (end.outcome, skip) {
        (Recorded::Failed, Skip::CutOff { .. }) => {
            // What came before it in the same text was done.
            let done = pieces(&sql).into_iter().take(end.results.len());
            let text: Vec<&str> = done.map(|piece| piece.sql).chain([FAIL]).collect();
            text.join(";")
        }
        (Recorded::Failed, _) => FAIL.to_owned(),
        (Recorded::Completed, Skip::TwoPhase) if command(&sql).as_deref() == Some("PREPARE") => {
            "ROLLBACK".to_owned()
        }
        _ => return None,
    };
    Some(Statement {
        step: Step::Started,
        kind: Some(StatementKind::Simple),
        name: None,
        sql: Some(Text::from(&*instead)),
        types: Vec::new(),
        parameters: Some(Vec::new()),
        function: None,
        continues: None,
        ..statement.clone()
    })
}

/// The last number that was executed of each portal.
fn last_of_portals(story: &Story) -> HashMap<(ConnectionId, u64), u64> {
    let run = story
        .statements
        .iter()
        .filter(|it| it.step == Step::Started);
    run.map(|it| ((it.connection, it.portal), it.number))
        .collect()
}
