//! Signing in and out.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::response::{Html, IntoResponse, Response};
use maud::{Markup, html};

use super::Web;
use super::cookies::Cookie;
use super::fields::Fields;
use super::page::{page, refused, sentence, theirs};
use super::place::Place;
use super::visitor::Posted;
use crate::control::{Error, Made, SignIn};
use crate::http::auth::Peer;
use crate::secret::Secret;

/// What the form asks for.
pub(super) struct Asked {
    place: Place,
    /// Why it asks, or asks again.
    because: String,
    name: String,
    /// Somebody else knows the password.
    new_password: bool,
}

impl Asked {
    /// For somebody who wants to go there.
    pub(super) fn for_place(place: Place) -> Self {
        Self {
            place,
            because: String::new(),
            name: String::new(),
            new_password: false,
        }
    }

    /// And who has to be told this.
    pub(super) fn because(self, because: &str) -> Self {
        let because = because.to_owned();
        Self { because, ..self }
    }
}

/// The page where one signs in.
pub(super) fn form(web: &Web, asked: &Asked) -> Html<String> {
    let prefix = web.prefix();
    let body = html! {
        h1 { "Sign in" }
        @if !asked.because.is_empty() { p.bad role="alert" { (theirs(&asked.because)) } }
        @if web.control.has_provider() {
            p { a.button href={ (prefix) "/sign-in/provider?next=" (asked.place) } { "Sign in with your provider" } }
            h2 { "Or with a password" }
        }
        (password(&prefix, asked))
    };
    page(&prefix, "Sign in", None, &body)
}

fn password(prefix: &str, asked: &Asked) -> Markup {
    html! {
        form method="post" action={ (prefix) "/sign-in" } {
            input type="hidden" name="next" value=(asked.place);
            label { "Name"
                input name="name" value=(asked.name) required autocomplete="username" autocapitalize="none" spellcheck="false";
            }
            label { "Password"
                input name="password" type="password" required autocomplete="current-password";
            }
            @if asked.new_password {
                label { "New password"
                    input name="new_password" type="password" required autocomplete="new-password";
                }
            }
            label { "Code " span.dim { "if you have a second factor, or a recovery code" }
                input name="code" inputmode="text" autocomplete="one-time-code" autocapitalize="none" spellcheck="false";
            }
            button { "Sign in" }
        }
    }
}

pub(super) async fn sign_in(State(web): State<Web>, Peer(peer): Peer, body: Body) -> Response {
    let fields = Fields::read(body).await;
    let place = Place::of(fields.text("next"));
    let asked = SignIn {
        name: fields.text("name").trim().to_owned(),
        password: Secret::new(fields.text("password")),
        code: fields.given("code").map(str::to_owned),
        new_password: fields.given("new_password").map(Secret::new),
    };
    let made = web.control.sign_in(asked, Some(peer));
    match web.throttle.guess(peer, made).await {
        Ok(made) => signed_in(&web, &made, place),
        Err(why) => {
            let asked = Asked {
                name: fields.text("name").to_owned(),
                new_password: why.code() == "password_needed"
                    || fields.given("new_password").is_some(),
                ..Asked::for_place(place).because(&sentence(why.detail()))
            };
            (why.status(), form(&web, &asked)).into_response()
        }
    }
}

/// Somebody has proved who they are, and goes where they wanted to.
pub(super) fn signed_in(web: &Web, made: &Made, place: Place) -> Response {
    let token = &made.token;
    let age = token.expires_at.duration_since(token.created_at);
    let age = Duration::try_from(age).unwrap_or_default();
    let cookie = web.keep(Cookie::Session, &made.secret, age);
    let mut response = gone_to(web, place);
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}

/// The browser is to get this page next.
pub(super) fn gone_to(web: &Web, place: Place) -> Response {
    let location = format!("{}{place}", web.prefix());
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

pub(super) async fn sign_out(State(web): State<Web>, posted: Posted) -> Response {
    let visitor = posted.visitor;
    let ended = web.control.sign_out(&visitor.caller, &visitor.token).await;
    match ended {
        // A token of the configuration stays good; the browser forgets it.
        Ok(_) | Err(Error::NotFound(_)) => {
            let mut response = gone_to(&web, Place::Home);
            let forget = web.forget(Cookie::Session);
            response.headers_mut().append(SET_COOKIE, forget);
            response
        }
        Err(error) => refused(&web.prefix(), &error.into()),
    }
}
