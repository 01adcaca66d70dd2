//! What somebody submits, and whether it may be a request at all.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    AccessRequest, Chain, Circumstances, PrincipalName, RequestId, RequestKind, RequestState,
    Session, Target, TargetName, TransitionError, after,
};

/// The shortest session that may be asked for.
const MIN_DURATION: Duration = Duration::from_secs(1);
/// The longest reason, in bytes.
const MAX_REASON: usize = 2_000;
/// How far in the future a session may begin, in days.
const MAX_AHEAD: i64 = 30;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// A session, from its approval on, or from a start in the future.
    Session {
        /// The start, if it is not the approval.
        starts_at: Option<Timestamp>,
    },
    /// A session at once, approved by nobody and reviewed afterwards.
    BreakGlass,
    /// More time in this session.
    Extension(&'a Session),
}

/// What somebody submits.
#[derive(Debug, Clone)]
pub struct Submission<'a> {
    /// Who asks.
    pub requester: PrincipalName,
    /// What they want.
    pub wanted: Wanted<'a>,
    /// For how long.
    pub duration: Duration,
    /// Why.
    pub reason: String,
    /// What was known of how they asked.
    pub circumstances: Circumstances,
}

/// Why a submission is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmissionError {
    /// No reason was given.
    #[error("a reason is required")]
    NoReason,
    /// The reason is longer than the limit.
    #[error("a reason has at most {MAX_REASON} bytes")]
    LongReason,
    /// The target wants another kind of reason.
    #[error("{target} wants another reason: {hint}")]
    WrongReason {
        /// What was asked for.
        target: TargetName,
        /// What it wants.
        hint: String,
    },
    /// The duration is shorter than a second.
    #[error("a session lasts at least one second")]
    TooShort,
    /// The duration is longer than the target allows.
    #[error("{target} is granted for at most {}", humantime::format_duration(*max))]
    TooLong {
        /// What was asked for.
        target: TargetName,
        /// What would be granted.
        max: Duration,
    },
    /// The start has passed.
    #[error("a session cannot start in the past")]
    Past,
    /// The start is too far in the future.
    #[error("a session starts at most {MAX_AHEAD} days from now")]
    FarAhead,
    /// The session is not to be extended, or not by so much.
    #[error(transparent)]
    Session(#[from] TransitionError),
}

impl AccessRequest {
    /// A new pending request for `target`.
    ///
    /// # Errors
    /// [`SubmissionError`] if reason, duration or start are out of bounds.
    pub fn submit(
        id: RequestId,
        submission: Submission<'_>,
        target: &Target,
        lapse_after: Duration,
        now: Timestamp,
    ) -> Result<Self, SubmissionError> {
        let reason = submission.reason.trim();
        let ticket = ticket(reason, target)?;
        let lapse = after(now, lapse_after);
        let (kind, extends, starts_at, lapses_at) = match submission.wanted {
            Wanted::Session { starts_at } => {
                let lapse = ahead(starts_at, now)?.map_or(lapse, |start| start.max(lapse));
                (RequestKind::Session, None, starts_at, lapse)
            }
            Wanted::BreakGlass => (RequestKind::BreakGlass, None, None, lapse),
            Wanted::Extension(session) => {
                session.extensible(submission.duration, target.longest(), now)?;
                let lapse = lapse.min(session.expires_at);
                (RequestKind::Extension, Some(session.id), None, lapse)
            }
        };
        within(submission.duration, kind, target)?;
        Ok(Self {
            id,
            kind,
            extends,
            requester: submission.requester,
            target: target.name.clone(),
            duration: submission.duration,
            reason: reason.to_owned(),
            ticket,
            starts_at,
            circumstances: submission.circumstances,
            created_at: now,
            lapses_at,
            chain: Chain::begin(&target.terms.stages, now),
            state: RequestState::Pending,
            version: 1,
        })
    }
}

/// The ticket that the reason names, if the target wants one.
fn ticket(reason: &str, target: &Target) -> Result<Option<String>, SubmissionError> {
    if reason.is_empty() {
        return Err(SubmissionError::NoReason);
    }
    if reason.len() > MAX_REASON {
        return Err(SubmissionError::LongReason);
    }
    let Some(rule) = &target.terms.reason else {
        return Ok(None);
    };
    rule.ticket(reason)
        .map_err(|hint| SubmissionError::WrongReason {
            target: target.name.clone(),
            hint,
        })
}

fn within(duration: Duration, kind: RequestKind, target: &Target) -> Result<(), SubmissionError> {
    if duration < MIN_DURATION {
        return Err(SubmissionError::TooShort);
    }
    // What an extension may add is the session's business.
    if kind != RequestKind::Extension && duration > target.max_duration {
        return Err(SubmissionError::TooLong {
            target: target.name.clone(),
            max: target.max_duration,
        });
    }
    Ok(())
}

/// A start that is in the future, and not too far.
fn ahead(
    starts_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<Timestamp>, SubmissionError> {
    let Some(start) = starts_at else {
        return Ok(None);
    };
    if start <= now {
        return Err(SubmissionError::Past);
    }
    if start.duration_since(now) > SignedDuration::from_hours(MAX_AHEAD * 24) {
        return Err(SubmissionError::FarAhead);
    }
    Ok(Some(start))
}
