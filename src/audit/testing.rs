//! Records and logs for tests.

use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::chain::{Hash, Head};
use super::listing::segments;
use super::{
    Batch, Event, Flow, Origin, Outcome, Parameter, Record, StatementKind, Text, VERSION, seal,
};
use crate::access::{ConnectionId, SessionId};

/// 2026-11-22 09:00:00 UTC and so many seconds.
pub(super) fn at(second: i64) -> Timestamp {
    let start: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
    start + SignedDuration::from_secs(second)
}

/// The connection `number`, in the session `session`.
pub(super) fn origin(number: u64, session: u64) -> Arc<Origin> {
    Arc::new(Origin::new(
        ConnectionId::from_random(number),
        SessionId::from_random(session),
        "maya".parse().unwrap(),
        "orders-ro".parse().unwrap(),
        "orders".to_owned(),
    ))
}

/// A simple statement that starts.
pub(super) fn started(origin: &Arc<Origin>, statement: u64, sql: &str) -> Event {
    Event::StatementStarted {
        origin: Arc::clone(origin),
        statement,
        kind: StatementKind::Simple,
        name: None,
        portal: None,
        types: Vec::new(),
        sql: Some(sql.into()),
        prepared: None,
        bound: None,
        parameters: Vec::new(),
        function: None,
        parts: 0,
    }
}

/// An extended statement that starts, with what it refers to.
pub(super) fn executed(
    origin: &Arc<Origin>,
    statement: u64,
    sql: Option<&str>,
    (prepared, bound): (Option<u64>, Option<u64>),
    parameters: Vec<Parameter>,
) -> Event {
    Event::StatementStarted {
        origin: Arc::clone(origin),
        statement,
        kind: StatementKind::Extended,
        name: None,
        portal: None,
        types: Vec::new(),
        sql: sql.map(Text::from),
        prepared,
        bound,
        parameters,
        function: None,
        parts: 0,
    }
}

/// A statement that ends, with so many rows.
pub(super) fn finished(origin: &Arc<Origin>, statement: u64, rows: u64) -> Event {
    Event::StatementFinished {
        origin: Arc::clone(origin),
        statement,
        outcome: Outcome::Completed,
        results: Vec::new(),
        sqlstate: None,
        rows,
        bytes: 10 * rows,
        copies: Vec::new(),
        microseconds: 1000 * rows,
    }
}

/// The parts of a message.
pub(super) fn parts(
    origin: &Arc<Origin>,
    statement: u64,
    message: &str,
    parts: &[&[u8]],
) -> Vec<Event> {
    let part = |(data, part): (&&[u8], u64)| Event::StatementPart {
        origin: Arc::clone(origin),
        statement,
        message: message.to_owned(),
        part,
        data: Some(Text::from(*data)),
        bytes: None,
        parameters: Vec::new(),
        sha256: None,
        hmac: None,
    };
    parts.iter().zip(1..).map(part).collect()
}

/// Seals all segments of a folder but the last, as if that one were being written.
pub(super) fn seal_all_but_last(folder: &Path) {
    let flow = Flow::default();
    flow.advance(u64::MAX);
    let last = segments(folder).unwrap().pop();
    flow.open_segment(last.unwrap().first);
    seal::seal_complete(folder, &flow).unwrap();
}

/// The events as records, a second apart.
pub(super) fn records(events: Vec<Event>) -> Vec<Record> {
    let record = |(event, seq): (Event, u64)| Record {
        v: VERSION,
        seq,
        prev: Hash::NONE,
        at: at(seq as i64),
        event,
    };
    events.into_iter().zip(1..).map(record).collect()
}

/// The events as lines, a second apart, behind `head`, which is moved.
pub(super) fn lines(head: &mut Head, events: &[Event]) -> Vec<u8> {
    let mut lines = Vec::new();
    for event in events {
        let mut batch = Batch::new(at(head.seq as i64 + 1));
        batch.push(event);
        batch.link(head, &mut lines);
    }
    lines
}
