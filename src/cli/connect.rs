//! `hallpass connect`: psql in a live session, or what other clients need.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::api::Api;
use super::error::CliError;
use super::human::{clock_time, relative};
use super::out::{DIM, Format, paint};
use super::{Done, Global, out, psql, settings, strings};
use crate::access::{RequestId, SessionId, TargetName};
use crate::clock::Clock;
use crate::http::types::SessionSecret;

/// Run psql in your session, or print what other clients need.
///
/// Fetches the secret of your live session for TARGET (or of SESSION) and gives it to psql through
/// the environment, never on its command line. The exit code is psql's own.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass connect orders-ro
  hallpass connect orders-ro -- -d other -c 'select 1'
  hallpass connect orders-ro --print")]
pub(super) struct ConnectArgs {
    /// A target, or a session's id.
    #[arg(value_name = "TARGET|SESSION")]
    wanted: Wanted,
    /// Print connection strings for psql, JDBC and Python instead. They hold the session's secret.
    #[arg(long, conflicts_with = "psql")]
    print: bool,
    /// Arguments for psql.
    #[arg(last = true, value_name = "PSQL ARGUMENTS")]
    psql: Vec<String>,
}

/// What the user named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Session(SessionId),
    Target(TargetName),
}

impl std::str::FromStr for Wanted {
    type Err = crate::access::InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(session) => Ok(Self::Session(session)),
            Err(_) => text.parse().map(Self::Target),
        }
    }
}

pub(super) async fn run(global: &Global, args: ConnectArgs) -> Done {
    let api = global.api()?;
    let session = match args.wanted {
        Wanted::Session(session) => session,
        Wanted::Target(target) => live_session(&api, target).await?,
    };
    let secret = api.secret(session).await?;
    if args.print || !global.output().is_human() {
        return print(global.output, &secret);
    }
    let code = psql::run(&secret, &args.psql, &farewell(&secret)).await?;
    Ok(code)
}

/// The caller's live session for `target`; there is at most one.
pub(super) async fn live_session(api: &Api, target: TargetName) -> Result<SessionId, CliError> {
    let me = api.whoami().await?.name;
    let sessions = api.sessions(false).await?;
    let mine = sessions
        .iter()
        .find(|session| session.principal == me && session.target == target);
    if let Some(session) = mine {
        return Ok(session.id);
    }
    let requests = api.requests(false).await?;
    let pending: Option<RequestId> = requests
        .iter()
        .find(|request| request.requester == me && request.target == target)
        .map(|request| request.id);
    Err(CliError::NoSession { target, pending })
}

/// What psql's user is told before it starts.
fn farewell(secret: &SessionSecret) -> String {
    let ends = ends(secret, Clock::system().now());
    paint(DIM, &format!("Session {} ends {ends}.", secret.session))
}

fn ends(secret: &SessionSecret, now: Timestamp) -> String {
    let at = secret.expires_at;
    format!("{}, at {}", relative(now, at), clock_time(now, at))
}

fn print(format: Format, secret: &SessionSecret) -> Done {
    let output = out::Output(format);
    let ca = match (&secret.ca_certificate, format) {
        (Some(pem), Format::Human) => Some(keep_certificate(secret, pem)?),
        _ => None,
    };
    let now = Clock::system().now();
    output.show(secret, |secret| {
        strings::ready_to_paste(secret, ca.as_deref(), &ends(secret, now))
    })?;
    Ok(0)
}

/// Writes the server's certificate where other clients find it after this process has ended.
fn keep_certificate(secret: &SessionSecret, pem: &str) -> Result<PathBuf, CliError> {
    let folder = settings::folder().unwrap_or_else(|| std::env::temp_dir().join("hallpass"));
    fs::create_dir_all(&folder).map_err(CliError::file(&folder))?;
    let path = folder.join(format!("{}_{}.crt", secret.host, secret.port));
    fs::write(&path, pem).map_err(CliError::file(&path))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sessions_id_is_told_from_a_target() {
        let session: Wanted = "ses-4m0t8z1kqc7e".parse().unwrap();
        assert!(matches!(session, Wanted::Session(_)));
        let target: Wanted = "ses-short".parse().unwrap();
        assert!(matches!(target, Wanted::Target(_)));
        assert!("Orders".parse::<Wanted>().is_err());
    }
}
