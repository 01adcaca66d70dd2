//! Sessions, their secrets and their connections.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use serde::Deserialize;

use super::super::auth::Authenticated;
use super::super::extract::{self, Json, Query};
use super::super::problem::Rejection;
use super::super::types::{
    ConnectionView, Extend, Reason, RequestView, SessionSecret, SessionView,
};
use super::{ApiState, views};
use crate::access::{PrincipalName, SessionId, TargetName};
use crate::control::Error;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    #[serde(default)]
    state: ListState,
    principal: Option<PrincipalName>,
    target: Option<TargetName>,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum ListState {
    #[default]
    Live,
    All,
}

/// `GET sessions?state=live|all&principal=..&target=..`
pub(super) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Query(list): Query<List>,
) -> Result<Answer<Vec<SessionView>>, Rejection> {
    let live_only = list.state == ListState::Live;
    let (who, what) = (list.principal, list.target);
    let sessions = state.control.sessions_of(&caller, live_only, who, what);
    let sessions = sessions.await?;
    Ok(Answer(sessions.into_iter().map(views::session).collect()))
}

/// `GET sessions/{id}`
pub(super) async fn show(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Answer<SessionView>, Rejection> {
    let session = state.control.session(&caller, parse(&id)?).await?;
    Ok(Answer(views::session(session)))
}

/// `POST sessions/{id}/revoke`
pub(super) async fn revoke(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    Json(Reason { reason }): Json<Reason>,
) -> Result<Answer<SessionView>, Rejection> {
    let revoked = state.control.revoke(&caller, parse(&id)?, &reason).await?;
    Ok(Answer(views::session(revoked)))
}

/// `POST sessions/{id}/extend`
pub(super) async fn extend(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    Json(Extend { duration, reason }): Json<Extend>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Answer<RequestView>), Rejection> {
    let (id, more) = (parse(&id)?, extract::duration(&duration)?);
    let asked = state.control.extend(&caller, id, more, &reason).await?;
    let location = format!("/api/v1/requests/{}", asked.request.id);
    let view = views::request(asked);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Answer(view)))
}

/// `POST sessions/{id}/secret`
pub(super) async fn secret(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Answer<SessionSecret>, Rejection> {
    let granted = state.control.read_secret(&caller, parse(&id)?).await?;
    let endpoint = state.endpoint.load();
    Ok(Answer(views::secret(granted, &endpoint)))
}

/// `GET connections`
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
