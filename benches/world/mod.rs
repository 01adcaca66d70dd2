//! A target, and sessions for it.

use std::time::Duration;

use hallpass::access::{
    Databases, Grantor, RequestId, Session, SessionId, SessionState, Target, Terms,
};
use jiff::Timestamp;

/// What is reached.
pub(crate) fn target() -> Target {
    Target {
        name: "orders-ro".parse().expect("a name"),
        description: String::new(),
        databases: Databases::Only(vec!["orders".to_owned()]),
        default_database: "orders".to_owned(),
        max_duration: Duration::from_secs(8 * 3600),
        max_connections: u32::MAX,
        idle_timeout: None,
        replication: false,
        terms: Terms::default(),
        owners: Vec::new(),
        environment: "production".to_owned(),
        read_only: true,
        labels: Vec::new(),
    }
}

/// One of many sessions that are live until `expires_at`; each has a principal of its own.
pub(crate) fn session(number: u64, now: Timestamp, expires_at: Timestamp) -> Session {
    Session {
        id: SessionId::from_random(number),
        request: RequestId::from_random(number),
        principal: format!("person-{number}").parse().expect("a name"),
        target: target().name,
        reason: "a bench".to_owned(),
        approved_by: Grantor::People(vec!["dana".parse().expect("a name")]),
        starts_at: now,
        expires_at,
        state: SessionState::Active,
        version: 1,
    }
}
