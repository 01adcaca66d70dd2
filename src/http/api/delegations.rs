//! Delegations.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::super::auth::Authenticated;
use super::super::extract::Json;
use super::super::problem::Rejection;
use super::super::types::{Delegate, Delegation};
use super::ApiState;
use crate::control::Error;

/// `GET delegations`: those from and to the caller.
pub(super) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Answer<Vec<Delegation>>, Rejection> {
    Ok(Answer(state.control.delegations(&caller).await?))
}

/// `POST delegations`
pub(super) async fn make(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Json(Delegate { to, until }): Json<Delegate>,
) -> Result<(StatusCode, Answer<Delegation>), Rejection> {
    let made = state.control.delegate(&caller, &to, until).await?;
    Ok((StatusCode::CREATED, Answer(made)))
}

/// `DELETE delegations/{to}`
pub(super) async fn end(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(to): Path<String>,
) -> Result<Answer<Delegation>, Rejection> {
    let to = to.parse().map_err(|_| Error::NotFound("delegation"))?;
    Ok(Answer(state.control.end_delegation(&caller, &to).await?))
}
