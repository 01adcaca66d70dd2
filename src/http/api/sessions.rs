//! Sessions, their secrets and their connections.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::super::auth::Authenticated;
use super::super::etag::{IfMatch, IfMatchText, IfNoneMatch, IfNoneMatchText, Tagged};
use super::super::extract::{self, Json, Query};
use super::super::once::KeyText;
use super::super::paging::{CursorText, Paged, window};
use super::super::problem::Rejection;
use super::super::types::{
    ConnectionView, Extend, Reason, RequestView, SessionSecret, SessionView,
};
use super::{ApiState, views};
use crate::access::{PrincipalName, SessionId, TargetName};
use crate::control::Error;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct List {
    #[serde(default)]
    #[param(inline)]
    state: ListState,
    /// Only this holder's.
    principal: Option<PrincipalName>,
    /// Only for this target.
    target: Option<TargetName>,
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
    Live,
    All,
}

/// Live sessions, or all.
#[utoipa::path(
    get,
    path = "/sessions",
    operation_id = "listSessions",
    tag = "sessions",
    params(List),
    responses((status = 200, body = Vec<SessionView>, headers(("Link" = String, description = "The next page, if there is one: rel=\"next\"")))),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    uri: Uri,
    Query(list): Query<List>,
) -> Result<Paged<SessionView>, Rejection> {
    let live_only = list.state == ListState::Live;
    let (of, window) = (
        (list.principal, list.target),
        window(list.limit, list.cursor.as_deref())?,
    );
    let control = &state.control;
    let page = control.sessions_within(&caller, live_only, of, &window);
    Ok(Paged::of(page.await?, &uri, views::session))
}

/// A session.
#[utoipa::path(
    get,
    path = "/sessions/{id}",
    operation_id = "showSession",
    tag = "sessions",
    params(("id" = SessionId, Path), ("If-None-Match" = Option<IfNoneMatchText>, Header)),
    responses((status = 200, body = SessionView), (status = 304, description = "It is what you have")),
)]
pub(super) async fn show(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    known: IfNoneMatch,
) -> Result<Response, Rejection> {
    let session = state.control.session(&caller, parse(&id)?).await?;
    Ok(known.answer(views::session(session)))
}

/// End a session, and its connections with it.
#[utoipa::path(
    post,
    path = "/sessions/{id}/revoke",
    operation_id = "revokeSession",
    tag = "sessions",
    params(("id" = SessionId, Path), ("If-Match" = Option<IfMatchText>, Header)),
    responses((status = 200, body = SessionView)),
)]
pub(super) async fn revoke(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    seen: IfMatch,
    Json(Reason { reason }): Json<Reason>,
) -> Result<Tagged<SessionView>, Rejection> {
    let revoked = state
        .control
        .revoke(&caller, seen.of(parse(&id)?), &reason)
        .await?;
    Ok(Tagged(views::session(revoked)))
}

/// Ask for more time in a session.
#[utoipa::path(
    post,
    path = "/sessions/{id}/extend",
    operation_id = "extendSession",
    tag = "sessions",
    params(("id" = SessionId, Path), ("If-Match" = Option<IfMatchText>, Header), ("Idempotency-Key" = Option<KeyText>, Header)),
    responses((status = 201, body = RequestView)),
)]
pub(super) async fn extend(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    seen: IfMatch,
    Json(Extend { duration, reason }): Json<Extend>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Answer<RequestView>), Rejection> {
    let (id, more) = (parse(&id)?, extract::duration(&duration)?);
    let asked = state
        .control
        .extend(&caller, seen.of(id), more, &reason)
        .await?;
    let location = format!("/api/v1/requests/{}", asked.request.id);
    let view = views::request(asked);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Answer(view)))
}

/// All that a client needs to connect.
#[utoipa::path(
    post,
    path = "/sessions/{id}/secret",
    operation_id = "readSecret",
    tag = "sessions",
    params(("id" = SessionId, Path)),
    responses((status = 200, body = SessionSecret)),
)]
pub(super) async fn secret(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Answer<SessionSecret>, Rejection> {
    let granted = state.control.read_secret(&caller, parse(&id)?).await?;
    let endpoint = state.endpoint.load();
    Ok(Answer(views::secret(granted, &endpoint)))
}

/// Open connections.
#[utoipa::path(
    get,
    path = "/connections",
    operation_id = "listConnections",
    tag = "sessions",
    responses((status = 200, body = Vec<ConnectionView>)),
)]
pub(super) async fn connections(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Answer<Vec<ConnectionView>> {
    let connections = state.control.connections(&caller);
    Answer(connections.into_iter().map(views::connection).collect())
}

/// What is no id names no session: the same answer as for one that is not there.
pub(super) fn parse(id: &str) -> Result<SessionId, Error> {
    id.parse().map_err(|_| Error::NotFound("session"))
}
