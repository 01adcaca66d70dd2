//! Signing in with the OpenID provider.

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
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
    headers: HeaderMap,
) -> Response {
    let refuse = |why: Rejection| refused(&web.prefix(), &why);
    // Any page can have its visitors load this as a picture, which would count with theirs.
    if headers
        .get("sec-fetch-mode")
        .is_some_and(|it| it != "navigate")
    {
        let problem = "a sign-in begins with a link that somebody follows";
        return refuse(Rejection::forbidden(problem));
    }
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
    let Some((flow, place)) = kept else {
        // No guess, and not counted as one: any page can send its visitors here.
        return refused_by_provider(&web, StatusCode::UNAUTHORIZED, Place::Home);
    };
    let place = Place::of(place);
    let given = |name: &str| query.get(name).map_or("", String::as_str);
    let flow = Secret::new(flow);
    let made = web
        .control
        .finish_browser(&flow, given("state"), given("code"), Some(peer));
    match web.throttle.guess(peer, made).await {
        Ok(made) => {
            let mut response = signed_in(&web, &made, place);
            let forget = web.forget(Cookie::Flow);
            response.headers_mut().append(SET_COOKIE, forget);
            response
        }
        // The browser keeps what it has: whoever sent it here may not have been the provider.
        Err(why) => refused_by_provider(&web, why.status(), place),
    }
}

fn refused_by_provider(web: &Web, status: StatusCode, place: Place) -> Response {
    let asked = "The provider did not sign you in: try again.";
    let asked = Asked::for_place(place).because(asked);
    (status, form(web, &asked)).into_response()
}
