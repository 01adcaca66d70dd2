//! `Idempotency-Key`: what creates something does it once, however often it is sent.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::api::{ApiState, BODY};
use super::auth::{Authenticated, Proved};
use super::problem::Rejection;
use crate::access::schema::written;
use crate::control::{KeptAnswer, Once, Repeat};

const KEY: &str = "idempotency-key";
/// Characters of a key at most.
const LONGEST: usize = 255;
/// The one thing that is made with a secret in the answer.
const TOKENS: &str = "/api/v1/tokens";

/// Does a call that comes with a key once.
pub(super) async fn once(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Result<Response, Rejection> {
    let creates = request.method() == Method::POST && creates(request.uri().path());
    let Some(key) = request.headers().get(KEY).filter(|_| creates).cloned() else {
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    let Authenticated(caller) = Authenticated::from_request_parts(&mut parts, &state).await?;
    let key = text(&key)?;
    let body = to_bytes(body, BODY).await.map_err(|_| too_large())?;
    let path = parts.uri.path().to_owned();
    match state.control.once(&caller, &path, key, &body).await? {
        Repeat::Again(answer) => Ok(again(answer)),
        Repeat::First(once) => {
            parts.extensions.insert(Proved(caller));
            let request = Request::from_parts(parts, Body::from(body));
            // To its end, also if the caller goes: else its answer would never be known.
            let first = tokio::spawn(first(state, once, path == TOKENS, next.run(request)));
            first.await.map_err(|_| broken())
        }
    }
}

fn creates(path: &str) -> bool {
    matches!(path, TOKENS | "/api/v1/requests" | "/api/v1/delegations")
        || (path.starts_with("/api/v1/sessions/") && path.ends_with("/extend"))
}

fn text(key: &HeaderValue) -> Result<&str, Rejection> {
    let is_visible = |key: &&str| key.bytes().all(|byte| byte.is_ascii_graphic());
    let fits = |key: &&str| (1..=LONGEST).contains(&key.len()) && is_visible(key);
    key.to_str().ok().filter(fits).ok_or_else(|| {
        let form = "an Idempotency-Key has 1 to 255 letters, digits and signs of ASCII";
        Rejection::invalid(form)
    })
}

async fn first(
    state: ApiState,
    once: Once,
    secret: bool,
    answer: impl Future<Output = Response>,
) -> Response {
    let (parts, body) = answer.await.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return broken().into_response();
    };
    let location = parts.headers.get(LOCATION).and_then(|it| it.to_str().ok());
    let kept = KeptAnswer {
        status: parts.status.as_u16(),
        location: location.map(str::to_owned),
        body: (!secret).then(|| body.to_vec()),
    };
    // What was refused made nothing; of what broke nobody knows.
    let done = !parts.status.is_client_error();
    state.control.answered(once, done.then_some(kept)).await;
    Response::from_parts(parts, Body::from(body))
}

/// What was answered the first time.
fn again(answer: KeptAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let kind = match status.is_success() {
        true => "application/json",
        false => "application/problem+json",
    };
    let body = answer.body.unwrap_or_default();
    let mut response = (status, [(CONTENT_TYPE, kind)], body).into_response();
    if let Some(location) = answer
        .location
        .and_then(|it| HeaderValue::try_from(it).ok())
    {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn too_large() -> Rejection {
    let status = StatusCode::PAYLOAD_TOO_LARGE;
    Rejection::new(status, "too_large", "a body has at most 64 KiB")
}

fn broken() -> Rejection {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    Rejection::new(status, "internal", "something broke inside")
}

/// A key of the caller's choice: what comes again with it is not done again.
pub(super) struct KeyText;

written!(
    KeyText,
    "^[!-~]{1,255}$",
    "4f1c2d0e-7c55-4a6f-a8b3-1f6a2f9b8f0c"
);
