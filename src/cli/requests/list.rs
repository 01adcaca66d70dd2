//! `hallpass requests`, `show`.

use std::time::Duration;

use clap::Args;
use comfy_table::Cell;
use jiff::Timestamp;

use super::super::human::{cell, clean, clock_time, relative, state, table};
use super::super::out::{DIM, paint};
use super::super::{Done, Global};
use super::words;
use crate::access::{Approval, PrincipalName, RequestId, RequestKind, RequestState};
use crate::clock::Clock;
use crate::http::types::RequestView;

/// List access requests: yours, and those that you may approve.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass requests
  hallpass requests --all --output json")]
pub(in super::super) struct RequestsArgs {
    /// Also those that are decided.
    #[arg(long)]
    all: bool,
}

/// Show one request: who asks and why, who has approved, whom it waits for.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass show req-4m0t8z1kqc7e
  hallpass show req-4m0t8z1kqc7e --output json")]
pub(in super::super) struct ShowArgs {
    /// The request.
    id: RequestId,
}

pub(in super::super) async fn list(global: &Global, args: &RequestsArgs) -> Done {
    let requests = global.api()?.requests(args.all).await?;
    let now = Clock::system().now();
    global.output().show(&requests, |r| list_text(r, now))?;
    Ok(0)
}

fn list_text(requests: &[RequestView], now: Timestamp) -> String {
    table(
        &[
            "REQUEST", "STATE", "WHO", "TARGET", "FOR", "REASON", "STAGE", "WHEN",
        ],
        requests.iter().map(|request| row(request, now)).collect(),
        "No request is waiting.",
    )
}

fn row(request: &RequestView, now: Timestamp) -> Vec<Cell> {
    vec![
        cell(&request.id.to_string()),
        state(request.state.name()),
        cell(request.requester.as_str()),
        cell(request.target.as_str()),
        cell(&length(request)),
        cell(&request.reason),
        cell(&stage(request)),
        cell(&when(request, now)),
    ]
}

pub(in super::super) fn length(request: &RequestView) -> String {
    match request.kind {
        RequestKind::Extension => format!("{} more", request.duration),
        RequestKind::BreakGlass => format!("{} (glass)", request.duration),
        RequestKind::Session => request.duration.clone(),
    }
}

/// The stage that it is in: `1/2`, and how many of several have approved in it.
pub(in super::super) fn stage(request: &RequestView) -> String {
    match &request.stage {
        None => String::new(),
        Some(it) if it.needed > 1 => {
            format!("{}/{} ({} of {})", it.number, it.of, it.given, it.needed)
        }
        Some(it) => format!("{}/{}", it.number, it.of),
    }
}

/// When it was submitted, and what came or comes of it.
fn when(request: &RequestView, now: Timestamp) -> String {
    let ago = |at| relative(now, at);
    match &request.state {
        RequestState::Pending => {
            let (since, until) = (ago(request.created_at), ago(request.lapses_at));
            format!("{since}, lapses {until}")
        }
        RequestState::Approved { by, at, .. } => format!("{} by {by}", ago(*at)),
        RequestState::Denied { by, at, reason, .. } => {
            format!("{} by {by}: {reason}", ago(*at))
        }
        RequestState::Withdrawn { at } | RequestState::Lapsed { at } => ago(*at),
    }
}

/// Whom a pending request waits for.
pub(super) fn waits_for(request: &RequestView) -> String {
    let Some(stage) = &request.stage else {
        return format!("It is {}.", request.state.name());
    };
    let place = match stage.of {
        1 => String::new(),
        of => format!("Stage {}/{of}. ", stage.number),
    };
    let more = stage.needed.saturating_sub(stage.given);
    let whom = match (&request.deciders[..], &stage.approvers[..]) {
        ([], []) => "somebody else".to_owned(),
        ([], named) => clean(&named.join(", ")),
        (people, _) => one_of(people),
    };
    match more {
        1 => format!("{place}It waits for {whom}."),
        more => format!("{place}It waits for {more} of {whom}."),
    }
}

/// `dana`, `dana or lee`, `dana, lee or 3 others`.
fn one_of(people: &[PrincipalName]) -> String {
    const NAMED: usize = 5;
    let names: Vec<&str> = people
        .iter()
        .take(NAMED)
        .map(PrincipalName::as_str)
        .collect();
    match (&names[..], people.len().saturating_sub(NAMED)) {
        ([one], _) => (*one).to_owned(),
        ([some @ .., last], 0) => format!("{} or {last}", some.join(", ")),
        (names, more) => format!("{} or {more} others", names.join(", ")),
    }
}

pub(in super::super) async fn show(global: &Global, args: &ShowArgs) -> Done {
    let request = global.api()?.request(args.id).await?;
    let now = Clock::system().now();
    global.output().show(&request, |r| show_text(r, now))?;
    Ok(0)
}

pub(super) fn show_text(request: &RequestView, now: Timestamp) -> String {
    let at = |at: Timestamp| format!("{} ({})", clock_time(now, at), relative(now, at));
    let mut facts = vec![
        ("Request", request.id.to_string()),
        ("Who", request.requester.to_string()),
        ("Target", request.target.to_string()),
        ("For", length(request)),
        ("Why", clean(&request.reason)),
    ];
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    add("Ticket", request.ticket.as_deref().map(clean));
    add("Extends", request.extends.map(|it| it.to_string()));
    add("Starts", request.starts_at.map(at));
    add("Submitted", Some(at(request.created_at)));
    for approval in &request.approvals {
        add("Approved", Some(approval_text(approval, now)));
    }
    let pending = request.state == RequestState::Pending;
    add("Waits", pending.then(|| waits_for(request)));
    let stage = request.stage.as_ref();
    add("Escalates", stage.and_then(|it| it.escalates_at).map(at));
    add("Lapses", pending.then(|| at(request.lapses_at)));
    add("State", (!pending).then(|| decided_text(request, now)));
    add("Version", Some(request.version.to_string()));
    let line =
        |(name, value): (&str, String)| format!("{} {value}", paint(DIM, &format!("{name:<10}")));
    facts.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(in super::super) fn approval_text(approval: &Approval, now: Timestamp) -> String {
    let mut text = format!("{} by {}", relative(now, approval.at), approval.by);
    if let Some(other) = &approval.on_behalf_of {
        text.push_str(&format!(" on behalf of {other}"));
    }
    if let Some(seconds) = approval.seconds {
        text.push_str(&format!(", for {}", words(Duration::from_secs(seconds))));
    }
    format!("{text} (stage {})", approval.stage)
}

pub(super) fn decided_text(request: &RequestView, now: Timestamp) -> String {
    clean(&format!("{}, {}", request.state.name(), when(request, now)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, view};
    use super::*;

    fn listed(state: RequestState) -> String {
        let text = list_text(&[view(state)], at(180));
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn a_pending_request_shows_its_age_and_when_it_lapses() {
        let text = listed(RequestState::Pending);
        assert!(text.contains("3m ago, lapses in 57m"), "{text}");
        assert!(
            text.contains("maya") && text.contains("orders-ro"),
            "{text}"
        );
        assert!(!text.contains('\x1b'), "{text:?}");
    }

    #[test]
    fn a_decided_request_shows_by_whom_and_why() {
        let text = listed(RequestState::Denied {
            by: "dana".parse().unwrap(),
            on_behalf_of: None,
            at: at(120),
            reason: "use the replica".into(),
        });
        assert!(text.contains("1m ago by dana: use the replica"), "{text}");
        assert_eq!(list_text(&[], at(0)), "No request is waiting.");
    }
}
