//! Sessions whose records auditors keep.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::super::auth::Authenticated;
use super::super::extract::Json;
use super::super::problem::Rejection;
use super::super::types::{HoldView, Reason};
use super::{ApiState, sessions, views};
use crate::access::SessionId;

/// Sessions whose records are kept.
#[utoipa::path(
    get,
    path = "/audit/holds",
    operation_id = "listHolds",
    tag = "audit",
    responses((status = 200, body = Vec<HoldView>)),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Answer<Vec<HoldView>>, Rejection> {
    let holds = state.control.holds(&caller).await?;
    Ok(Answer(holds.into_iter().map(views::hold).collect()))
}

/// Keep the records of a session.
#[utoipa::path(
    put,
    path = "/audit/holds/{session}",
    operation_id = "placeHold",
    tag = "audit",
    params(("session" = SessionId, Path)),
    responses((status = 201, body = HoldView)),
)]
pub(super) async fn place(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    Json(Reason { reason }): Json<Reason>,
) -> Result<(StatusCode, Answer<HoldView>), Rejection> {
    let session = sessions::parse(&id)?;
    let hold = state.control.place_hold(&caller, session, &reason).await?;
    Ok((StatusCode::CREATED, Answer(views::hold(hold))))
}

/// Keep them no longer.
#[utoipa::path(
    delete,
    path = "/audit/holds/{session}",
    operation_id = "releaseHold",
    tag = "audit",
    params(("session" = SessionId, Path)),
    responses((status = 200, body = HoldView)),
)]
pub(super) async fn release(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    Json(Reason { reason }): Json<Reason>,
) -> Result<Answer<HoldView>, Rejection> {
    let session = sessions::parse(&id)?;
    let control = &state.control;
    let hold = control.release_hold(&caller, session, &reason).await?;
    Ok(Answer(views::hold(hold)))
}
