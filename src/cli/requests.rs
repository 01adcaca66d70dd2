//! `hallpass request`, `requests`, `approve`, `deny`, `withdraw`.

use std::time::Duration;

use clap::Args;
use comfy_table::Cell;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::api::Api;
use super::error::CliError;
use super::human::{cell, clean, clock_time, relative, state, table};
use super::moment::Moment;
use super::out::{DIM, GOOD, Spinner, paint};
use super::{Done, Global, out};
use crate::access::{Approval, PrincipalName, RequestId, RequestKind, RequestState, TargetName};
use crate::clock::Clock;
use crate::http::types::{Approve, Approved, Reason, RequestView, SubmitRequest};

/// Ask for access to a target.
///
/// The session starts when somebody approves, and ends by itself. With --wait the command ends when
/// the request is decided: exit code 0 only if it was approved.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass request orders-ro --for 30m --reason \"INC-4312 stuck refunds\"
  hallpass request orders-ro --for 1h --reason \"INC-4312\" --wait && hallpass connect orders-ro
  hallpass request orders-ro --for 2h --reason \"CHG-77 migration\" --at 22:00
  hallpass request orders-ro --for 30m --reason \"INC-4312 all is down\" --break-glass")]
pub(super) struct RequestArgs {
    /// The target (`hallpass targets` lists them).
    target: TargetName,
    /// For how long, from the approval on: 30m, 1h, \"1h 30m\".
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Duration,
    /// Why: approvers and auditors read it.
    #[arg(long)]
    reason: String,
    /// When the session is to begin, if not at its approval: 2h, 22:00, \"2026-11-22 22:00\".
    #[arg(long, value_name = "WHEN")]
    at: Option<Moment>,
    /// Take it at once, without an approval, where the policy lets you: everybody hears of it, and
    /// somebody else has to review it afterwards.
    #[arg(long, conflicts_with = "at")]
    break_glass: bool,
    /// Wait until the request is decided.
    #[arg(long)]
    wait: bool,
}

/// List access requests: yours, and those that you may approve.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass requests
  hallpass requests --all --output json")]
pub(super) struct RequestsArgs {
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
pub(super) struct ShowArgs {
    /// The request.
    id: RequestId,
}

/// Grant a request; its session starts at once, or when the last who has to has approved.
///
/// Nobody can approve their own request.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass approve req-4m0t8z1kqc7e
  hallpass approve req-4m0t8z1kqc7e --for 10m")]
pub(super) struct ApproveArgs {
    /// The request.
    id: RequestId,
    /// For how long, if shorter than was asked for.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
}

/// Refuse a request.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass deny req-4m0t8z1kqc7e --reason \"use orders-ro instead\"")]
pub(super) struct DenyArgs {
    /// The request.
    id: RequestId,
    /// Why: the requester reads it.
    #[arg(long)]
    reason: String,
}

/// Take your own request back.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass withdraw req-4m0t8z1kqc7e")]
pub(super) struct WithdrawArgs {
    /// The request.
    id: RequestId,
}

/// Reads `30m` and the like; zero and bare numbers are refused.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be longer than nothing".into()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("write it like 30m, 1h or \"1h 30m\"".into()),
    }
}

pub(super) fn words(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

pub(super) async fn request(global: &Global, args: RequestArgs) -> Done {
    let api = global.api()?;
    let now = Clock::system().now();
    let submission = SubmitRequest {
        target: args.target,
        duration: words(args.duration),
        reason: args.reason,
        starts_at: args.at.map(|at| at.resolve(now, &TimeZone::system())),
        break_glass: args.break_glass,
    };
    let submitted = api.submit(&submission).await?;
    follow(global, &api, submitted, args.wait).await
}

/// Says what became of a request that was just submitted; waits for its decision if so asked.
pub(super) async fn follow(global: &Global, api: &Api, request: RequestView, wait: bool) -> Done {
    let output = global.output();
    if request.state != RequestState::Pending || !wait {
        output.show(&request, submitted_text)?;
        return Ok(0);
    }
    if output.is_human() {
        out::note(&submitted_line(&request));
    }
    let decided = decided(api, request).await?;
    if matches!(decided.state, RequestState::Approved { .. }) {
        output.show(&decided, approved_text)?;
        return Ok(0);
    }
    if !output.is_human() {
        output.show(&decided, |_| String::new())?;
    }
    Err(CliError::NotApproved(decided.state))
}

/// The request, once it is no longer pending.
async fn decided(api: &Api, mut request: RequestView) -> Result<RequestView, CliError> {
    let spinner = Spinner::start("{msg} · {elapsed}");
    while request.state == RequestState::Pending {
        spinner.say(&waits_for(&request));
        request = polled(api, request.id).await?;
    }
    Ok(request)
}

/// One long poll; a server that restarts in the middle of it is given time to come back.
async fn polled(api: &Api, id: RequestId) -> Result<RequestView, CliError> {
    const TRIES: u32 = 15;
    for _ in 1..TRIES {
        match api.poll_request(id).await {
            Err(CliError::Unreachable { .. } | CliError::TimedOut { .. }) => {
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            answer => return answer,
        }
    }
    api.poll_request(id).await
}

fn submitted_line(request: &RequestView) -> String {
    let what = match request.kind {
        RequestKind::Extension => format!("{} for {} more", request.target, request.duration),
        _ => format!("{} for {}", request.target, request.duration),
    };
    format!("Request {} submitted: {what}.", request.id)
}

fn submitted_text(request: &RequestView) -> String {
    if request.state != RequestState::Pending {
        return approved_text(request);
    }
    let next = format!(
        "{} To approve: hallpass approve {}",
        waits_for(request),
        request.id
    );
    format!("{}\n{}", submitted_line(request), paint(DIM, &next))
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

fn approved_text(request: &RequestView) -> String {
    let RequestState::Approved { by, session, .. } = &request.state else {
        return String::new();
    };
    let by = clean(&by.to_string());
    let (done, next) = match request.kind {
        RequestKind::Extension => (format!("session {session} goes on"), None),
        RequestKind::Session => (format!("session {session}"), Some("")),
        RequestKind::BreakGlass => (
            format!("session {session}"),
            Some("Everybody is told, and somebody else will review it. "),
        ),
    };
    let granted = format!("{} by {by}: {done}.", paint(GOOD, "Approved"));
    match next {
        None => granted,
        Some(note) => {
            let next = format!("{note}hallpass connect {}", request.target);
            format!("{granted}\n{}", paint(DIM, &next))
        }
    }
}

pub(super) async fn list(global: &Global, args: &RequestsArgs) -> Done {
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

pub(super) fn length(request: &RequestView) -> String {
    match request.kind {
        RequestKind::Extension => format!("{} more", request.duration),
        RequestKind::BreakGlass => format!("{} (glass)", request.duration),
        RequestKind::Session => request.duration.clone(),
    }
}

/// The stage that it is in: `1/2`, and how many of several have approved in it.
pub(super) fn stage(request: &RequestView) -> String {
    match &request.stage {
        None => String::new(),
        Some(it) if it.needed > 1 => {
            format!("{}/{} ({} of {})", it.number, it.of, it.given, it.needed)
        }
        Some(it) => format!("{}/{}", it.number, it.of),
    }
}

pub(super) async fn show(global: &Global, args: &ShowArgs) -> Done {
    let request = global.api()?.request(args.id).await?;
    let now = Clock::system().now();
    global.output().show(&request, |r| show_text(r, now))?;
    Ok(0)
}

fn show_text(request: &RequestView, now: Timestamp) -> String {
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
    let line =
        |(name, value): (&str, String)| format!("{} {value}", paint(DIM, &format!("{name:<10}")));
    facts.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(super) fn approval_text(approval: &Approval, now: Timestamp) -> String {
    let mut text = format!("{} by {}", relative(now, approval.at), approval.by);
    if let Some(other) = &approval.on_behalf_of {
        text.push_str(&format!(" on behalf of {other}"));
    }
    if let Some(seconds) = approval.seconds {
        text.push_str(&format!(", for {}", words(Duration::from_secs(seconds))));
    }
    format!("{text} (stage {})", approval.stage)
}

fn decided_text(request: &RequestView, now: Timestamp) -> String {
    clean(&format!("{}, {}", request.state.name(), when(request, now)))
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

pub(super) async fn approve(global: &Global, args: ApproveArgs) -> Done {
    let body = Approve {
        duration: args.duration.map(words),
    };
    let approved = global.api()?.approve(args.id, &body).await?;
    let now = Clock::system().now();
    global.output().show(&approved, |a| granted_text(a, now))?;
    Ok(0)
}

pub(super) fn granted_text(approved: &Approved, now: Timestamp) -> String {
    let Some(session) = &approved.session else {
        return format!(
            "{}. {}",
            paint(GOOD, "Approved, so far"),
            waits_for(&approved.request)
        );
    };
    format!(
        "{}: {} has {} until {} ({}), session {}.",
        paint(GOOD, "Approved"),
        session.principal,
        session.target,
        clock_time(now, session.expires_at),
        relative(now, session.expires_at),
        session.id
    )
}

pub(super) async fn deny(global: &Global, args: DenyArgs) -> Done {
    let reason = Reason {
        reason: args.reason,
    };
    let denied = global.api()?.deny(args.id, &reason).await?;
    global.output().show(&denied, |request| {
        format!(
            "Denied: {} does not get {} ({}).",
            request.requester,
            request.target,
            clean(&reason.reason)
        )
    })?;
    Ok(0)
}

pub(super) async fn withdraw(global: &Global, args: &WithdrawArgs) -> Done {
    let withdrawn = global.api()?.withdraw(args.id).await?;
    global.output().show(&withdrawn, |request| {
        format!("Withdrawn: {} for {}.", request.id, request.target)
    })?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(state: RequestState) -> RequestView {
        RequestView {
            id: RequestId::from_random(1),
            requester: "maya".parse().unwrap(),
            target: "orders-ro".parse().unwrap(),
            duration: "30m".into(),
            reason: "INC-1\x1b[2J".into(),
            created_at: at(0),
            lapses_at: at(3600),
            state,
            may_decide: false,
            kind: RequestKind::Session,
            extends: None,
            ticket: None,
            starts_at: None,
            stage: None,
            approvals: Vec::new(),
            deciders: Vec::new(),
            version: 1,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

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

    #[test]
    fn a_submission_names_the_request_to_approve() {
        let text = submitted_text(&view(RequestState::Pending));
        let id = RequestId::from_random(1);
        assert!(text.contains(&format!("hallpass approve {id}")), "{text}");
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("30m"), Ok(Duration::from_secs(1800)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert!(duration("30").is_err() && duration("0s").is_err() && duration("-1m").is_err());
    }
}
