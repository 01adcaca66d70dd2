//! The REST API, `/api/v1`. Handlers translate; what may be done is decided in `control`.

mod audit;
mod config;
mod delegations;
mod holds;
mod identity;
mod notify;
mod oidc;
mod people;
mod policy;
mod requests;
mod reviews;
mod sessions;
mod slack;
mod tokens;
mod views;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::middleware::{Next, from_fn, map_response};
use axum::response::IntoResponse;
use axum::routing::{delete, get, post, put};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use super::problem::{Rejection, uniform};
use super::throttle::Throttle;
use crate::control::Control;

/// Bytes of a body at most.
const BODY: usize = 64 * 1024;
/// The longest that a call may take; longer than the longest wait that may be asked for.
const TIMEOUT: Duration = Duration::from_secs(45);

/// How clients reach the proxy; goes with a session's secret.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The host to dial.
    pub host: String,
    /// The port to dial.
    pub port: u16,
    /// libpq's `sslmode` that fits the proxy: `verify-full`, or `disable` with TLS off.
    pub sslmode: String,
    /// The certificates to trust, in PEM, where the proxy's is not from a public authority.
    pub ca_certificate: Option<String>,
}

/// What the API needs.
pub struct ApiParts {
    /// The use cases.
    pub control: Arc<Control>,
    /// Where the proxy is; swapped on reload.
    pub endpoint: Arc<ArcSwap<Endpoint>>,
    /// Ends calls that wait.
    pub shutdown: CancellationToken,
}

#[derive(Clone)]
pub(super) struct ApiState {
    pub(super) control: Arc<Control>,
    pub(super) endpoint: Arc<ArcSwap<Endpoint>>,
    pub(super) shutdown: CancellationToken,
    pub(super) throttle: Arc<Throttle>,
}

/// The API's routes. The throttle goes by `ConnectInfo<SocketAddr>`, which `serve` provides.
pub fn router(parts: ApiParts) -> Router {
    let state = ApiState {
        control: parts.control,
        endpoint: parts.endpoint,
        shutdown: parts.shutdown,
        throttle: Arc::default(),
    };
    let no_store =
        SetResponseHeaderLayer::overriding(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let no_sniff = SetResponseHeaderLayer::overriding(
        X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // From the inside out: the last one sees the request first.
    Router::new()
        .nest("/api/v1", routes())
        .with_state(state)
        .layer(RequestBodyLimitLayer::new(BODY))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            TIMEOUT,
        ))
        .layer(CatchPanicLayer::custom(broken))
        .layer(map_response(uniform))
        .layer(no_store)
        .layer(no_sniff)
        .layer(from_fn(log))
}

fn routes() -> Router<ApiState> {
    Router::new()
        .route("/whoami", get(identity::whoami))
        .route("/login", post(people::login))
        .route("/login/oidc", post(oidc::begin))
        .route("/login/oidc/finish", post(oidc::finish))
        .route("/token/exchange", post(oidc::exchange))
        .route("/logout", post(people::logout))
        .route("/account/password", post(people::password))
        .route(
            "/account/totp",
            post(people::begin_totp).delete(people::remove_totp),
        )
        .route("/account/totp/confirm", post(people::confirm_totp))
        .route("/accounts", get(people::list).post(people::add))
        .route("/accounts/{name}/disable", post(people::disable))
        .route("/accounts/{name}/enable", post(people::enable))
        .route("/accounts/{name}/reset", post(people::reset))
        .route("/accounts/{name}/groups", put(people::groups))
        .route("/tokens", get(tokens::list).post(tokens::make))
        .route("/tokens/{id}", delete(tokens::revoke))
        .route("/targets", get(identity::targets))
        .route("/policy", get(policy::show))
        .route("/policy/explain", post(policy::explain))
        .route("/config/summary", get(config::summary))
        .route("/requests", get(requests::list).post(requests::submit))
        .route("/requests/{id}", get(requests::show))
        .route("/requests/{id}/approve", post(requests::approve))
        .route("/requests/{id}/deny", post(requests::deny))
        .route("/requests/{id}/withdraw", post(requests::withdraw))
        .route("/sessions", get(sessions::list))
        .route("/sessions/{id}", get(sessions::show))
        .route("/sessions/{id}/revoke", post(sessions::revoke))
        .route("/sessions/{id}/extend", post(sessions::extend))
        .route("/sessions/{id}/secret", post(sessions::secret))
        .route("/reviews", get(reviews::list))
        .route("/reviews/{session}/close", post(reviews::close))
        .route(
            "/delegations",
            get(delegations::list).post(delegations::make),
        )
        .route("/delegations/{to}", delete(delegations::end))
        .route("/connections", get(sessions::connections))
        .route("/notify/test", post(notify::test))
        .route("/slack/interactions", post(slack::interactions))
        .route("/audit/statements", get(audit::statements))
        .route("/audit/sessions/{session}", get(audit::session))
        .route("/audit/head", get(audit::head))
        .route("/audit/holds", get(holds::list))
        .route(
            "/audit/holds/{session}",
            put(holds::place).delete(holds::release),
        )
}

/// A handler panicked. The message may hold anything, so it is not logged here.
fn broken(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    tracing::error!("an API handler panicked");
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    Rejection::new(status, "internal", "something broke inside").into_response()
}

/// The access log: never the query, a header or a body.
async fn log(request: Request, next: Next) -> Response<Body> {
    let started = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let status = response.status().as_u16();
    tracing::debug!(%method, path, status, elapsed = ?started.elapsed(), "api");
    response
}
