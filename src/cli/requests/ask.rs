//! `hallpass request`, `withdraw`; and what becomes of what was asked for.

use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;

use super::super::api::Api;
use super::super::error::CliError;
use super::super::human::clean;
use super::super::moment::Moment;
use super::super::out::{self, DIM, GOOD, Spinner, paint};
use super::super::{Done, Global};
use super::list::waits_for;
use super::{duration, words};
use crate::access::{RequestId, RequestKind, RequestState, TargetName};
use crate::clock::Clock;
use crate::http::types::{RequestView, SubmitRequest};

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
pub(in super::super) struct RequestArgs {
    /// The target (`hallpass targets` lists them).
    target: TargetName,
    /// For how long, from the approval on: 30m, 1h, "1h 30m".
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Duration,
    /// Why: approvers and auditors read it.
    #[arg(long)]
    reason: String,
    /// When the session is to begin, if not at its approval: 2h, 22:00, "2026-11-22 22:00".
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

/// Take your own request back.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass withdraw req-4m0t8z1kqc7e")]
pub(in super::super) struct WithdrawArgs {
    /// The request.
    id: RequestId,
}

pub(in super::super) async fn request(global: &Global, args: RequestArgs) -> Done {
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
pub(in super::super) async fn follow(
    global: &Global,
    api: &Api,
    request: RequestView,
    wait: bool,
) -> Done {
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
        request = api.poll_request(request.id).await?;
    }
    Ok(request)
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

pub(in super::super) async fn withdraw(global: &Global, args: &WithdrawArgs) -> Done {
    let withdrawn = global.api()?.withdraw(args.id).await?;
    global.output().show(&withdrawn, |request| {
        format!("Withdrawn: {} for {}.", request.id, request.target)
    })?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::view;
    use super::*;

    #[test]
    fn a_submission_names_the_request_to_approve() {
        let text = submitted_text(&view(RequestState::Pending));
        let id = RequestId::from_random(1);
        assert!(text.contains(&format!("hallpass approve {id}")), "{text}");
    }
}
