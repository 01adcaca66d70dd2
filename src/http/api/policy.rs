//! What the policies say.

use axum::Json as Answer;
use axum::extract::State;

use super::super::auth::Authenticated;
use super::super::extract::{Json, duration};
use super::super::problem::Rejection;
use super::super::types::{ExplainPolicy, Explanation, PolicyView};
use super::ApiState;
use crate::control::Question;

/// The policies in force.
#[utoipa::path(
    get,
    path = "/policy",
    operation_id = "showPolicies",
    tag = "policy",
    responses((status = 200, body = PolicyView)),
)]
pub(super) async fn show(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Answer<PolicyView>, Rejection> {
    let files = state.control.policy_files(&caller)?;
    Ok(Answer(PolicyView { files }))
}

/// May somebody do something, and why?
#[utoipa::path(
    post,
    path = "/policy/explain",
    operation_id = "explainPolicy",
    tag = "policy",
    responses((status = 200, body = Explanation)),
)]
pub(super) async fn explain(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Json(asked): Json<ExplainPolicy>,
) -> Result<Answer<Explanation>, Rejection> {
    let question = Question {
        principal: asked.principal,
        groups: asked.groups,
        mfa: asked.mfa,
        address: asked.address,
        action: asked.action,
        target: asked.target,
        duration: asked.duration.as_deref().map(duration).transpose()?,
        total: asked.total.as_deref().map(duration).transpose()?,
        at: asked.at,
        reason: asked.reason,
        ticket: asked.ticket,
        requester: asked.requester,
        stage: asked.stage,
        extensions: asked.extensions,
    };
    let explained = state.control.explain(&caller, &question).await?;
    Ok(Answer(explained))
}
