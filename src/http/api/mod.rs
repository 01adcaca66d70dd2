//! The REST API, `/api/v1`. Handlers translate; what may be done is decided in `control`.

#![allow(
    unused_qualifications,
    reason = "utoipa's macros write them at our types"
)]

mod audit;
mod config;
mod delegations;
mod document;
mod events;
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
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::IntoResponse;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::whole;
use super::once::once;
use super::problem::{Rejection, uniform};
use super::throttle::Throttle;
use crate::control::Control;

/// Bytes of a body at most.
pub(super) const BODY: usize = 64 * 1024;
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
    pub(super) throttle: Throttle,
    /// The OpenAPI document.
    document: Bytes,
}

/// The API's routes. The throttle goes by `ConnectInfo<SocketAddr>`, which `serve` provides.
pub fn router(parts: ApiParts) -> Router {
    let (routes, document) = documented();
    let state = ApiState {
        throttle: Throttle(Arc::clone(&parts.control)),
        control: parts.control,
        endpoint: parts.endpoint,
        shutdown: parts.shutdown,
        document: Bytes::from(document),
    };
    let no_store =
        SetResponseHeaderLayer::overriding(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let no_sniff = SetResponseHeaderLayer::overriding(
        X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // From the inside out: the last one sees the request first.
    routes
        .layer(from_fn_with_state(state.clone(), once))
        .layer(from_fn(whole))
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

/// The OpenAPI document, as JSON: made from the routes, so that none is missing.
pub fn openapi() -> String {
    documented().1
}

fn documented() -> (Router<ApiState>, String) {
    let all = OpenApiRouter::with_openapi(document::begun()).nest("/api/v1", routes());
    let (routes, document) = all.split_for_parts();
    (routes, document::finished(document))
}

fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(identity::whoami))
        .routes(routes!(people::login))
        .routes(routes!(oidc::begin))
        .routes(routes!(oidc::finish))
        .routes(routes!(oidc::exchange))
        .routes(routes!(people::logout))
        .routes(routes!(people::password))
        .routes(routes!(people::begin_totp, people::remove_totp))
        .routes(routes!(people::confirm_totp))
        .routes(routes!(people::list, people::add))
        .routes(routes!(people::disable))
        .routes(routes!(people::enable))
        .routes(routes!(people::reset))
        .routes(routes!(people::groups))
        .routes(routes!(tokens::list, tokens::make))
        .routes(routes!(tokens::revoke))
        .routes(routes!(identity::targets))
        .routes(routes!(policy::show))
        .routes(routes!(policy::explain))
        .routes(routes!(config::summary))
        .routes(routes!(requests::list, requests::submit))
        .routes(routes!(requests::show))
        .routes(routes!(requests::approve))
        .routes(routes!(requests::deny))
        .routes(routes!(requests::withdraw))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::show))
        .routes(routes!(sessions::revoke))
        .routes(routes!(sessions::extend))
        .routes(routes!(sessions::secret))
        .routes(routes!(reviews::list))
        .routes(routes!(reviews::close))
        .routes(routes!(events::listen))
        .routes(routes!(delegations::list, delegations::make))
        .routes(routes!(delegations::end))
        .routes(routes!(sessions::connections))
        .routes(routes!(notify::test))
        .routes(routes!(slack::interactions))
        .routes(routes!(audit::statements))
        .routes(routes!(audit::session))
        .routes(routes!(audit::head))
        .routes(routes!(holds::list))
        .routes(routes!(holds::place, holds::release))
        .routes(routes!(document::show))
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
