//! What the control plane answers, as the API's documents.

use jiff::Timestamp;

use super::super::types::{
    AccountView, ConnectionView, HoldView, NewToken, RequestView, ReviewView, SessionSecret,
    SessionView, SetUp, StageView, TargetView, TokenView, TriedChannel,
};
use super::Endpoint;
use crate::access::{Account, ApiToken, Chain, Databases, Hold, RequestState, Review, Session};
use crate::control::{
    ConnectionInfo, Granted, Made, RequestStatus, SessionStatus, TargetAccess, Tried,
};
use crate::secret::Secret;

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
        environment: target.environment,
        read_only: target.read_only,
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

pub(super) fn token(token: ApiToken) -> TokenView {
    TokenView {
        id: token.id,
        owner: token.owner,
        made_by: token.made_by,
        origin: token.origin,
        note: token.note,
        scope: token.scope,
        mfa: token.mfa,
        created_at: token.created_at,
        expires_at: token.expires_at,
        last_used_at: token.last_used_at,
        revoked_at: token.revoked_at,
    }
}

pub(super) fn new_token(made: Made) -> NewToken {
    NewToken {
        token: made.secret.expose().to_owned(),
        known: token(made.token),
    }
}

pub(super) fn account(account: Account) -> AccountView {
    AccountView {
        name: account.name,
        kind: account.kind,
        groups: account.groups,
        email: account.email,
        totp: account.totp,
        created_at: account.created_at,
        seen_at: account.seen_at,
        disabled_at: account.disabled_at,
        locked_until: account.locked_until,
    }
}

pub(super) fn set_up(of: Account, code: Option<Secret>) -> SetUp {
    SetUp {
        account: account(of),
        setup_code: code.map(|code| code.expose().to_owned()),
    }
}

pub(super) fn tried(tried: Tried) -> TriedChannel {
    TriedChannel {
        channel: tried.channel,
        recipient: tried.recipient,
        delivered: tried.failure.is_none(),
        error: tried.failure.map(|failure| failure.to_string()),
        milliseconds: u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX),
    }
}
