//! Who looks at a page.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::Web;
use super::cookies::Cookie;
use super::fields::Fields;
use super::page::refused;
use super::place::Place;
use super::sign_in::{Asked, form};
use crate::access::{Caller, Right};
use crate::http::auth::peer;
use crate::http::problem::Rejection;
use crate::secret::{Secret, constant_time_eq, hex, sha256};

/// Somebody who has signed in. Who has not is shown where to, and comes back afterwards.
pub(super) struct Visitor {
    pub(super) caller: Caller,
    pub(super) token: Secret,
}

impl Visitor {
    /// What every form of theirs has: only who knows their token, which no page shows, can know it.
    pub(super) fn mark(&self) -> String {
        let text = format!("hallpass form\n{}", self.token.expose());
        hex(&sha256(text.as_bytes()))
    }
}

impl FromRequestParts<Web> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Response> {
        let asked = Asked::for_place(Place::of(parts.uri.path()));
        let Some(token) = web.kept(parts, Cookie::Session) else {
            return Err((StatusCode::UNAUTHORIZED, form(web, &asked)).into_response());
        };
        let peer = peer(parts);
        let refuse = |rejection: Rejection| refused(&web.prefix(), &rejection);
        // Before the look at the token: otherwise the answer would tell a right guess.
        web.throttle.check(peer).map_err(refuse)?;
        let caller = web.control.authenticate(&token, Some(peer)).await;
        let caller = caller.map_err(|error| refuse(error.into()))?;
        match caller.filter(|caller| caller.has(Right::Read)) {
            Some(caller) => Ok(Self { caller, token }),
            None => {
                web.throttle.wrong(peer);
                let over = asked.because("Your sign-in has ended.");
                let forget = [(SET_COOKIE, web.forget(Cookie::Session))];
                Err((StatusCode::UNAUTHORIZED, forget, form(web, &over)).into_response())
            }
        }
    }
}

/// Somebody who has signed in, and a form that one of their own pages had.
pub(super) struct Posted {
    pub(super) visitor: Visitor,
    pub(super) fields: Fields,
}

impl FromRequest<Web> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        // First the form: who holds it back must not act by what they were before it came.
        let fields = Fields::read(body).await;
        let visitor = Visitor::from_request_parts(&mut parts, web).await?;
        let given = fields.text("mark").as_bytes();
        if !constant_time_eq(given, visitor.mark().as_bytes()) {
            let problem = "the form is not one of this sign-in: open the page again";
            let rejection = Rejection::forbidden(problem);
            return Err(refused(&web.prefix(), &rejection));
        }
        Ok(Self { visitor, fields })
    }
}
