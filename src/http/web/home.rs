//! What waits for somebody, and what is theirs.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use maud::{Markup, html};

use super::Web;
use super::page::{page, refused, theirs, when};
use super::requests::{length, title};
use super::visitor::Visitor;
use crate::access::Review;
use crate::control::{Error, RequestStatus, SessionStatus};

/// What the page shows.
struct Waiting {
    requests: Vec<RequestStatus>,
    reviews: Vec<Review>,
    sessions: Vec<SessionStatus>,
}

pub(super) async fn show(State(web): State<Web>, visitor: Visitor) -> Response {
    match waiting(&web, &visitor).await {
        Ok((waiting, now)) => {
            let body = body(&web.prefix(), &visitor, &waiting, now);
            page(&web.prefix(), "What waits for you", Some(&visitor), &body).into_response()
        }
        Err(error) => refused(&web.prefix(), &error.into()),
    }
}

async fn waiting(web: &Web, visitor: &Visitor) -> Result<(Waiting, Timestamp), Error> {
    let (control, caller) = (&web.control, &visitor.caller);
    let mut sessions = control.sessions(caller, true).await?;
    sessions.retain(|it| it.session.principal == caller.name);
    let mut reviews = control.reviews(caller, true).await?;
    reviews.retain(|it| it.principal != caller.name);
    let waiting = Waiting {
        requests: control.requests(caller, true).await?,
        reviews,
        sessions,
    };
    Ok((waiting, control.time()))
}

fn body(prefix: &str, visitor: &Visitor, waiting: &Waiting, now: Timestamp) -> Markup {
    let me = &visitor.caller.name;
    let to_decide = waiting.requests.iter().filter(|it| it.may_decide);
    let own = waiting
        .requests
        .iter()
        .filter(|it| it.request.requester == *me);
    let (to_decide, own): (Vec<_>, Vec<_>) = (to_decide.collect(), own.collect());
    html! {
        h1 { "What waits for you" }
        @if to_decide.is_empty() && waiting.reviews.is_empty() { p.dim { "Nothing waits for you." } }
        @for status in to_decide { (item(prefix, status, now)) }
        @for review in &waiting.reviews {
            a.item href={ (prefix) "/requests/" (review.request) } {
                strong { (review.principal.as_str()) " broke the glass of " (review.target.as_str()) }
                p { (theirs(&review.reason)) }
                p.dim { "To be reviewed · " (when(now, review.opened_at)) }
            }
        }
        @if !own.is_empty() || !waiting.sessions.is_empty() { h2 { "Yours" } }
        @for status in own { (item(prefix, status, now)) }
        @for status in &waiting.sessions {
            @let session = &status.session;
            a.item href={ (prefix) "/requests/" (session.request) } {
                strong { (session.target.as_str()) " · " (session.state.name()) }
                p.dim { "Ends " (when(now, session.expires_at)) }
            }
        }
    }
}

fn item(prefix: &str, status: &RequestStatus, now: Timestamp) -> Markup {
    let request = &status.request;
    html! {
        a.item href={ (prefix) "/requests/" (request.id) } {
            strong { (title(request)) }
            p { (theirs(&request.reason)) }
            p.dim { (length(request)) " · asked " (when(now, request.created_at)) }
        }
    }
}
