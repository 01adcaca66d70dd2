//! Reviews of what was done when the glass was broken.

use axum::Json as Answer;
use axum::extract::{Path, State};
use serde::Deserialize;

use super::super::auth::Authenticated;
use super::super::extract::{Json, Query};
use super::super::problem::Rejection;
use super::super::types::{CloseReview, ReviewView};
use super::{ApiState, views};
use crate::access::SessionId;
use crate::control::Error;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    #[serde(default)]
    state: ListState,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum ListState {
    #[default]
    Open,
    All,
}

/// `GET reviews?state=open|all`
pub(super) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Query(list): Query<List>,
) -> Result<Answer<Vec<ReviewView>>, Rejection> {
    let open_only = list.state == ListState::Open;
    let reviews = state.control.reviews(&caller, open_only).await?;
    Ok(Answer(reviews.into_iter().map(views::review).collect()))
}

/// `POST reviews/{session}/close`
pub(super) async fn close(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    Json(CloseReview { note }): Json<CloseReview>,
) -> Result<Answer<ReviewView>, Rejection> {
    let review = state
        .control
        .close_review(&caller, parse(&id)?, &note)
        .await?;
    Ok(Answer(views::review(review)))
}

/// What is no id names no review: the same answer as for one that is not there.
fn parse(id: &str) -> Result<SessionId, Error> {
    id.parse().map_err(|_| Error::NotFound("review"))
}
