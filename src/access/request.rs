//! Access requests and their transitions.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{PrincipalName, RequestId, Session, SessionId, SessionState, Target, TargetName};

/// The shortest session that may be asked for.
const MIN_DURATION: Duration = Duration::from_secs(1);
/// The longest reason, in bytes.
const MAX_REASON: usize = 2_000;

/// Somebody asks for a target, a duration, and gives a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRequest {
    /// Its name.
    pub id: RequestId,
    /// Who asks.
    pub requester: PrincipalName,
    /// For what.
    pub target: TargetName,
    /// For how long, from the approval on.
    pub duration: Duration,
    /// Why.
    pub reason: String,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When it lapses if nobody decides.
    pub lapses_at: Timestamp,
    /// Where it stands.
    pub state: RequestState,
}

/// Where a request stands. Everything but `Pending` is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RequestState {
    /// Nobody has decided yet.
    Pending,
    /// Granted.
    Approved {
        /// By whom.
        by: PrincipalName,
        /// When.
        at: Timestamp,
        /// The session that it became.
        session: SessionId,
    },
    /// Refused.
    Denied {
        /// By whom.
        by: PrincipalName,
        /// When.
        at: Timestamp,
        /// Why. Named apart from the request's own reason, beside which the API shows it.
        #[serde(rename = "denial_reason")]
        reason: String,
    },
    /// Taken back by the requester.
    Withdrawn {
        /// When.
        at: Timestamp,
    },
    /// Nobody decided in time.
    Lapsed {
        /// When.
        at: Timestamp,
    },
}

impl RequestState {
    /// The state's name, as the store and the API write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Lapsed { .. } => "lapsed",
        }
    }
}

/// What somebody submits.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Who asks.
    pub requester: PrincipalName,
    /// For how long.
    pub duration: Duration,
    /// Why.
    pub reason: String,
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
}

/// Why a request does not move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// It was decided, withdrawn or lapsed before.
    #[error("the request is no longer pending: it is {0}")]
    NotPending(&'static str),
    /// Requester and approver are the same principal.
    #[error("nobody decides their own request")]
    OwnRequest,
    /// Only the requester withdraws.
    #[error("only its requester can withdraw a request")]
    NotRequester,
    /// A denial needs a reason.
    #[error("a denial needs a reason")]
    NoReason,
    /// Approvers may shorten, never lengthen.
    #[error("an approver may shorten a request, not lengthen it")]
    Lengthened,
}

impl AccessRequest {
    /// A new pending request for `target`.
    ///
    /// # Errors
    /// [`SubmissionError`] if the reason or the duration is out of bounds.
    pub fn submit(
        id: RequestId,
        submission: Submission,
        target: &Target,
        lapse_after: Duration,
        now: Timestamp,
    ) -> Result<Self, SubmissionError> {
        let reason = submission.reason.trim();
        if reason.is_empty() {
            return Err(SubmissionError::NoReason);
        }
        if reason.len() > MAX_REASON {
            return Err(SubmissionError::LongReason);
        }
        if submission.duration < MIN_DURATION {
            return Err(SubmissionError::TooShort);
        }
        if submission.duration > target.max_duration {
            return Err(SubmissionError::TooLong {
                target: target.name.clone(),
                max: target.max_duration,
            });
        }
        Ok(Self {
            id,
            requester: submission.requester,
            target: target.name.clone(),
            duration: submission.duration,
            reason: reason.to_owned(),
            created_at: now,
            lapses_at: after(now, lapse_after),
            state: RequestState::Pending,
        })
    }

    /// Grants the request, for `duration` if the approver shortens it. The session starts now.
    ///
    /// # Errors
    /// [`TransitionError`] if it is not pending, is the approver's own, or would be lengthened.
    pub fn approve(
        mut self,
        by: PrincipalName,
        duration: Option<Duration>,
        session: SessionId,
        now: Timestamp,
    ) -> Result<(Self, Session), TransitionError> {
        self.decidable_by(&by, now)?;
        let granted = duration.unwrap_or(self.duration);
        if granted > self.duration {
            return Err(TransitionError::Lengthened);
        }
        let session = Session {
            id: session,
            request: self.id,
            principal: self.requester.clone(),
            target: self.target.clone(),
            reason: self.reason.clone(),
            approved_by: by.clone(),
            starts_at: now,
            expires_at: after(now, granted),
            state: SessionState::Active,
        };
        self.state = RequestState::Approved {
            by,
            at: now,
            session: session.id,
        };
        Ok((self, session))
    }

    /// Refuses the request.
    ///
    /// # Errors
    /// [`TransitionError`] if it is not pending, is the approver's own, or no reason is given.
    pub fn deny(
        mut self,
        by: PrincipalName,
        reason: &str,
        now: Timestamp,
    ) -> Result<Self, TransitionError> {
        self.decidable_by(&by, now)?;
        if reason.trim().is_empty() {
            return Err(TransitionError::NoReason);
        }
        self.state = RequestState::Denied {
            by,
            at: now,
            reason: reason.trim().to_owned(),
        };
        Ok(self)
    }

    /// Takes the request back.
    ///
    /// # Errors
    /// [`TransitionError`] if it is not pending or `by` did not submit it.
    pub fn withdraw(mut self, by: &PrincipalName, now: Timestamp) -> Result<Self, TransitionError> {
        if *by != self.requester {
            return Err(TransitionError::NotRequester);
        }
        self.pending(now)?;
        self.state = RequestState::Withdrawn { at: now };
        Ok(self)
    }

    /// The request after its time to be decided; `None` if it is decided, or may still be.
    pub fn lapse(mut self, now: Timestamp) -> Option<Self> {
        if self.state != RequestState::Pending || now < self.lapses_at {
            return None;
        }
        self.state = RequestState::Lapsed { at: now };
        Some(self)
    }

    fn decidable_by(&self, by: &PrincipalName, now: Timestamp) -> Result<(), TransitionError> {
        if *by == self.requester {
            return Err(TransitionError::OwnRequest);
        }
        self.pending(now)
    }

    fn pending(&self, now: Timestamp) -> Result<(), TransitionError> {
        match &self.state {
            RequestState::Pending if now < self.lapses_at => Ok(()),
            RequestState::Pending => Err(TransitionError::NotPending("lapsed")),
            decided => Err(TransitionError::NotPending(decided.name())),
        }
    }
}

/// `duration` after `now`, or the end of time if that is later.
fn after(now: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| now.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Databases;
    use super::*;

    fn target() -> Target {
        Target {
            name: "orders-ro".parse().unwrap(),
            description: String::new(),
            databases: Databases::All,
            default_database: "orders".into(),
            max_duration: Duration::from_secs(3600),
            max_connections: 10,
            idle_timeout: None,
            replication: false,
            owners: Vec::new(),
            environment: "production".into(),
            read_only: false,
            labels: Vec::new(),
        }
    }

    fn submit(seconds: u64, reason: &str) -> Result<AccessRequest, SubmissionError> {
        AccessRequest::submit(
            RequestId::from_random(1),
            Submission {
                requester: "maya".parse().unwrap(),
                duration: Duration::from_secs(seconds),
                reason: reason.into(),
            },
            &target(),
            Duration::from_secs(600),
            Timestamp::UNIX_EPOCH,
        )
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn approve(
        request: AccessRequest,
        by: &str,
        now: i64,
    ) -> Result<(AccessRequest, Session), TransitionError> {
        request.approve(
            by.parse().unwrap(),
            None,
            SessionId::from_random(2),
            at(now),
        )
    }

    #[test]
    fn a_submission_needs_a_reason_and_a_duration_within_bounds() {
        assert!(submit(60, "INC-1").is_ok());
        assert_eq!(submit(60, " \n"), Err(SubmissionError::NoReason));
        assert_eq!(submit(0, "x"), Err(SubmissionError::TooShort));
        assert!(matches!(
            submit(3601, "x"),
            Err(SubmissionError::TooLong { .. })
        ));
        assert_eq!(
            submit(60, &"x".repeat(2001)),
            Err(SubmissionError::LongReason)
        );
    }

    #[test]
    fn a_session_counts_from_its_approval() {
        let (request, session) = approve(submit(60, "x").unwrap(), "dana", 10).unwrap();
        assert_eq!(session.starts_at, at(10));
        assert_eq!(session.expires_at, at(70));
        assert_eq!(session.principal, request.requester);
        assert_eq!(request.state.name(), "approved");
    }

    #[test]
    fn nobody_approves_or_denies_their_own_request() {
        let request = submit(60, "x").unwrap();
        assert_eq!(
            approve(request.clone(), "maya", 1).unwrap_err(),
            TransitionError::OwnRequest
        );
        let own = request.deny("maya".parse().unwrap(), "no", at(1));
        assert_eq!(own.unwrap_err(), TransitionError::OwnRequest);
    }

    #[test]
    fn a_decision_is_final() {
        let denied = submit(60, "x")
            .unwrap()
            .deny("dana".parse().unwrap(), "no", at(1))
            .unwrap();
        assert_eq!(
            approve(denied, "dana", 2).unwrap_err(),
            TransitionError::NotPending("denied")
        );
        let withdrawn = submit(60, "x")
            .unwrap()
            .withdraw(&"maya".parse().unwrap(), at(1))
            .unwrap();
        assert_eq!(
            approve(withdrawn, "dana", 2).unwrap_err(),
            TransitionError::NotPending("withdrawn")
        );
    }

    #[test]
    fn a_request_past_its_time_cannot_be_approved_even_before_it_is_marked() {
        assert_eq!(
            approve(submit(60, "x").unwrap(), "dana", 600).unwrap_err(),
            TransitionError::NotPending("lapsed")
        );
    }

    #[test]
    fn an_approver_may_shorten_but_not_lengthen() {
        let by: PrincipalName = "dana".parse().unwrap();
        let id = SessionId::from_random(2);
        let request = submit(60, "x").unwrap();
        let longer = request
            .clone()
            .approve(by.clone(), Some(Duration::from_secs(61)), id, at(0));
        assert_eq!(longer.unwrap_err(), TransitionError::Lengthened);
        let (_, session) = request
            .approve(by, Some(Duration::from_secs(5)), id, at(0))
            .unwrap();
        assert_eq!(session.expires_at, at(5));
    }
}
