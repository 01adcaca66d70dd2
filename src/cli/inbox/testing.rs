//! Requests and sessions to show.

use jiff::Timestamp;

use super::model::Inbox;
use crate::access::{Approval, RequestId, RequestKind, RequestState, SessionId, SessionState};
use crate::http::types::{RequestView, SessionView, StageView, TargetView};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The text without its colours.
pub(super) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// So many requests, the newest first.
pub(super) fn inbox(count: u64) -> Inbox {
    let requests = (1..=count).rev().map(request).collect();
    Inbox::new(&"dana".parse().unwrap(), requests)
}

pub(super) fn request(number: u64) -> RequestView {
    RequestView {
        id: RequestId::from_random(number),
        requester: "maya".parse().unwrap(),
        target: "orders-ro".parse().unwrap(),
        kind: RequestKind::Session,
        extends: None,
        duration: "30m".into(),
        reason: format!("INC-{number} stuck refunds"),
        ticket: Some(format!("INC-{number}")),
        starts_at: None,
        created_at: at(0),
        lapses_at: at(3600),
        state: RequestState::Pending,
        stage: Some(StageView {
            number: 2,
            of: 2,
            given: 0,
            needed: 1,
            approvers: vec!["owners".into()],
            escalates_at: None,
        }),
        approvals: vec![Approval {
            by: "lee".parse().unwrap(),
            on_behalf_of: None,
            stage: 1,
            at: at(300),
            seconds: None,
        }],
        deciders: Vec::new(),
        may_decide: true,
        version: 1,
    }
}

pub(super) fn session(principal: &str, state: SessionState) -> SessionView {
    SessionView {
        id: SessionId::from_random(1),
        request: RequestId::from_random(1),
        principal: principal.parse().unwrap(),
        target: "orders-ro".parse().unwrap(),
        reason: "INC-0 \x1b[2J before".into(),
        approved_by: "dana".parse().unwrap(),
        starts_at: at(0),
        expires_at: at(60),
        state,
        connections: 0,
        version: 1,
    }
}

pub(super) fn target(name: &str) -> TargetView {
    TargetView {
        name: name.parse().unwrap(),
        description: "Orders".into(),
        databases: vec!["orders".into()],
        default_database: "orders".into(),
        max_duration: "8h".into(),
        environment: "production".into(),
        read_only: true,
        may_request: false,
        may_approve: true,
    }
}
