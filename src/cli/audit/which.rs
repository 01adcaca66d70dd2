//! Which session is meant.

use clap::Args;

use super::super::error::CliError;
use super::super::human::clean;
use super::words::day_and_time;
use crate::access::{PrincipalName, SessionId, TargetName};
use crate::audit::archive::Archive;
use crate::audit::replay::{Found, Story, Unread, list, load};

/// Sessions that are named where the one that is meant is not clear.
const NAMED: usize = 10;

/// Which session: shared by the subcommands that are about one.
#[derive(Debug, Clone, Args)]
pub(super) struct Which {
    /// The session, or the beginning of its name
    #[arg(
        value_name = "SESSION",
        required_unless_present = "last",
        conflicts_with = "last"
    )]
    session: Option<String>,
    /// The session that began last
    #[arg(long)]
    last: bool,
    /// Of this principal
    #[arg(long, value_name = "NAME")]
    principal: Option<PrincipalName>,
    /// For this target
    #[arg(long, value_name = "NAME")]
    target: Option<TargetName>,
}

impl Which {
    /// Its story.
    ///
    /// # Errors
    /// If the log has no such session, or more than one, or cannot be read.
    pub(super) fn story(&self, archive: &Archive) -> Result<Story, CliError> {
        let unread = |error| unread(archive, error);
        let session = self.session(archive)?;
        load(archive, session)
            .map_err(unread)?
            .ok_or_else(|| self.unknown(archive))
    }

    fn session(&self, archive: &Archive) -> Result<SessionId, CliError> {
        let given = self.session.as_deref().map(prefixed).unwrap_or_default();
        if let Ok(session) = given.parse() {
            return Ok(session);
        }
        let named = |id: SessionId| id.to_string().starts_with(&given);
        let found = list(archive, &named).map_err(|error| unread(archive, error))?;
        let mut found: Vec<Found> = found.into_iter().filter(|it| self.takes(it)).collect();
        if self.last {
            found = found.pop().into_iter().collect();
        }
        match &found[..] {
            [] => Err(self.unknown(archive)),
            [one] => Ok(one.session),
            _ => Err(CliError::Usage(self.ambiguous(&found))),
        }
    }

    fn takes(&self, found: &Found) -> bool {
        let principal = self.principal.as_ref();
        let target = self.target.as_ref();
        principal.is_none_or(|it| *it == found.principal)
            && target.is_none_or(|it| *it == found.target)
    }

    /// What was asked for, in words.
    fn wanted(&self) -> String {
        let mut text = "session".to_owned();
        if let Some(session) = &self.session {
            text += &format!(" {}", clean(session));
        }
        if let Some(principal) = &self.principal {
            text += &format!(" of {principal}");
        }
        if let Some(target) = &self.target {
            text += &format!(" for {target}");
        }
        text
    }

    fn unknown(&self, archive: &Archive) -> CliError {
        let all = list(archive, &|_| true).unwrap_or_default();
        let place = archive.source().name();
        let there = match &all[..] {
            [] => "It names no session at all.".to_owned(),
            all => format!("It has {}:\n{}", count(all.len()), newest(all)),
        };
        CliError::NoRecord(format!(
            "the log in {place} has no {}. {there}",
            self.wanted()
        ))
    }

    fn ambiguous(&self, found: &[Found]) -> String {
        format!(
            "{} is not clear, there are {}; name one, or add --last:\n{}",
            self.wanted(),
            found.len(),
            newest(found)
        )
    }
}

fn count(sessions: usize) -> String {
    match sessions {
        1 => "one session".to_owned(),
        n => format!("{n} sessions"),
    }
}

/// The newest sessions, a line each, the newest last.
fn newest(found: &[Found]) -> String {
    let hidden = found.len().saturating_sub(NAMED);
    let mut lines: Vec<String> = found[hidden..].iter().map(line).collect();
    if hidden > 0 {
        lines.insert(0, format!("  .. and {hidden} before these"));
    }
    lines.join("\n")
}

fn line(found: &Found) -> String {
    let Found {
        session,
        principal,
        target,
        at,
    } = found;
    let at = day_and_time(*at);
    format!("  {session}  {at}  {principal}  {target}")
}

/// A session's name as it begins, whether or not one wrote what all of them begin with.
fn prefixed(given: &str) -> String {
    match "ses-".starts_with(given) || given.starts_with("ses-") {
        true => given.to_owned(),
        false => format!("ses-{given}"),
    }
}

fn unread(archive: &Archive, error: Unread) -> CliError {
    CliError::Audit {
        place: format!("{}/{}", archive.source().name(), error.file),
        source: error.source,
    }
}
