//! Who calls, and from where.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::api::ApiState;
use super::problem::Rejection;
use crate::access::{Caller, Right};
use crate::secret::Secret;

/// The authenticated caller. A handler that takes it cannot be reached without a valid token.
pub(super) struct Authenticated(pub(super) Caller);

impl FromRequestParts<ApiState> for Authenticated {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Rejection> {
        if let Some(Proved(caller)) = parts.extensions.remove() {
            return Ok(Self(caller));
        }
        let peer = peer(parts);
        let token = bearer(parts).ok_or_else(Rejection::unauthenticated)?;
        // Before the look at the token: otherwise the answer would tell a right guess.
        state.throttle.check(peer)?;
        let Some(caller) = state.control.authenticate(&token, Some(peer)).await? else {
            state.throttle.wrong(peer);
            tracing::debug!(%peer, "a wrong API token");
            return Err(Rejection::unauthenticated());
        };
        if parts.method == Method::GET && !caller.has(Right::Read) {
            return Err(Rejection::forbidden("your token does not let you read"));
        }
        Ok(Self(caller))
    }
}

/// A caller who was authenticated on the way to the handler.
#[derive(Clone)]
pub(super) struct Proved(pub(super) Caller);

/// The token that the caller came with, whatever it is worth.
pub(super) struct Bearer(pub(super) Secret);

impl FromRequestParts<ApiState> for Bearer {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Rejection> {
        let token = bearer(parts).ok_or_else(Rejection::unauthenticated)?;
        Ok(Self(token))
    }
}

/// A call that no other site's page makes: one that a browser would let any page send, and which
/// counts with the guesses of whoever looks at that page.
pub(super) struct NotForeign;

impl<S: Send + Sync> FromRequestParts<S> for NotForeign {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let site = parts.headers.get("sec-fetch-site");
        match site.is_none_or(|site| site == "same-origin" || site == "none") {
            true => Ok(Self),
            false => Err(Rejection::forbidden("another site's page made this call")),
        }
    }
}

/// The address that was dialled from.
pub(super) struct Peer(pub(super) IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(peer(parts)))
    }
}

fn bearer(parts: &Parts) -> Option<Secret> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| Secret::new(token))
}

/// The address that was dialled from; requests that did not come by a socket share one.
pub(super) fn peer(parts: &Parts) -> IpAddr {
    parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(Ipv4Addr::UNSPECIFIED.into(), |ConnectInfo(peer)| peer.ip())
}
