//! A session for tests.

use serde_json::{Value, json};

use super::story::Story;
use crate::audit::Record;

/// The session's name.
pub(crate) const SESSION: &str = "ses-000000000001";

/// A record of it; the sequence gives the time, in tenths of a second.
pub(crate) fn record(seq: u64, kind: &str, fields: &Value) -> Record {
    let at =
        jiff::Timestamp::from_millisecond(1_700_000_000_000 + i64::try_from(seq).unwrap() * 100);
    let mut line = json!({
        "v": 1, "seq": seq, "prev": "0".repeat(64), "at": at.unwrap().to_string(), "type": kind,
    });
    let all = line.as_object_mut().unwrap();
    all.extend(fields.as_object().unwrap().clone());
    serde_json::from_value(line).unwrap()
}

/// A record of its connection `number`.
pub(crate) fn of_connection(seq: u64, number: u64, kind: &str, fields: &Value) -> Record {
    let mut whose = json!({
        "connection": format!("con-00000000000{number}"), "session": SESSION,
        "principal": "maya", "target": "orders-admin", "database": "orders",
    });
    whose
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    record(seq, kind, &whose)
}

/// A statement of a connection that is run.
pub(crate) fn started(seq: u64, connection: u64, statement: u64, more: &Value) -> Record {
    let mut fields = json!({"statement": statement, "kind": "extended"});
    fields
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    of_connection(seq, connection, "statement_started", &fields)
}

/// The end of one, after a quarter of a second.
pub(crate) fn finished(seq: u64, connection: u64, statement: u64, more: &Value) -> Record {
    let mut fields = json!({
        "statement": statement, "outcome": "completed", "rows": 0, "bytes": 5,
        "microseconds": 250_000,
    });
    fields
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    of_connection(seq, connection, "statement_finished", &fields)
}

/// Its request and approval.
pub(crate) fn granted() -> Vec<Record> {
    let request = json!({
        "request": "req-000000000001", "principal": "maya", "target": "orders-admin",
        "seconds": 600, "reason": "INC-4312",
    });
    let approval = json!({
        "request": "req-000000000001", "by": "dana", "session": SESSION, "principal": "maya",
        "target": "orders-admin", "expires_at": "2030-01-01T00:00:00Z",
    });
    vec![
        record(1, "request_submitted", &request),
        record(2, "request_approved", &approval),
    ]
}

/// The opening of a connection.
pub(crate) fn opened(seq: u64, connection: u64) -> Record {
    let fields = json!({"peer": "192.0.2.1:5000", "application_name": "psql"});
    of_connection(seq, connection, "connection_opened", &fields)
}

/// Two connections, three statements; the last is full of marks that steer terminals.
pub(crate) fn story() -> Story {
    let mut records = granted();
    let failed = json!({"outcome": "failed", "sqlstate": "42P01"});
    records.extend([
        opened(10, 1),
        opened(11, 2),
        started(15, 1, 1, &json!({"sql": "select 1"})),
        finished(
            18,
            1,
            1,
            &json!({"results": [{"tag": "SELECT 1"}], "rows": 1}),
        ),
        started(
            34,
            2,
            1,
            &json!({"sql": "update orders\nset note = $1", "parameters": ["it's"]}),
        ),
        finished(
            40,
            2,
            1,
            &json!({"results": [{"tag": "UPDATE 3"}], "microseconds": 600_000}),
        ),
        started(
            50,
            1,
            2,
            &json!({"sql": "select * from \u{1b}[2Jhostile\u{202e}"}),
        ),
        finished(53, 1, 2, &failed),
    ]);
    Story::read(SESSION.parse().unwrap(), &records)
}
