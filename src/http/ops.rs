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

async fn readyz(State(state): State<OpsState>) -> (StatusCode, Json<Ready>) {
    let readiness = state.control.readiness().await;
    let draining = state.draining.is_cancelled();
    let says = |ok, problem| if ok { "ok" } else { problem };
    let ready = readiness.audit && readiness.store && !draining;
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let checks = Checks {
        audit: says(readiness.audit, "the audit log cannot be written"),
        store: says(readiness.store, "the store does not answer"),
        draining: says(!draining, "no new clients are accepted"),
    };
    (status, Json(Ready { ready, checks }))
}
