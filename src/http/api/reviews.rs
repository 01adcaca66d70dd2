//! Reviews of what was done when the glass was broken.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::super::auth::Authenticated;
use super::super::extract::{Json, Query};
use super::super::paging::{CursorText, Paged, window};
use super::super::problem::Rejection;
use super::super::types::{CloseReview, ReviewView};
use super::{ApiState, views};
use crate::access::SessionId;
use crate::control::Error;

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
    Open,
    All,
}

/// Open reviews of broken glass, or all.
#[utoipa::path(
    get,
    path = "/reviews",
    operation_id = "listReviews",
    tag = "reviews",
    params(List),
    responses((status = 200, body = Vec<ReviewView>, headers(("Link" = String, description = "The next page, if there is one: rel=\"next\"")))),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    uri: Uri,
    Query(list): Query<List>,
) -> Result<Paged<ReviewView>, Rejection> {
    let open_only = list.state == ListState::Open;
    let window = window(list.limit, list.cursor.as_deref())?;
    let page = state.control.reviews_within(&caller, open_only, &window);
    Ok(Paged::of(page.await?, &uri, views::review))
}

/// Close a review.
#[utoipa::path(
    post,
    path = "/reviews/{session}/close",
    operation_id = "closeReview",
    tag = "reviews",
    params(("session" = SessionId, Path)),
    responses((status = 200, body = ReviewView)),
)]
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
