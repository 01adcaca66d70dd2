//! `hallpass approve`, `deny`.

use std::time::Duration;

use clap::{Args, value_parser};
use jiff::Timestamp;

use super::super::api::Api;
use super::super::error::CliError;
use super::super::human::{clean, clock_time, relative};
use super::super::out::{self, GOOD, paint};
use super::super::{Done, Global};
use super::list::{show_text, waits_for};
use super::{changed, duration, words};
use crate::access::RequestId;
use crate::clock::Clock;
use crate::http::types::{Approve, Approved, Reason};

/// Grant a request; its session starts at once, or when the last who has to has approved.
///
/// Nobody can approve their own request.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass approve req-4m0t8z1kqc7e
  hallpass approve req-4m0t8z1kqc7e --for 10m
  hallpass approve req-4m0t8z1kqc7e --if-version 1")]
pub(in super::super) struct ApproveArgs {
    /// The request.
    id: RequestId,
    /// For how long, if shorter than was asked for.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// Only if it still is in this version, the one that `hallpass show` showed you.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    if_version: Option<u64>,
}

/// Refuse a request.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass deny req-4m0t8z1kqc7e --reason \"use orders-ro instead\"
  hallpass deny req-4m0t8z1kqc7e --reason \"not today\" --if-version 1")]
pub(in super::super) struct DenyArgs {
    /// The request.
    id: RequestId,
    /// Why: the requester reads it.
    #[arg(long)]
    reason: String,
    /// Only if it still is in this version, the one that `hallpass show` showed you.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    if_version: Option<u64>,
}

pub(in super::super) async fn approve(global: &Global, args: ApproveArgs) -> Done {
    let body = Approve {
        duration: args.duration.map(words),
    };
    let api = global.api()?;
    let approved = match api.approve(args.id, args.if_version, &body).await {
        Ok(approved) => approved,
        Err(error) => return Err(as_it_is(error, &api, args.id).await),
    };
    let now = Clock::system().now();
    global.output().show(&approved, |a| granted_text(a, now))?;
    Ok(0)
}

pub(in super::super) fn granted_text(approved: &Approved, now: Timestamp) -> String {
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

pub(in super::super) async fn deny(global: &Global, args: DenyArgs) -> Done {
    let reason = Reason {
        reason: args.reason,
    };
    let api = global.api()?;
    let denied = match api.deny(args.id, args.if_version, &reason).await {
        Ok(denied) => denied,
        Err(error) => return Err(as_it_is(error, &api, args.id).await),
    };
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

/// The error; a request that has changed is shown anew.
async fn as_it_is(error: CliError, api: &Api, id: RequestId) -> CliError {
    let error = changed::told(error, api, id).await;
    if let CliError::Changed { request, .. } = &error {
        out::note(&show_text(request, Clock::system().now()));
    }
    error
}
