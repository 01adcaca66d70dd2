//! Requests to show.

use jiff::Timestamp;

use crate::access::{RequestId, RequestKind, RequestState};
use crate::http::types::RequestView;

pub(super) fn view(state: RequestState) -> RequestView {
    RequestView {
        id: RequestId::from_random(1),
        requester: "maya".parse().unwrap(),
        target: "orders-ro".parse().unwrap(),
        duration: "30m".into(),
        reason: "INC-1\x1b[2J".into(),
        created_at: at(0),
        lapses_at: at(3600),
        state,
        may_decide: false,
        kind: RequestKind::Session,
        extends: None,
        ticket: None,
        starts_at: None,
        stage: None,
        approvals: Vec::new(),
        deciders: Vec::new(),
        version: 1,
    }
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}
