//! Who one is, and what one may ask for.

use axum::Json;
use axum::extract::State;

use super::super::auth::Caller;
use super::super::types::{TargetView, Whoami};
use super::{ApiState, views};

/// `GET whoami`
pub(super) async fn whoami(Caller(caller): Caller) -> Json<Whoami> {
    Json(Whoami {
        name: caller.name,
        groups: caller.groups,
    })
}

/// `GET targets`
pub(super) async fn targets(
    State(state): State<ApiState>,
    Caller(caller): Caller,
) -> Json<Vec<TargetView>> {
    let targets = state.control.targets(&caller);
    Json(targets.into_iter().map(views::target).collect())
}
