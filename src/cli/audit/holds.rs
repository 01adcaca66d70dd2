//! `hallpass audit hold`, `release`, `holds`.

use clap::Args;
use comfy_table::Cell;
use jiff::Timestamp;

use super::super::human::{cell, relative, table};
use super::super::out::{GOOD, paint};
use super::super::{Done, Global};
use crate::access::SessionId;
use crate::clock::Clock;
use crate::http::types::{HoldView, Reason};

/// Keep a session's records, however old they get.
///
/// Asks the server; for auditors. Segments with records of the session are not deleted until
/// somebody releases it.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass audit hold ses-4m0t8z1kqc7e --reason \"case 2026-118\"")]
pub(super) struct HoldArgs {
    /// The session, over or not.
    session: SessionId,
    /// Why: the audit keeps it.
    #[arg(long)]
    reason: String,
}

/// Let a session's records go when they are old.
///
/// Asks the server; for auditors.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass audit release ses-4m0t8z1kqc7e --reason \"case 2026-118 is closed\"")]
pub(super) struct ReleaseArgs {
    /// The session.
    session: SessionId,
    /// Why: the audit keeps it.
    #[arg(long)]
    reason: String,
}

/// List the sessions whose records are held.
///
/// Asks the server; for auditors.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass audit holds
  hallpass audit holds --output json")]
pub(super) struct HoldsArgs {}

pub(super) async fn hold(global: &Global, args: HoldArgs) -> Done {
    let reason = Reason {
        reason: args.reason,
    };
    let hold = global.api()?.place_hold(args.session, &reason).await?;
    global.output().show(&hold, |hold| {
        let held = paint(GOOD, "Held");
        format!(
            "{held}: the records of {} ({} at {}) stay until they are released.",
            hold.session, hold.principal, hold.target
        )
    })?;
    Ok(0)
}

pub(super) async fn release(global: &Global, args: ReleaseArgs) -> Done {
    let reason = Reason {
        reason: args.reason,
    };
    let hold = global.api()?.release_hold(args.session, &reason).await?;
    global.output().show(&hold, |hold| {
        let released = paint(GOOD, "Released");
        format!(
            "{released}: the records of {} ({} at {}) are kept as long as all others.",
            hold.session, hold.principal, hold.target
        )
    })?;
    Ok(0)
}

pub(super) async fn list(global: &Global) -> Done {
    let holds = global.api()?.holds().await?;
    let now = Clock::system().now();
    global
        .output()
        .show(&holds, |holds| list_text(holds, now))?;
    Ok(0)
}

fn list_text(holds: &[HoldView], now: Timestamp) -> String {
    table(
        &["SESSION", "WHO", "TARGET", "HELD", "BY", "REASON"],
        holds.iter().map(|hold| row(hold, now)).collect(),
        "No session's records are held.",
    )
}

fn row(hold: &HoldView, now: Timestamp) -> Vec<Cell> {
    vec![
        cell(&hold.session.to_string()),
        cell(hold.principal.as_str()),
        cell(hold.target.as_str()),
        cell(&relative(now, hold.held_at)),
        cell(hold.held_by.as_str()),
        cell(&hold.reason),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_listed_with_who_wants_it_and_why_and_cannot_steer_the_terminal() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let hold = HoldView {
            session: SessionId::from_random(1),
            principal: "maya".parse().unwrap(),
            target: "orders-ro".parse().unwrap(),
            held_by: "iris".parse().unwrap(),
            held_at: at(0),
            reason: "case\x1b[2J 118".into(),
        };
        let text = list_text(&[hold], at(180));
        let text = anstream::adapter::strip_str(&text).to_string();
        assert!(text.contains("3m ago"), "{text}");
        assert!(text.contains("iris") && text.contains("case\u{fffd}[2J 118"));
    }
}
