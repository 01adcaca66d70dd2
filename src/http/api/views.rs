//! What the control plane answers, as the API's documents.

use jiff::Timestamp;

use super::super::types::{
    ConnectionView, HoldView, RequestView, ReviewView, SessionSecret, SessionView, StageView,
    TargetView,
};
use super::Endpoint;
use crate::access::{Chain, Databases, Hold, RequestState, Review, Session};
use crate::control::{ConnectionInfo, Granted, RequestStatus, SessionStatus, TargetAccess};

pub(super) fn target(access: TargetAccess) -> TargetView {
    let target = access.target;
    TargetView {
        max_duration: humantime::format_duration(target.max_duration).to_string(),
        name: target.name,
        description: target.description,
        databases: match target.databases {
            Databases::All => vec!["*".to_owned()],
            Databases::Only(names) => names,
        },
        default_database: target.default_database,
        may_request: access.may_request,
        may_approve: access.may_approve,
    }
}

pub(super) fn request(status: RequestStatus) -> RequestView {
    let (request, now) = (status.request, status.at);
    RequestView {
        id: request.id,
        kind: request.kind,
        extends: request.extends,
        requester: request.requester,
        target: request.target,
        duration: humantime::format_duration(request.duration).to_string(),
        reason: request.reason,
        ticket: request.ticket,
        starts_at: request.starts_at,
        created_at: request.created_at,
        lapses_at: request.lapses_at,
        stage: match request.state {
            RequestState::Pending => stage(&request.chain, now),
            _ => None,
        },
        state: request.state,
        approvals: request.chain.approvals,
        deciders: status.deciders,
        may_decide: status.may_decide,
        version: request.version,
    }
}

fn stage(chain: &Chain, now: Timestamp) -> Option<StageView> {
    let (number, stage) = chain.current()?;
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Some(StageView {
        number,
        of: count(chain.stages.len()),
        given: count(chain.given(number)),
        needed: stage.count,
        approvers: chain.approvers(now),
        escalates_at: chain.escalates_at().filter(|at| *at > now),
    })
}

pub(super) fn session(status: SessionStatus) -> SessionView {
    let session = status.session;
    SessionView {
        id: session.id,
        request: session.request,
        principal: session.principal,
        target: session.target,
        reason: session.reason,
        approved_by: session.approved_by,
        starts_at: session.starts_at,
        expires_at: session.expires_at,
        state: session.state,
        connections: status.connections,
        version: session.version,
    }
}

pub(super) fn review(review: Review) -> ReviewView {
    ReviewView {
        session: review.session,
        request: review.request,
        principal: review.principal,
        target: review.target,
        reason: review.reason,
        opened_at: review.opened_at,
        state: review.state,
    }
}

pub(super) fn secret(granted: Granted, endpoint: &Endpoint) -> SessionSecret {
    let session = granted.session;
    SessionSecret {
        session: session.id,
        host: endpoint.host.clone(),
        port: endpoint.port,
        user: format!("{}~{}", session.principal, session.target),
        database: granted.target.default_database,
        password: granted.secret.expose().to_owned(),
        sslmode: endpoint.sslmode.clone(),
        ca_certificate: endpoint.ca_certificate.clone(),
        expires_at: session.expires_at,
    }
}

pub(super) fn hold((hold, session): (Hold, Session)) -> HoldView {
    HoldView {
        session: hold.session,
        principal: session.principal,
        target: session.target,
        held_by: hold.by,
        held_at: hold.at,
        reason: hold.reason,
    }
}

pub(super) fn connection(info: ConnectionInfo) -> ConnectionView {
    ConnectionView {
        id: info.id,
        session: info.session,
        principal: info.principal,
        target: info.target,
        database: info.database,
        peer: info.peer.to_string(),
        application_name: info.application_name,
        opened_at: info.opened_at,
    }
}
