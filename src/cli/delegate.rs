//! `hallpass delegate`.

use clap::Args;
use comfy_table::Cell;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::error::CliError;
use super::human::{cell, clock_time, relative, table};
use super::moment::Moment;
use super::out::{GOOD, paint};
use super::{Done, Global};
use crate::access::PrincipalName;
use crate::clock::Clock;
use crate::http::types::{Delegate, Delegation};

/// Let somebody approve, deny and review in your place while you are away.
///
/// They do it in their own name; it is on record that it was on your behalf. What others delegated
/// to you does not go with it, and nobody decides on their own requests by your powers. Without
/// --to the command lists the delegations from and to you.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass delegate --to dana --until 2026-12-01
  hallpass delegate --to dana --until 3d
  hallpass delegate
  hallpass delegate --to dana --end")]
pub(super) struct DelegateArgs {
    /// Who decides in your place.
    #[arg(long, value_name = "PRINCIPAL", requires = "how")]
    to: Option<PrincipalName>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
#[group(id = "how", multiple = false, requires = "to")]
struct How {
    /// Until when: 3d, 18:00, 2026-12-01.
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
    /// End it now.
    #[arg(long)]
    end: bool,
}

pub(super) async fn run(global: &Global, args: DelegateArgs) -> Done {
    let api = global.api()?;
    let now = Clock::system().now();
    match (args.to, args.how.until) {
        (None, _) => {
            let all = api.delegations().await?;
            global.output().show(&all, |all| list_text(all, now))?;
        }
        (Some(to), Some(until)) => {
            let until = until.resolve(now, &TimeZone::system());
            let made = api.delegate(&Delegate { to, until }).await?;
            global.output().show(&made, |it| made_text(it, now))?;
        }
        (Some(to), None) if args.how.end => {
            let ended = api.end_delegation(&to).await?;
            let text = |it: &Delegation| format!("Ended: {} decides for you no longer.", it.to);
            global.output().show(&ended, text)?;
        }
        (Some(_), None) => return Err(CliError::Usage("say --until WHEN, or --end".into())),
    }
    Ok(0)
}

fn made_text(delegation: &Delegation, now: Timestamp) -> String {
    format!(
        "{}: {} may decide in your place until {} ({}).",
        paint(GOOD, "Delegated"),
        delegation.to,
        clock_time(now, delegation.until),
        relative(now, delegation.until)
    )
}

fn list_text(delegations: &[Delegation], now: Timestamp) -> String {
    table(
        &["FROM", "TO", "ENDS"],
        delegations.iter().map(|it| row(it, now)).collect(),
        "Nobody decides in your place, nor you in another's.",
    )
}

fn row(delegation: &Delegation, now: Timestamp) -> Vec<Cell> {
    vec![
        cell(delegation.from.as_str()),
        cell(delegation.to.as_str()),
        cell(&relative(now, delegation.until)),
    ]
}
