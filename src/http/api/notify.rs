//! Notifications, tried out.

use axum::Json as Answer;
use axum::extract::State;

use super::super::auth::Authenticated;
use super::super::extract::Json;
use super::super::problem::Rejection;
use super::super::types::{NotifyTest, TriedChannel};
use super::{ApiState, views};

/// Try the channels of notifications out.
#[utoipa::path(
    post,
    path = "/notify/test",
    operation_id = "testNotifications",
    tag = "notifications",
    responses((status = 200, body = Vec<TriedChannel>)),
)]
pub(super) async fn test(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Json(NotifyTest { channel }): Json<NotifyTest>,
) -> Result<Answer<Vec<TriedChannel>>, Rejection> {
    let only = channel.as_deref();
    let tried = state.control.try_channels(&caller, only).await?;
    Ok(Answer(tried.into_iter().map(views::tried).collect()))
}
