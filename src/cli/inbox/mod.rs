//! `hallpass inbox`: what waits for one's decision.

mod act;
mod detail;
mod keys;
mod model;
mod terminal;
#[cfg(test)]
mod testing;
mod view;

use std::io::{self, IsTerminal};

use clap::Args;

use super::api::Api;
use super::error::CliError;
use super::out::{DIM, paint};
use super::{Done, Global};
use crate::clock::Clock;
use crate::http::types::{RequestView, SessionView, TargetView};

/// Decide on what others ask for, in one place.
///
/// Shows the requests that wait for you as they come: who, what, how long, why, and what that person
/// did on the target before. Without a terminal, or with --plain, they are printed once. In the
/// inbox `?` shows the keys.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass inbox
  hallpass inbox --plain
  hallpass inbox --output json")]
pub(super) struct InboxArgs {
    /// Print them once, also on a terminal.
    #[arg(long)]
    plain: bool,
}

/// How many earlier sessions are shown.
const BEFORE: usize = 5;

pub(super) async fn run(global: &Global, args: InboxArgs) -> Done {
    let api = global.api()?;
    let terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
    if args.plain || !terminal || !global.output().is_human() {
        return once(global, &api).await;
    }
    terminal::run(api.impatient()).await
}

/// Prints what waits, and ends.
async fn once(global: &Global, api: &Api) -> Done {
    let waiting = mine(api.requests(false).await?);
    if !global.output().is_human() {
        global.output().show(&waiting, |_| String::new())?;
        return Ok(0);
    }
    let targets = api.targets().await?;
    let now = Clock::system().now();
    let mut blocks = Vec::new();
    for request in &waiting {
        let before = before(api, request).await?;
        let mut lines = vec![paint(DIM, &request.id.to_string())];
        let target = target(&targets, request);
        lines.extend(detail::lines(request, target, Some(&before), now));
        blocks.push(lines.join("\n"));
    }
    if let Some(first) = waiting.first() {
        let next = format!(
            "hallpass approve {0}, or: hallpass deny {0} --reason \"...\"",
            first.id
        );
        blocks.push(paint(DIM, &next));
    }
    global
        .output()
        .show(&waiting, |_| match blocks.is_empty() {
            true => "Nothing waits for you.".to_owned(),
            false => blocks.join("\n\n"),
        })?;
    Ok(0)
}

/// Those that the caller may decide.
fn mine(mut requests: Vec<RequestView>) -> Vec<RequestView> {
    requests.retain(|request| request.may_decide);
    requests
}

/// The last sessions of the requester for the target.
async fn before(api: &Api, request: &RequestView) -> Result<Vec<SessionView>, CliError> {
    api.sessions_of(&request.requester, &request.target, BEFORE)
        .await
}

/// What is known of the request's target.
fn target<'a>(targets: &'a [TargetView], request: &RequestView) -> Option<&'a TargetView> {
    targets.iter().find(|target| target.name == request.target)
}
