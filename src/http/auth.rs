//! Who calls: bearer tokens, known by their hashes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::api::ApiState;
use super::problem::Rejection;
use crate::access::{Caller, Principal};
use crate::secret::{constant_time_eq, sha256};

/// Everybody who may call, with the SHA-256 of their token.
pub struct Principals {
    entries: Vec<(Principal, [u8; 32])>,
}

impl Principals {
    /// These principals.
    pub fn new(entries: impl IntoIterator<Item = (Principal, [u8; 32])>) -> Self {
        Self {
            entries: entries.into_iter().collect(),
        }
    }

    /// Whose token this is. Takes the same time whoever it is, and if it is nobody's.
    fn authenticate(&self, token: &str) -> Option<Principal> {
        let hash = sha256(token.as_bytes());
        self.entries
            .iter()
            .fold(None, |found, (principal, known)| {
                if constant_time_eq(known, &hash) {
                    Some(principal)
                } else {
                    found
                }
            })
            .cloned()
    }
}

/// The authenticated caller. A handler that takes it cannot be reached without a valid token.
pub(super) struct Authenticated(pub(super) Caller);

impl FromRequestParts<ApiState> for Authenticated {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Rejection> {
        let peer = peer(parts);
        let token = bearer(parts).ok_or_else(Rejection::unauthenticated)?;
        // Before the look at the token: otherwise the answer would tell a right guess.
        if let Some(wait) = state.throttle.wait(peer) {
            return Err(Rejection::throttled(wait));
        }
        match state.principals.load().authenticate(token) {
            Some(principal) => Ok(Self(Caller {
                address: Some(peer),
                ..Caller::new(principal)
            })),
            None => {
                state.throttle.wrong(peer);
                tracing::debug!(%peer, "a wrong API token");
                Err(Rejection::unauthenticated())
            }
        }
    }
}

fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The address that was dialled from; requests that did not come by a socket share one.
fn peer(parts: &Parts) -> IpAddr {
    parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(Ipv4Addr::UNSPECIFIED.into(), |ConnectInfo(peer)| peer.ip())
}
