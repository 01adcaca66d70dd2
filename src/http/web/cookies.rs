//! What a browser keeps for us.

use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::COOKIE;
use axum::http::request::Parts;

use super::Web;
use crate::secret::Secret;

/// What a cookie is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cookie {
    /// Who it is: the token of a sign-in.
    Session,
    /// A sign-in with the provider that has begun, and where to go after it.
    Flow,
}

impl Cookie {
    /// Its name. That of what only TLS may carry begins so that no other host, and nobody who
    /// answers in our place without TLS, can set it.
    fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Session, true) => "__Host-hallpass",
            (Self::Session, false) => "hallpass",
            (Self::Flow, true) => "__Host-hallpass-flow",
            (Self::Flow, false) => "hallpass-flow",
        }
    }
}

impl Web {
    /// What the browser kept.
    pub(super) fn kept(&self, parts: &Parts, cookie: Cookie) -> Option<Secret> {
        let name = cookie.name(self.is_secure());
        let headers = parts.headers.get_all(COOKIE).iter();
        let mut pairs = headers
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(its, value)| *its == name && !value.is_empty())?;
        Some(Secret::new(value))
    }

    /// Has the browser keep something. Other sites' links come with it (`Lax`): those of mail and
    /// Slack would show the sign-in otherwise; their forms do not.
    pub(super) fn keep(&self, cookie: Cookie, value: &Secret, age: Duration) -> HeaderValue {
        self.set(cookie, value.expose(), age.as_secs())
    }

    /// Has it forget.
    pub(super) fn forget(&self, cookie: Cookie) -> HeaderValue {
        self.set(cookie, "", 0)
    }

    fn set(&self, cookie: Cookie, value: &str, age: u64) -> HeaderValue {
        let secure = self.is_secure();
        let name = cookie.name(secure);
        let only = if secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{only}");
        let mut value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }
}
