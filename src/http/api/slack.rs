//! What people do in Slack: Slack calls, and signs.

use axum::Json as Answer;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::super::problem::Rejection;
use super::ApiState;
use crate::control::{SlackCall, SlackRefusal};

/// What Slack calls when somebody presses a button: a form, signed, which proves who calls.
#[utoipa::path(
    post,
    path = "/slack/interactions",
    operation_id = "slackInteraction",
    tag = "notifications",
    security(()),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200)),
)]
pub(super) async fn interactions(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejection> {
    let header = |name| headers.get(name).and_then(|it| it.to_str().ok());
    let call = SlackCall {
        timestamp: header("x-slack-request-timestamp").unwrap_or_default(),
        signature: header("x-slack-signature").unwrap_or_default(),
        body: &body,
    };
    let complaint = state.control.hear_slack(&call).await.map_err(refusal)?;
    Ok(match complaint {
        // Beside the field of the dialogue that asks for the reason.
        Some(words) => {
            let answer = json!({ "response_action": "errors", "errors": { "reason": words } });
            Answer(answer).into_response()
        }
        None => StatusCode::OK.into_response(),
    })
}

fn refusal(refusal: SlackRefusal) -> Rejection {
    let (status, code) = match refusal {
        SlackRefusal::Unsigned(_) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
        SlackRefusal::Unreadable(_) => (StatusCode::BAD_REQUEST, "invalid"),
    };
    tracing::warn!(%refusal, "a call that claims to be Slack's is refused");
    Rejection::new(status, code, refusal.to_string())
}
