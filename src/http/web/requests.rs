//! One request: look at it, and decide.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Web;
use super::page::{page, refused, sentence};
use super::place::Place;
use super::sign_in::gone_to;
use super::visitor::{Posted, Visitor};
use crate::access::{AccessRequest, RequestId, RequestKind, RequestState, Review, Session, Target};
use crate::control::{Error, RequestStatus, Seen, Window};
use crate::http::extract::duration;
use crate::http::problem::Rejection;

mod view;

/// How many earlier sessions are shown.
const BEFORE: u32 = 5;

/// All that the page shows of a request.
struct Whole {
    status: RequestStatus,
    /// What it became.
    session: Option<Session>,
    /// What it opens, if it is still there.
    target: Option<Target>,
    /// What is left of a broken glass.
    review: Option<Review>,
    /// What the requester did on the target before, the newest first.
    before: Vec<Session>,
}

pub(super) async fn show(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Response {
    answer(&web, &visitor, &id, None).await
}

/// The request's page, with what went wrong, if anything did.
pub(super) async fn answer(
    web: &Web,
    visitor: &Visitor,
    id: &str,
    wrong: Option<&Rejection>,
) -> Response {
    let prefix = web.prefix();
    let whole = match parse(id) {
        Ok(id) => whole(web, visitor, id).await,
        Err(error) => Err(error),
    };
    let whole = match whole {
        Ok(whole) => whole,
        Err(error) => return refused(&prefix, &error.into()),
    };
    let status = wrong.map_or(StatusCode::OK, Rejection::status);
    let wrong = wrong.map(|it| sentence(it.detail()));
    let body = view::body(&prefix, visitor, &whole, wrong.as_deref());
    let title = title(&whole.status.request);
    (status, page(&prefix, &title, Some(visitor), &body)).into_response()
}

async fn whole(web: &Web, visitor: &Visitor, id: RequestId) -> Result<Whole, Error> {
    let (control, caller) = (&web.control, &visitor.caller);
    let status = control.request(caller, id).await?;
    let request = &status.request;
    let session = match request.state {
        RequestState::Approved { session, .. } => control.session(caller, session).await.ok(),
        _ => None,
    };
    let session = session.map(|it| it.session);
    let review = match (&session, request.kind) {
        (Some(session), RequestKind::BreakGlass) => control.review(caller, session.id).await.ok(),
        _ => None,
    };
    let target = control.target_of(request);
    let of = (
        Some(request.requester.clone()),
        Some(request.target.clone()),
    );
    let window = Window {
        after: None,
        limit: Some(BEFORE + 1),
    };
    let before = control.sessions_within(caller, false, of, &window).await?;
    let before = before.items.into_iter().map(|it| it.session);
    let before = before.filter(|it| it.request != id).take(BEFORE as usize);
    Ok(Whole {
        before: before.collect(),
        session,
        target,
        review,
        status,
    })
}

pub(super) async fn approve(
    State(web): State<Web>,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    let done = async {
        let shorter = posted.fields.given("for").map(duration).transpose()?;
        let seen = seen(&id, &posted)?;
        web.control
            .approve(&posted.visitor.caller, seen, shorter)
            .await?;
        Ok(())
    };
    let done = done.await;
    ended(&web, &posted.visitor, &id, done).await
}

pub(super) async fn deny(
    State(web): State<Web>,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    let done = async {
        let seen = seen(&id, &posted)?;
        let why = posted.fields.text("reason");
        web.control.deny(&posted.visitor.caller, seen, why).await?;
        Ok(())
    };
    let done = done.await;
    ended(&web, &posted.visitor, &id, done).await
}

pub(super) async fn withdraw(
    State(web): State<Web>,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    let done = async {
        let seen = seen(&id, &posted)?;
        web.control.withdraw(&posted.visitor.caller, seen).await?;
        Ok(())
    };
    let done = done.await;
    ended(&web, &posted.visitor, &id, done).await
}

/// What was done shows on the page that comes next, so that a reload does not do it again.
async fn ended(web: &Web, visitor: &Visitor, id: &str, done: Result<(), Rejection>) -> Response {
    match done {
        Ok(()) => gone_to(web, Place::of(&format!("/requests/{id}"))),
        Err(why) => answer(web, visitor, id, Some(&why)).await,
    }
}

/// The request as it was on the page that the form is from.
fn seen(id: &str, posted: &Posted) -> Result<Seen<RequestId>, Rejection> {
    let version = posted.fields.text("version").parse();
    let version =
        version.map_err(|_| Rejection::invalid("the form says not what it was seen as"))?;
    Ok(Seen {
        id: parse(id)?,
        version: Some(version),
    })
}

/// What is no id names no request: the same answer as for one that is not there.
fn parse(id: &str) -> Result<RequestId, Error> {
    id.parse().map_err(|_| Error::NotFound("request"))
}

/// Who asks for what.
pub(super) fn title(request: &AccessRequest) -> String {
    let (who, target) = (&request.requester, &request.target);
    match request.kind {
        RequestKind::Session => format!("{who} asks for {target}"),
        RequestKind::Extension => format!("{who} asks for more of {target}"),
        RequestKind::BreakGlass => format!("{who} broke the glass of {target}"),
    }
}

/// For how long.
pub(super) fn length(request: &AccessRequest) -> String {
    let long = humantime::format_duration(request.duration);
    match request.kind {
        RequestKind::Extension => format!("{long} more"),
        _ => long.to_string(),
    }
}
