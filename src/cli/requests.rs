//! `hallpass request`, `requests`, `approve`, `deny`, `withdraw`.

use std::time::Duration;

use clap::Args;
use comfy_table::Cell;
use jiff::Timestamp;

use super::api::Api;
use super::error::CliError;
use super::human::{cell, clean, clock_time, relative, state, table};
use super::out::{DIM, GOOD, Spinner, paint};
use super::{Done, Global, out};
use crate::access::{RequestId, RequestState, TargetName};
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
  hallpass request orders-ro --for 1h --reason \"INC-4312\" --wait && hallpass connect orders-ro")]
pub(super) struct RequestArgs {
    /// The target (`hallpass targets` lists them).
    target: TargetName,
    /// For how long, from the approval on: 30m, 1h, \"1h 30m\".
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Duration,
    /// Why: approvers and auditors read it.
    #[arg(long)]
    reason: String,
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

/// Grant a request; its session starts at once.
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

fn words(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

pub(super) async fn request(global: &Global, args: RequestArgs) -> Done {
    let api = global.api()?;
    let submission = SubmitRequest {
        target: args.target,
        duration: words(args.duration),
        reason: args.reason,
    };
    let submitted = api.submit(&submission).await?;
    if !args.wait {
        global.output().show(&submitted, submitted_text)?;
        return Ok(0);
    }
    if global.output().is_human() {
        out::note(&submitted_line(&submitted));
    }
    let decided = decided(&api, submitted).await?;
    if matches!(decided.state, RequestState::Approved { .. }) {
        global.output().show(&decided, approved_text)?;
        return Ok(0);
    }
    if !global.output().is_human() {
        global.output().show(&decided, |_| String::new())?;
    }
    Err(CliError::NotApproved(decided.state))
}

/// The request, once it is no longer pending.
async fn decided(api: &Api, mut request: RequestView) -> Result<RequestView, CliError> {
    let _spinner = Spinner::start("waiting for an approver · {elapsed}");
    while request.state == RequestState::Pending {
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
    format!(
        "Request {} submitted: {} for {}.",
        request.id, request.target, request.duration
    )
}

fn submitted_text(request: &RequestView) -> String {
    let next = format!("Somebody else approves it: hallpass approve {}", request.id);
    format!("{}\n{}", submitted_line(request), paint(DIM, &next))
}

fn approved_text(request: &RequestView) -> String {
    let RequestState::Approved { by, session, .. } = &request.state else {
        return String::new();
    };
    let next = format!("hallpass connect {}", request.target);
    format!(
        "{} by {by}: session {session}.\n{}",
        paint(GOOD, "Approved"),
        paint(DIM, &next)
    )
}

pub(super) async fn list(global: &Global, args: &RequestsArgs) -> Done {
    let requests = global.api()?.requests(args.all).await?;
    let now = Clock::system().now();
    global.output().show(&requests, |r| list_text(r, now))?;
    Ok(0)
}

fn list_text(requests: &[RequestView], now: Timestamp) -> String {
    table(
        &["REQUEST", "STATE", "WHO", "TARGET", "FOR", "REASON", "WHEN"],
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
        cell(&request.duration),
        cell(&request.reason),
        cell(&when(request, now)),
    ]
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
        RequestState::Denied { by, at, reason } => {
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

fn granted_text(approved: &Approved, now: Timestamp) -> String {
    let session = &approved.session;
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
