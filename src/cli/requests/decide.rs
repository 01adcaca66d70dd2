//! `hallpass approve`, `deny`.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::super::human::{clean, clock_time, relative};
use super::super::out::{GOOD, paint};
use super::super::{Done, Global};
use super::list::waits_for;
use super::{duration, words};
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
  hallpass approve req-4m0t8z1kqc7e --for 10m")]
pub(in super::super) struct ApproveArgs {
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
pub(in super::super) struct DenyArgs {
    /// The request.
    id: RequestId,
    /// Why: the requester reads it.
    #[arg(long)]
    reason: String,
}

pub(in super::super) async fn approve(global: &Global, args: ApproveArgs) -> Done {
    let body = Approve {
        duration: args.duration.map(words),
    };
    let approved = global.api()?.approve(args.id, &body).await?;
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
