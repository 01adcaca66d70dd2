//! `hallpass sessions`, `revoke`.

use clap::Args;
use comfy_table::Cell;
use jiff::Timestamp;

use super::human::{cell, relative, state, table};
use super::out::{GOOD, paint};
use super::{Done, Global};
use crate::access::{SessionId, SessionState};
use crate::clock::Clock;
use crate::http::types::{Reason, SessionView};

/// List sessions: yours, and those of targets that you may approve.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass sessions
  hallpass sessions --all --output json")]
pub(super) struct SessionsArgs {
    /// Also those that have ended.
    #[arg(long)]
    all: bool,
}

/// End a session now and close its connections.
///
/// Its holder can, and whoever may approve its target. It cannot be undone; ask for a new session
/// instead.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass revoke ses-4m0t8z1kqc7e --reason \"laptop lost\"")]
pub(super) struct RevokeArgs {
    /// The session.
    session: SessionId,
    /// Why: the holder's connections are told, and the audit keeps it.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

pub(super) async fn list(global: &Global, args: &SessionsArgs) -> Done {
    let sessions = global.api()?.sessions(args.all).await?;
    let now = Clock::system().now();
    global.output().show(&sessions, |s| list_text(s, now))?;
    Ok(0)
}

fn list_text(sessions: &[SessionView], now: Timestamp) -> String {
    table(
        &[
            "SESSION",
            "STATE",
            "WHO",
            "TARGET",
            "ENDS",
            "OPEN",
            "APPROVED BY",
            "REASON",
        ],
        sessions.iter().map(|session| row(session, now)).collect(),
        "No session is live.",
    )
}

fn row(session: &SessionView, now: Timestamp) -> Vec<Cell> {
    vec![
        cell(&session.id.to_string()),
        state(session.state.name()),
        cell(session.principal.as_str()),
        cell(session.target.as_str()),
        cell(&end(session, now)),
        cell(&session.connections.to_string()),
        cell(&session.approved_by.to_string()),
        cell(&session.reason),
    ]
}

fn end(session: &SessionView, now: Timestamp) -> String {
    match &session.state {
        SessionState::Revoked { by, at, .. } => format!("{} by {by}", relative(now, *at)),
        SessionState::Scheduled => {
            let (start, end) = (relative(now, session.starts_at), session.expires_at);
            format!("{}, starts {start}", relative(now, end))
        }
        _ => relative(now, session.expires_at),
    }
}

pub(super) async fn revoke(global: &Global, args: RevokeArgs) -> Done {
    let reason = Reason {
        reason: args.reason,
    };
    let ended = global.api()?.revoke(args.session, &reason).await?;
    global.output().show(&ended, revoked_text)?;
    Ok(0)
}

pub(super) fn revoked_text(session: &SessionView) -> String {
    match &session.state {
        SessionState::Revoked { .. } => format!(
            "{}: {} no longer has {}.",
            paint(GOOD, "Revoked"),
            session.principal,
            session.target
        ),
        other => format!("Session {} is {} already.", session.id, other.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::RequestId;

    fn view(state: SessionState) -> SessionView {
        SessionView {
            id: SessionId::from_random(1),
            request: RequestId::from_random(1),
            principal: "maya".parse().unwrap(),
            target: "orders-ro".parse().unwrap(),
            reason: "INC-1".into(),
            approved_by: "dana".parse().unwrap(),
            starts_at: at(0),
            expires_at: at(900),
            state,
            connections: 2,
            version: 1,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn listed(state: SessionState) -> String {
        let text = list_text(&[view(state)], at(180));
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn a_live_session_shows_when_it_ends_and_an_ended_one_how() {
        assert!(listed(SessionState::Active).contains("in 12m"));
        let revoked = listed(SessionState::Revoked {
            by: "dana".parse().unwrap(),
            at: at(60),
            reason: "lost".into(),
        });
        assert!(revoked.contains("2m ago by dana"), "{revoked}");
    }
}
