//! Bodies and queries, read strictly: what is not understood is refused, never ignored.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::problem::Rejection;

/// A JSON object. No body at all is taken as `{}`.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let is_json = is_json(request.headers());
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|error| unread(error.into_response().status()))?;
        if body.is_empty() {
            return parse(b"{}").map(Self);
        }
        if !is_json {
            let (status, detail) = (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send the body as `Content-Type: application/json`",
            );
            return Err(Rejection::new(status, "unsupported_media_type", detail));
        }
        parse(&body).map(Self)
    }
}

/// Waits for the whole body before anything looks at who sends it: otherwise, who holds back the
/// end of a body would act by what they were when it began.
pub(super) async fn whole(request: Request, next: Next) -> Result<Response, Rejection> {
    let (parts, body) = request.into_parts();
    let body = Bytes::from_request(Request::new(body), &())
        .await
        .map_err(|error| unread(error.into_response().status()))?;
    Ok(next.run(Request::from_parts(parts, Body::from(body))).await)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn unread(status: StatusCode) -> Rejection {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Rejection::new(status, "too_large", "a body has at most 64 KiB")
        }
        _ => Rejection::invalid("the body did not arrive whole"),
    }
}

/// serde would take an array as a struct's fields in order; nobody means that.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Rejection> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Rejection::invalid("the body is not a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| Rejection::invalid(format!("the body: {error}")))
}

/// The query of the URL.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|error| Rejection::invalid(error.body_text()))
    }
}

/// A duration like `30m` or `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, Rejection> {
    let refused = |problem: &dyn std::fmt::Display| {
        Rejection::invalid(format!(
            "the duration {text:?}: {problem}; write it like 30m or 1h 30m"
        ))
    };
    // humantime takes 0 without a unit.
    if !text.contains(|c: char| c.is_ascii_alphabetic()) {
        return Err(refused(&"it has no unit"));
    }
    humantime::parse_duration(text).map_err(|error| refused(&error))
}
