//! What the configuration says.

use axum::Json as Answer;
use axum::extract::State;

use super::super::auth::Authenticated;
use super::super::problem::Rejection;
use super::super::types::{ConfigSummary, LiveSession};
use super::ApiState;
use crate::access::PrincipalKind;
use crate::control::Live;

/// What the configuration in force says.
#[utoipa::path(
    get,
    path = "/config/summary",
    operation_id = "configSummary",
    tag = "policy",
    responses((status = 200, body = ConfigSummary)),
)]
pub(super) async fn summary(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Answer<ConfigSummary>, Rejection> {
    let (configuration, live) = state.control.configuration(&caller).await?;
    Ok(Answer(ConfigSummary {
        since: configuration.since,
        files: configuration.files.clone(),
        facts: configuration.facts.clone(),
        sessions: live.into_iter().map(session).collect(),
    }))
}

fn session(live: Live) -> LiveSession {
    let (session, request) = (live.session, live.request);
    let (kind, groups) = match live.holder {
        Some(holder) => (holder.kind, holder.groups),
        None => (PrincipalKind::Person, Vec::new()),
    };
    LiveSession {
        id: session.id,
        principal: session.principal,
        principal_kind: kind,
        groups,
        target: session.target,
        expires_at: session.expires_at,
        kind: request.kind,
        mfa: request.circumstances.mfa,
        address: request.circumstances.address,
        asked_at: request.created_at,
        starts_at: request.starts_at,
        seconds: request.granted_duration().as_secs(),
        reason: request.reason,
        ticket: request.ticket,
    }
}
