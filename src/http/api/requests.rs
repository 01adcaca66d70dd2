//! Access requests.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::super::auth::Authenticated;
use super::super::etag::{IfMatch, IfMatchText, IfNoneMatch, IfNoneMatchText, Tagged};
use super::super::extract::{Json, Query, duration};
use super::super::once::KeyText;
use super::super::paging::{CursorText, Paged, window};
use super::super::problem::Rejection;
use super::super::types::{Approve, Approved, DurationText, Reason, RequestView, SubmitRequest};
use super::{ApiState, views};
use crate::access::RequestId;
use crate::control::{Ask, Error};

/// The longest wait for a decision that may be asked for.
const MAX_WAIT: Duration = Duration::from_secs(30);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct List {
    #[serde(default)]
    #[param(inline)]
    state: ListState,
    /// How many at most; 100 by default.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// Where the page before ended.
    #[param(value_type = Option<CursorText>)]
    cursor: Option<String>,
}

#[derive(Deserialize, Default, PartialEq, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ListState {
    #[default]
    Pending,
    All,
}

/// Pending requests, or all.
#[utoipa::path(
    get,
    path = "/requests",
    operation_id = "listRequests",
    tag = "requests",
    params(List),
    responses((status = 200, body = Vec<RequestView>, headers(("Link" = String, description = "The next page, if there is one: rel=\"next\"")))),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    uri: Uri,
    Query(list): Query<List>,
) -> Result<Paged<RequestView>, Rejection> {
    let pending_only = list.state == ListState::Pending;
    let window = window(list.limit, list.cursor.as_deref())?;
    let page = state
        .control
        .requests_within(&caller, pending_only, &window);
    Ok(Paged::of(page.await?, &uri, views::request))
}

/// Ask for access.
#[utoipa::path(
    post,
    path = "/requests",
    operation_id = "submitRequest",
    tag = "requests",
    params(("Idempotency-Key" = Option<KeyText>, Header)),
    responses((status = 201, body = RequestView)),
)]
pub(super) async fn submit(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Json(asked): Json<SubmitRequest>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Answer<RequestView>), Rejection> {
    let ask = Ask {
        target: asked.target,
        duration: duration(&asked.duration)?,
        reason: asked.reason,
        starts_at: asked.starts_at,
        break_glass: asked.break_glass,
    };
    let submitted = state.control.submit(&caller, ask).await?;
    let location = format!("/api/v1/requests/{}", submitted.request.id);
    let view = views::request(submitted);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Answer(view)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wait {
    /// How long to wait for a decision, at most 30s.
    #[param(value_type = Option<DurationText>)]
    wait: Option<String>,
}

/// A request; with `wait`, answered when it is decided, or after that time.
#[utoipa::path(
    get,
    path = "/requests/{id}",
    operation_id = "showRequest",
    tag = "requests",
    params(Wait, ("id" = RequestId, Path), ("If-None-Match" = Option<IfNoneMatchText>, Header)),
    responses((status = 200, body = RequestView), (status = 304, description = "It is what you have")),
)]
pub(super) async fn show(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    known: IfNoneMatch,
    Query(Wait { wait }): Query<Wait>,
) -> Result<Response, Rejection> {
    let (id, wait) = (parse(&id)?, wait.as_deref().map(duration).transpose()?);
    let wait = wait.unwrap_or_default();
    if wait > MAX_WAIT {
        return Err(Rejection::unprocessable("a call waits for at most 30s"));
    }
    let status = tokio::select! {
        status = state.control.decided_request(&caller, id, wait) => status?,
        () = state.shutdown.cancelled() => state.control.request(&caller, id).await?,
    };
    Ok(known.answer(views::request(status)))
}

/// Approve a request.
#[utoipa::path(
    post,
    path = "/requests/{id}/approve",
    operation_id = "approveRequest",
    tag = "requests",
    params(("id" = RequestId, Path), ("If-Match" = Option<IfMatchText>, Header)),
    responses((status = 200, body = Approved)),
)]
pub(super) async fn approve(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    seen: IfMatch,
    Json(approve): Json<Approve>,
) -> Result<Answer<Approved>, Rejection> {
    let shorter = approve.duration.as_deref().map(duration).transpose()?;
    let (request, session) = state
        .control
        .approve(&caller, seen.of(parse(&id)?), shorter)
        .await?;
    Ok(Answer(Approved {
        request: views::request(request),
        session: session.map(views::session),
    }))
}

/// Deny a request.
#[utoipa::path(
    post,
    path = "/requests/{id}/deny",
    operation_id = "denyRequest",
    tag = "requests",
    params(("id" = RequestId, Path), ("If-Match" = Option<IfMatchText>, Header)),
    responses((status = 200, body = RequestView)),
)]
pub(super) async fn deny(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    seen: IfMatch,
    Json(Reason { reason }): Json<Reason>,
) -> Result<Tagged<RequestView>, Rejection> {
    let denied = state
        .control
        .deny(&caller, seen.of(parse(&id)?), &reason)
        .await?;
    Ok(Tagged(views::request(denied)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Take one's own request back.
#[utoipa::path(
    post,
    path = "/requests/{id}/withdraw",
    operation_id = "withdrawRequest",
    tag = "requests",
    params(("id" = RequestId, Path), ("If-Match" = Option<IfMatchText>, Header)),
    responses((status = 200, body = RequestView)),
)]
pub(super) async fn withdraw(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    seen: IfMatch,
    Json(Nothing {}): Json<Nothing>,
) -> Result<Tagged<RequestView>, Rejection> {
    let withdrawn = state
        .control
        .withdraw(&caller, seen.of(parse(&id)?))
        .await?;
    Ok(Tagged(views::request(withdrawn)))
}

/// What is no id names no request: the same answer as for one that is not there.
fn parse(id: &str) -> Result<RequestId, Error> {
    id.parse().map_err(|_| Error::NotFound("request"))
}
