//! `hallpass extend`, `done`.

use std::time::Duration;

use clap::Args;

use super::api::Api;
use super::connect::{Wanted, live_session};
use super::error::CliError;
use super::requests::{self, duration, words};
use super::sessions::revoked_text;
use super::{Done, Global};
use crate::access::{PrincipalName, SessionId};
use crate::http::types::{Extend, Reason, SessionView};

/// Ask for more time in your live session.
///
/// It is a request of its own, which somebody approves like the first one, unless the policy grants
/// it at once. Connections that are open go on to the new end.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass extend orders-ro --for 30m --reason \"INC-4312 backfill still runs\"
  hallpass extend ses-4m0t8z1kqc7e --for 1h --reason \"INC-4312\" --wait")]
pub(super) struct ExtendArgs {
    /// A target, or a session's id.
    #[arg(value_name = "TARGET|SESSION")]
    wanted: Wanted,
    /// How much longer: 30m, 1h, "1h 30m".
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Duration,
    /// Why: approvers and auditors read it.
    #[arg(long)]
    reason: String,
    /// Wait until the request is decided.
    #[arg(long)]
    wait: bool,
}

/// End your session: you are done.
///
/// Without an argument it ends the one live session that you have. Its connections close.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass done
  hallpass done orders-ro")]
pub(super) struct DoneArgs {
    /// A target, or a session's id.
    #[arg(value_name = "TARGET|SESSION")]
    wanted: Option<Wanted>,
}

pub(super) async fn extend(global: &Global, args: ExtendArgs) -> Done {
    let api = global.api()?;
    let session = session(&api, args.wanted).await?;
    let body = Extend {
        duration: words(args.duration),
        reason: args.reason,
    };
    let submitted = api.extend(session, &body).await?;
    requests::follow(global, &api, submitted, args.wait).await
}

async fn session(api: &Api, wanted: Wanted) -> Result<SessionId, CliError> {
    match wanted {
        Wanted::Session(session) => Ok(session),
        Wanted::Target(target) => live_session(api, target).await,
    }
}

pub(super) async fn done(global: &Global, args: DoneArgs) -> Done {
    let api = global.api()?;
    let session = match args.wanted {
        Some(wanted) => session(&api, wanted).await?,
        None => only(&api.whoami().await?.name, &api.sessions(false).await?)?,
    };
    let reason = Reason {
        reason: "done".into(),
    };
    let ended = api.revoke(session, &reason).await?;
    global.output().show(&ended, revoked_text)?;
    Ok(0)
}

/// The one session that is `me`'s.
fn only(me: &PrincipalName, sessions: &[SessionView]) -> Result<SessionId, CliError> {
    let mine: Vec<_> = sessions.iter().filter(|it| it.principal == *me).collect();
    match mine[..] {
        [] => Err(CliError::NoRecord("you have no live session".into())),
        [only] => Ok(only.id),
        _ => {
            let targets: Vec<&str> = mine.iter().map(|it| it.target.as_str()).collect();
            let targets = targets.join(", ");
            let problem = format!("you have several sessions: say which one ({targets})");
            Err(CliError::Usage(problem))
        }
    }
}
