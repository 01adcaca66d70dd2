//! `hallpass review list`, `close`.

use clap::{Args, Subcommand};
use comfy_table::Cell;
use jiff::Timestamp;

use super::human::{cell, relative, state, table};
use super::out::{GOOD, paint};
use super::{Done, Global};
use crate::access::{ReviewState, SessionId};
use crate::clock::Clock;
use crate::http::types::{CloseReview, ReviewView};

/// Look at what was done by those who broke the glass.
///
/// Whoever takes a session without an approval leaves a review, which stays open until somebody
/// else closes it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass review list
  hallpass audit show ses-4m0t8z1kqc7e
  hallpass review close ses-4m0t8z1kqc7e --note \"restarted the queue, as agreed by phone\"")]
pub(super) struct ReviewArgs {
    #[command(subcommand)]
    command: ReviewCommand,
}

#[derive(Debug, Subcommand)]
enum ReviewCommand {
    List(ListArgs),
    Close(CloseArgs),
}

/// List reviews: your own, and those of targets that you may approve.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass review list
  hallpass review list --all --output json")]
struct ListArgs {
    /// Also those that are closed.
    #[arg(long)]
    all: bool,
}

/// Close a review, with a note of what you found.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass review close ses-4m0t8z1kqc7e --note \"restarted the queue, as agreed by phone\"")]
struct CloseArgs {
    /// The session.
    session: SessionId,
    /// What was done, and whether that was right: the audit keeps it.
    #[arg(long)]
    note: String,
}

pub(super) async fn run(global: &Global, args: ReviewArgs) -> Done {
    match args.command {
        ReviewCommand::List(args) => list(global, &args).await,
        ReviewCommand::Close(args) => close(global, args).await,
    }
}

async fn list(global: &Global, args: &ListArgs) -> Done {
    let reviews = global.api()?.reviews(args.all).await?;
    let now = Clock::system().now();
    global.output().show(&reviews, |r| list_text(r, now))?;
    Ok(0)
}

fn list_text(reviews: &[ReviewView], now: Timestamp) -> String {
    table(
        &[
            "SESSION", "STATE", "WHO", "TARGET", "REASON", "WHEN", "NOTE",
        ],
        reviews.iter().map(|review| row(review, now)).collect(),
        "No review is open.",
    )
}

fn row(review: &ReviewView, now: Timestamp) -> Vec<Cell> {
    let note = match &review.state {
        ReviewState::Open => String::new(),
        ReviewState::Closed { by, note, .. } => format!("{by}: {note}"),
    };
    vec![
        cell(&review.session.to_string()),
        state(review.state.name()),
        cell(review.principal.as_str()),
        cell(review.target.as_str()),
        cell(&review.reason),
        cell(&relative(now, review.opened_at)),
        cell(&note),
    ]
}

async fn close(global: &Global, args: CloseArgs) -> Done {
    let body = CloseReview { note: args.note };
    let closed = global.api()?.close_review(args.session, &body).await?;
    global.output().show(&closed, |review| {
        format!(
            "{}: the review of {}'s session for {}.",
            paint(GOOD, "Closed"),
            review.principal,
            review.target
        )
    })?;
    Ok(0)
}
