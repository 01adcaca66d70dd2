//! Delegations.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::super::auth::Authenticated;
use super::super::extract::Json;
use super::super::once::KeyText;
use super::super::problem::Rejection;
use super::super::types::{Delegate, Delegation};
use super::ApiState;
use crate::access::PrincipalName;
use crate::control::Error;

/// Delegations from and to the caller.
#[utoipa::path(
    get,
    path = "/delegations",
    operation_id = "listDelegations",
    tag = "delegations",
    responses((status = 200, body = Vec<Delegation>)),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Answer<Vec<Delegation>>, Rejection> {
    Ok(Answer(state.control.delegations(&caller).await?))
}

/// Let somebody else decide by one's own powers.
#[utoipa::path(
    post,
    path = "/delegations",
    operation_id = "delegate",
    tag = "delegations",
    params(("Idempotency-Key" = Option<KeyText>, Header)),
    responses((status = 201, body = Delegation)),
)]
pub(super) async fn make(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Json(Delegate { to, until }): Json<Delegate>,
) -> Result<(StatusCode, Answer<Delegation>), Rejection> {
    let made = state.control.delegate(&caller, &to, until).await?;
    Ok((StatusCode::CREATED, Answer(made)))
}

/// End a delegation.
#[utoipa::path(
    delete,
    path = "/delegations/{to}",
    operation_id = "endDelegation",
    tag = "delegations",
    params(("to" = PrincipalName, Path)),
    responses((status = 200, body = Delegation)),
)]
pub(super) async fn end(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(to): Path<String>,
) -> Result<Answer<Delegation>, Rejection> {
    let to = to.parse().map_err(|_| Error::NotFound("delegation"))?;
    Ok(Answer(state.control.end_delegation(&caller, &to).await?))
}
