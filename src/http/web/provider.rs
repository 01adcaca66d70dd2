//! Signing in with the OpenID provider.

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::Web;
use super::cookies::Cookie;
use super::page::refused;
use super::place::Place;
use super::sign_in::{Asked, form, signed_in};
use crate::http::auth::{Peer, peer};
use crate::http::problem::Rejection;
use crate::secret::Secret;

type Asking = Query<HashMap<String, String>>;

/// Sends the browser to the provider. A link and not a form, which could not go to another site.
pub(super) async fn begin(
    State(web): State<Web>,
    Peer(peer): Peer,
    Query(query): Asking,
) -> Response {
    let refuse = |why: Rejection| refused(&web.prefix(), &why);
    if let Err(why) = web.throttle.check(peer) {
        return refuse(why);
    }
    web.throttle.wrong(peer);
    let begun = match web
        .control
        .begin_here("/sign-in/callback", Some(peer))
        .await
    {
        Ok(begun) => begun,
        Err(error) => return refuse(error.into()),
    };
    let Ok(address) = HeaderValue::try_from(begun.address) else {
        return refuse(Rejection::invalid("the provider's address is none"));
    };
    let place = Place::of(query.get("next").map_or("", String::as_str));
    let kept = Secret::new(format!("{}.{place}", begun.flow.expose()));
    let cookie = web.keep(Cookie::Flow, &kept, begun.good);
    let headers = [(LOCATION, address), (SET_COOKIE, cookie)];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// The browser comes back from there.
pub(super) async fn finish(State(web): State<Web>, Query(query): Asking, parts: Parts) -> Response {
    let peer = peer(&parts);
    let kept = web.kept(&parts, Cookie::Flow);
    let kept = kept.as_ref().and_then(|kept| kept.expose().split_once('.'));
    let (flow, place) = kept.unwrap_or_default();
    let place = Place::of(place);
    let given = |name: &str| query.get(name).map_or("", String::as_str);
    let flow = Secret::new(flow);
    let made = web
        .control
        .finish_browser(&flow, given("state"), given("code"), Some(peer));
    let mut response = match web.throttle.guess(peer, made).await {
        Ok(made) => signed_in(&web, &made, place),
        Err(why) => {
            let asked = "The provider did not sign you in: try again.";
            let asked = Asked::for_place(place).because(asked);
            (why.status(), form(&web, &asked)).into_response()
        }
    };
    let forget = web.forget(Cookie::Flow);
    response.headers_mut().append(SET_COOKIE, forget);
    response
}
