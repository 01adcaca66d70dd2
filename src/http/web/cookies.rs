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
    /// Its name. That of what only TLS may carry begins so that nobody who answers in our place
    /// without TLS can set it and, where the whole host is ours, no other host either.
    fn name(self, guard: Guard) -> String {
        let name = match self {
            Self::Session => "hallpass",
            Self::Flow => "hallpass-flow",
        };
        format!("{}{name}", guard.prefix())
    }
}

/// What a browser sees to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// Nothing: there is no TLS.
    Nothing,
    /// TLS alone; for a part of a host, whose other applications do not get it.
    Secure,
    /// TLS, and that this very host set it.
    Host,
}

impl Guard {
    fn prefix(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Secure => "__Secure-",
            Self::Host => "__Host-",
        }
    }
}

impl Web {
    /// What the browser kept.
    pub(super) fn kept(&self, parts: &Parts, cookie: Cookie) -> Option<Secret> {
        let name = cookie.name(self.guard());
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

    /// `__Host-` demands the path of the whole host.
    fn guard(&self) -> Guard {
        match (self.is_secure(), self.prefix().is_empty()) {
            (false, _) => Guard::Nothing,
            (true, false) => Guard::Secure,
            (true, true) => Guard::Host,
        }
    }

    fn set(&self, cookie: Cookie, value: &str, age: u64) -> HeaderValue {
        let (guard, path) = (self.guard(), self.prefix());
        let name = cookie.name(guard);
        let only = if guard == Guard::Nothing {
            ""
        } else {
            "; Secure"
        };
        let text =
            format!("{name}={value}; Path={path}/; Max-Age={age}; HttpOnly; SameSite=Lax{only}");
        let mut value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }
}
