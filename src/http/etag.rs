//! Versions, as HTTP knows them: an `ETag` on what is shown, `If-Match` on what changes it.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::problem::Rejection;
use super::types::{RequestView, SessionView};
use crate::access::schema::written;
use crate::control::Seen;

/// What has a version.
pub(super) trait Versioned: Serialize {
    /// The version.
    fn version(&self) -> u64;
}

impl Versioned for RequestView {
    fn version(&self) -> u64 {
        self.version
    }
}

impl Versioned for SessionView {
    fn version(&self) -> u64 {
        self.version
    }
}

/// An answer with its `ETag`.
pub(super) struct Tagged<T>(pub(super) T);

impl<T: Versioned> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let tag = tag(self.0.version());
        ([(ETAG, tag)], Json(self.0)).into_response()
    }
}

fn tag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits and quotes are a header's value")
}

/// The version that the caller saw, by `If-Match`.
pub(super) struct IfMatch(Option<u64>);

impl IfMatch {
    /// With what the version is of.
    pub(super) fn of<I>(&self, id: I) -> Seen<I> {
        let version = self.0;
        Seen { id, version }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        match text(parts, &IF_MATCH)? {
            None | Some("*") => Ok(Self(None)),
            Some(tag) => version(tag).map(Some).map(Self).ok_or_else(|| {
                Rejection::invalid("If-Match: send one ETag as it came, like \"3\", or *")
            }),
        }
    }
}

/// The versions that the caller has, by `If-None-Match`.
pub(super) struct IfNoneMatch(Vec<u64>);

impl IfNoneMatch {
    /// The answer: nothing, if the caller has that.
    pub(super) fn answer<T: Versioned>(&self, document: T) -> Response {
        let version = document.version();
        match self.0.contains(&version) {
            true => (StatusCode::NOT_MODIFIED, [(ETAG, tag(version))]).into_response(),
            false => Tagged(document).into_response(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let Some(tags) = text(parts, &IF_NONE_MATCH)? else {
            return Ok(Self(Vec::new()));
        };
        // Proxies that compress make tags weak.
        let tags = tags.split(',').map(str::trim);
        let versions = tags.map(|tag| version(tag.strip_prefix("W/").unwrap_or(tag)));
        versions
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| Rejection::invalid("If-None-Match: send ETags as they came, like \"3\""))
    }
}

fn text<'p>(parts: &'p Parts, name: &HeaderName) -> Result<Option<&'p str>, Rejection> {
    let value = parts.headers.get(name).map(HeaderValue::to_str).transpose();
    value.map_err(|_| Rejection::invalid(format!("{name}: that is no ETag")))
}

fn version(tag: &str) -> Option<u64> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    let is_number = digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// An `ETag`, or `*`: whatever version.
pub(super) struct IfMatchText;

written!(IfMatchText, r#"^("[0-9]{1,15}"|\*)$"#, "\"3\"");

/// `ETag`s.
pub(super) struct IfNoneMatchText;

written!(
    IfNoneMatchText,
    r#"^(W/)?"[0-9]{1,15}"(, ?(W/)?"[0-9]{1,15}"){0,5}$"#,
    "\"3\""
);
