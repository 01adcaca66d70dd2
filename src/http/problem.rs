//! Errors as `application/problem+json`, whoever makes them.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;

use super::types::{KEY_IN_USE, KEY_USED, Problem};
use crate::control::Error;

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An answer that says what went wrong.
#[derive(Debug)]
pub(super) struct Rejection {
    status: StatusCode,
    code: &'static str,
    detail: String,
    retry_after: Option<Duration>,
}

impl Rejection {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            retry_after: None,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What programs go by.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// What people read.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// What was sent does not fit the API's document.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }

    /// It fits, but makes no sense.
    pub(super) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }

    pub(super) fn unauthenticated() -> Self {
        let detail = "send a valid API token: `Authorization: Bearer <token>`";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// It is understood, and not for the caller.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub(super) fn throttled(wait: Duration) -> Self {
        let detail = "too many wrong tokens or passwords came from this address";
        Self {
            retry_after: Some(wait),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "throttled", detail)
        }
    }
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        let (status, code) = match &error {
            Error::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Error::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Error::SignIn => (StatusCode::UNAUTHORIZED, "sign_in_failed"),
            Error::PasswordNeeded => (StatusCode::FORBIDDEN, "password_needed"),
            Error::Provider => (StatusCode::BAD_GATEWAY, "provider_unavailable"),
            Error::NoDeviceFlow => (StatusCode::CONFLICT, "no_device_flow"),
            Error::KeyInUse => (StatusCode::CONFLICT, KEY_IN_USE),
            Error::KeyUsed => (StatusCode::CONFLICT, KEY_USED),
            Error::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Error::Tracker(_) => (StatusCode::BAD_GATEWAY, "tickets_unavailable"),
            Error::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Error::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too_many"),
            Error::Changed(_) => (StatusCode::PRECONDITION_FAILED, "changed"),
            Error::AuditUnavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "audit_unavailable"),
            Error::AuditUnreadable(cause) => {
                tracing::error!(file = cause.file(), "the audit cannot be read");
                (StatusCode::SERVICE_UNAVAILABLE, "audit_unreadable")
            }
            Error::Store(cause) | Error::NotStored(cause) => {
                tracing::error!(%cause, "the store fails");
                (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable")
            }
            Error::Interrupted => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response<Body> {
        let problem = Problem {
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            detail: self.detail,
        };
        let body = serde_json::to_vec(&problem).expect("a problem is plain data");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM);
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"hallpass\"");
            headers.insert(WWW_AUTHENTICATE, scheme);
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        response
    }
}

/// Gives errors that the libraries made (no route, wrong method, too large, too slow) the same
/// form; their headers (`Allow`) stay.
pub(super) async fn uniform(response: Response<Body>) -> Response<Body> {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.headers().get(CONTENT_TYPE) == Some(&PROBLEM) {
        return response;
    }
    let (code, detail) = describe(status);
    let mut answer = Rejection::new(status, code, detail).into_response();
    for (name, value) in response.headers() {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

fn describe(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::NOT_FOUND => ("not_found", "there is nothing at this path"),
        StatusCode::METHOD_NOT_ALLOWED => (
            "method_not_allowed",
            "this path takes other methods: see the Allow header",
        ),
        StatusCode::REQUEST_TIMEOUT => ("timeout", "the request took too long"),
        StatusCode::PAYLOAD_TOO_LARGE => ("too_large", "a body has at most 64 KiB"),
        StatusCode::SERVICE_UNAVAILABLE => ("unavailable", "try again later"),
        status if status.is_server_error() => ("internal", "something broke inside"),
        _ => ("invalid", "the request makes no sense here"),
    }
}
