//! The pages behind the links of notices: look at a request and decide on it, on a phone.
//!
//! HTML from the server, without a script. What may be done is decided in `control`, as for every
//! other way in; a page only makes a [`Caller`](crate::access::Caller) of a cookie, which is the
//! token of a sign-in and nothing more.

mod cookies;
mod fields;
mod home;
mod origin;
mod page;
mod place;
mod provider;
mod requests;
mod reviews;
mod sign_in;
mod visitor;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, Uri};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use super::throttle::Throttle;
use crate::control::Control;

/// Bytes of a form at most.
const FORM: usize = 16 * 1024;
/// The longest that a page may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Nothing but our own style sheet and our own forms, and in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const STYLE: &str = include_str!("style.css");

/// What the pages need.
#[derive(Clone)]
pub(super) struct Web {
    control: Arc<Control>,
    throttle: Throttle,
    /// Whether the listener speaks TLS.
    tls: bool,
}

impl Web {
    /// The path that people have to put before ours: that of the links in notices, if a proxy
    /// before hallpass takes it away.
    fn prefix(&self) -> String {
        let base = self.control.link_base();
        let uri = base.and_then(|base| base.parse::<Uri>().ok());
        let path = uri.map(|uri| uri.path().trim_end_matches('/').to_owned());
        path.unwrap_or_default()
    }

    /// Whether people reach this by TLS, ours or that of a proxy before us.
    fn is_secure(&self) -> bool {
        let base = self.control.link_base();
        self.tls || base.is_some_and(|base| base.starts_with("https:"))
    }
}

/// The pages' routes.
pub(super) fn router(control: Arc<Control>, tls: bool) -> Router {
    let web = Web {
        throttle: Throttle(Arc::clone(&control)),
        control,
        tls,
    };
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIMEOUT);
    // From the inside out: the last one sees the request first.
    Router::new()
        .route("/", get(home::show))
        .route("/requests/{id}", get(requests::show))
        .route("/requests/{id}/approve", post(requests::approve))
        .route("/requests/{id}/deny", post(requests::deny))
        .route("/requests/{id}/withdraw", post(requests::withdraw))
        .route("/reviews/{session}", get(reviews::show))
        .route("/reviews/{session}/close", post(reviews::close))
        .route("/sign-in", post(sign_in::sign_in))
        .route("/sign-in/provider", get(provider::begin))
        .route("/sign-in/callback", get(provider::finish))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/style.css", get(style))
        .layer(from_fn_with_state(web.clone(), origin::own))
        .with_state(web)
        .layer(RequestBodyLimitLayer::new(FORM))
        .layer(timeout)
        .layer(CatchPanicLayer::custom(broken))
        .layer(map_response(guarded))
}

async fn style() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}

/// What every answer has.
async fn guarded(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Nothing for others. Without any, browsers would not say where our own forms come from.
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A handler panicked. The message may hold anything, so it is not logged here.
fn broken(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    tracing::error!("a page's handler panicked");
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    (status, "Something broke inside.").into_response()
}
