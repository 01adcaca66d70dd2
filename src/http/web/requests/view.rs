//! How a request is shown.

use jiff::Timestamp;
use maud::{Markup, html};

use super::super::page::{mark, theirs, when};
use super::super::visitor::Visitor;
use super::{Whole, length, title};
use crate::access::{
    AccessRequest, Approval, RequestState, Review, ReviewState, Session, SessionState, Target,
};
use crate::control::RequestStatus;

/// The page's body; `wrong` is what came of a form.
pub(super) fn body(prefix: &str, visitor: &Visitor, whole: &Whole, wrong: Option<&str>) -> Markup {
    let Whole {
        status,
        session,
        target,
        review,
        before,
    } = whole;
    let (request, now) = (&status.request, status.at);
    let own = request.requester == visitor.caller.name;
    let pending = request.state == RequestState::Pending;
    html! {
        h1 { (title(request)) }
        @if let Some(wrong) = wrong { p.bad role="alert" { (theirs(wrong)) } }
        blockquote { (theirs(&request.reason)) }
        dl { (place(target.as_ref())) (facts(status, now)) (state(request, session.as_ref(), now)) }
        @if status.may_decide { (decide(prefix, visitor, request)) }
        @if own && pending { (withdraw(prefix, visitor, request)) }
        @if let Some(review) = review { (reviewed(prefix, visitor, review, now)) }
        @if !own { (earlier(request, before, now)) }
        p.dim { (request.id) }
    }
}

/// What is reached.
fn place(target: Option<&Target>) -> Markup {
    let Some(target) = target else {
        return Markup::default();
    };
    let reads = if target.read_only { ", only reads" } else { "" };
    html! {
        dt { "Where" }
        dd {
            (target.environment) (reads)
            @if !target.description.is_empty() { span.dim { " " (target.description) } }
        }
    }
}

fn facts(status: &RequestStatus, now: Timestamp) -> Markup {
    let request = &status.request;
    html! {
        dt { "For" } dd { (length(request)) }
        @if let Some(start) = request.starts_at { dt { "From" } dd { (when(now, start)) } }
        @if let Some(ticket) = &request.ticket { dt { "Ticket" } dd { (theirs(ticket)) } }
        dt { "Asked" } dd { (when(now, request.created_at)) }
        @for approval in &request.chain.approvals {
            dt { "Approved" } dd { (approved(approval, now)) }
        }
        @if request.state == RequestState::Pending {
            dt { "Lapses" } dd { (when(now, request.lapses_at)) }
            (stage(status, now))
        }
    }
}

fn approved(approval: &Approval, now: Timestamp) -> Markup {
    html! {
        "by " (approval.by.as_str())
        @if let Some(other) = &approval.on_behalf_of { " for " (other.as_str()) }
        @if let Some(seconds) = approval.seconds {
            ", for at most " (humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string())
        }
        " · " (when(now, approval.at))
    }
}

fn stage(status: &RequestStatus, now: Timestamp) -> Markup {
    let chain = &status.request.chain;
    let Some((number, stage)) = chain.current() else {
        return Markup::default();
    };
    let deciders: Vec<&str> = status.deciders.iter().map(|it| it.as_str()).collect();
    html! {
        dt { "Waits for" }
        dd {
            @if chain.stages.len() > 1 { "stage " (number) " of " (chain.stages.len()) ": " }
            @if stage.count > 1 { (chain.given(number)) " of " (stage.count) " approvals by " }
            @if deciders.is_empty() { "somebody else" } @else { (deciders.join(", ")) }
        }
        @if let Some(at) = chain.escalates_at().filter(|at| *at > now) {
            dt { "Escalates" } dd { (when(now, at)) }
        }
    }
}

/// What became of it.
fn state(request: &AccessRequest, session: Option<&Session>, now: Timestamp) -> Markup {
    let name = request.state.name();
    html! {
        dt { "State" }
        dd {
            strong.(name) { (name) }
            @match &request.state {
                RequestState::Pending => {}
                RequestState::Approved { by, at, .. } => { " by " (theirs(&by.to_string())) " · " (when(now, *at)) }
                RequestState::Denied { by, at, reason, .. } => {
                    " by " (by.as_str()) ": " (theirs(reason)) " · " (when(now, *at))
                }
                RequestState::Withdrawn { at } | RequestState::Lapsed { at } => { " · " (when(now, *at)) }
            }
        }
        @if let Some(session) = session {
            dt { "Session" }
            dd { (session.state.name()) ", " (span(session, now)) }
        }
    }
}

fn span(session: &Session, now: Timestamp) -> Markup {
    html! {
        @match &session.state {
            SessionState::Scheduled => { "begins " (when(now, session.starts_at)) }
            SessionState::Active => { "ends " (when(now, session.expires_at)) }
            SessionState::Expired { .. } => { (when(now, session.expires_at)) }
            SessionState::Revoked { by, at, reason } => { "by " (by.as_str()) " " (theirs(reason)) " · " (when(now, *at)) }
        }
    }
}

/// What every form about a request has: who sends it, and what they saw.
fn seen(visitor: &Visitor, request: &AccessRequest) -> Markup {
    html! {
        (mark(visitor))
        input type="hidden" name="version" value=(request.version);
    }
}

fn decide(prefix: &str, visitor: &Visitor, request: &AccessRequest) -> Markup {
    let path = format!("{prefix}/requests/{}", request.id);
    let asked = humantime::format_duration(request.granted_duration()).to_string();
    html! {
        form method="post" action={ (path) "/approve" } {
            (seen(visitor, request))
            label { "For " span.dim { "shorter, if you like: 15m, 1h" }
                input name="for" placeholder=(asked) autocapitalize="none" autocomplete="off";
            }
            button.good { "Approve" }
        }
        form method="post" action={ (path) "/deny" } {
            (seen(visitor, request))
            label { "Why not " span.dim { "whoever asked reads it" }
                input name="reason" required autocomplete="off";
            }
            button.bad { "Deny" }
        }
    }
}

fn withdraw(prefix: &str, visitor: &Visitor, request: &AccessRequest) -> Markup {
    html! {
        form method="post" action={ (prefix) "/requests/" (request.id) "/withdraw" } {
            (seen(visitor, request))
            button { "Take it back" }
        }
    }
}

fn reviewed(prefix: &str, visitor: &Visitor, review: &Review, now: Timestamp) -> Markup {
    let own = review.principal == visitor.caller.name;
    html! {
        h2 { "Review" }
        @match &review.state {
            ReviewState::Closed { by, at, note, .. } => {
                p { (theirs(note)) }
                p.dim { "closed by " (by.as_str()) " · " (when(now, *at)) }
            }
            ReviewState::Open if own => { p.dim { "Somebody else has to look at it." } }
            ReviewState::Open => {
                form method="post" action={ (prefix) "/reviews/" (review.session) "/close" } {
                    (mark(visitor))
                    label { "What you found " span.dim { "when the session is over" }
                        input name="note" required autocomplete="off";
                    }
                    button { "Close the review" }
                }
            }
        }
    }
}

fn earlier(request: &AccessRequest, before: &[Session], now: Timestamp) -> Markup {
    html! {
        h2 { (request.requester.as_str()) " on " (request.target.as_str()) " before" }
        @if before.is_empty() { p.dim { "Never." } }
        ul {
            @for session in before {
                li { (theirs(&session.reason)) " " span.dim { (session.state.name()) } " · " (when(now, session.starts_at)) }
            }
        }
    }
}
