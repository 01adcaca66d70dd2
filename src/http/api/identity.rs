//! Who one is, and what one may ask for.

use axum::Json;
use axum::extract::State;

use super::super::auth::Authenticated;
use super::super::types::{TargetView, Whoami};
use super::{ApiState, views};

/// Who the token belongs to.
#[utoipa::path(
    get,
    path = "/whoami",
    operation_id = "whoami",
    tag = "identity",
    responses((status = 200, body = Whoami)),
)]
pub(super) async fn whoami(Authenticated(caller): Authenticated) -> Json<Whoami> {
    let (mfa, scope) = (caller.mfa, caller.scope);
    let caller = caller.principal;
    Json(Whoami {
        mfa,
        scope,
        name: caller.name,
        groups: caller.groups,
    })
}

/// The targets that one may ask for, or decide about.
#[utoipa::path(
    get,
    path = "/targets",
    operation_id = "listTargets",
    tag = "identity",
    responses((status = 200, body = Vec<TargetView>)),
)]
pub(super) async fn targets(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Json<Vec<TargetView>> {
    let targets = state.control.targets(&caller);
    Json(targets.into_iter().map(views::target).collect())
}
