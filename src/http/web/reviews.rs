//! Reviews of broken glass: they are shown with the request.

use axum::extract::{Path, State};
use axum::response::Response;

use super::Web;
use super::page::refused;
use super::place::Place;
use super::requests::answer;
use super::sign_in::gone_to;
use super::visitor::{Posted, Visitor};
use crate::access::{Review, SessionId};
use crate::control::Error;

pub(super) async fn show(
    State(web): State<Web>,
    visitor: Visitor,
    Path(session): Path<String>,
) -> Response {
    match find(&web, &visitor, &session).await {
        Ok(review) => gone_to(&web, Place::Request(review.request)),
        Err(error) => refused(&web.prefix(), &error.into()),
    }
}

pub(super) async fn close(
    State(web): State<Web>,
    Path(session): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Response {
    let review = match find(&web, &visitor, &session).await {
        Ok(review) => review,
        Err(error) => return refused(&web.prefix(), &error.into()),
    };
    let note = fields.text("note");
    let closed = web
        .control
        .close_review(&visitor.caller, review.session, note);
    match closed.await {
        Ok(_) => gone_to(&web, Place::Request(review.request)),
        Err(error) => {
            let request = review.request.to_string();
            answer(&web, &visitor, &request, Some(&error.into())).await
        }
    }
}

async fn find(web: &Web, visitor: &Visitor, session: &str) -> Result<Review, Error> {
    let session: SessionId = session.parse().map_err(|_| Error::NotFound("review"))?;
    web.control.review(&visitor.caller, session).await
}
