//! For operators: metrics, liveness, readiness. No authentication: it tells nothing about
//! anybody, and listens where only operators reach.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::audit::Unavailable;
use crate::control::Control;
use crate::telemetry::Metrics;

/// What is looked at.
#[derive(Clone)]
pub struct OpsState {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The control plane, which knows the audit and the store.
    pub control: Arc<Control>,
    /// Cancelled while hallpass drains: no new clients then.
    pub draining: CancellationToken,
}

/// `/metrics`, `/healthz` and `/readyz`.
pub fn router(state: OpsState) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get("ok"))
        .route("/readyz", get(readyz))
        .with_state(state)
}

async fn metrics(State(state): State<OpsState>) -> impl IntoResponse {
    let format = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (format, state.metrics.encode())
}

/// Each check by its name: `ok`, or what is wrong.
#[derive(Serialize)]
struct Checks {
    audit: &'static str,
    store: &'static str,
    draining: &'static str,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    checks: Checks,
}

fn audit(health: Result<(), Unavailable>) -> &'static str {
    match health {
        Ok(()) => "ok",
        Err(Unavailable::Unwritable) => "the audit log cannot be written",
        Err(Unavailable::Unshipped) => {
            "too much of the audit log is not shipped yet (audit.local_limit)"
        }
    }
}

async fn readyz(State(state): State<OpsState>) -> (StatusCode, Json<Ready>) {
    let readiness = state.control.readiness().await;
    let draining = state.draining.is_cancelled();
    let says = |ok, problem| if ok { "ok" } else { problem };
    let ready = readiness.audit.is_ok() && readiness.store && !draining;
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let checks = Checks {
        audit: audit(readiness.audit),
        store: says(readiness.store, "the store does not answer"),
        draining: says(!draining, "no new clients are accepted"),
    };
    (status, Json(Ready { ready, checks }))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::control::testing::{World, caller};

    async fn get(state: &OpsState, path: &str) -> (StatusCode, String, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(state.clone()).oneshot(request).await.unwrap();
        let kind = response.headers()[CONTENT_TYPE]
            .to_str()
            .unwrap()
            .to_owned();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, kind, String::from_utf8(body.into()).unwrap())
    }

    #[tokio::test]
    async fn operators_see_metrics_and_which_check_fails() {
        let world = World::new();
        let state = OpsState {
            metrics: Arc::clone(&world.metrics),
            control: Arc::clone(&world.control),
            draining: CancellationToken::new(),
        };
        let (status, kind, text) = get(&state, "/metrics").await;
        assert_eq!(
            (status.as_u16(), kind.as_str()),
            (200, "text/plain; version=0.0.4; charset=utf-8")
        );
        assert!(text.contains("hallpass_sessions_live"));
        assert_eq!(get(&state, "/healthz").await.2, "ok");
        assert_eq!(get(&state, "/readyz").await.0, 200);

        let session = world.session().await;
        world.break_audit(true);
        let by = caller("dana");
        world.control.revoke(&by, session.id, "").await.unwrap();
        world.store.down.store(true, Ordering::SeqCst);
        state.draining.cancel();
        let (status, _, text) = get(&state, "/readyz").await;
        assert_eq!(status, 503);
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        for check in ["audit", "store", "draining"] {
            assert_ne!(answer["checks"][check], "ok", "{text}");
        }
        assert_eq!(get(&state, "/healthz").await.0, 200);
    }
}
