//! Sessions: approved, time-boxed grants.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Grantor, PrincipalName, RequestId, SessionId, TargetName, TransitionError, after};

/// An approved grant with an absolute end. A session has many connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// The request that it came from.
    pub request: RequestId,
    /// Who holds it.
    pub principal: PrincipalName,
    /// What it opens.
    pub target: TargetName,
    /// Why it was asked for.
    pub reason: String,
    /// Who granted it.
    pub approved_by: Grantor,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends, whatever happens; an extension moves it.
    pub expires_at: Timestamp,
    /// Where it stands.
    pub state: SessionState,
    /// Grows by one with each change; 1 at first.
    pub version: u64,
}

/// Where a session stands. `Expired` and `Revoked` are final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SessionState {
    /// Approved, and its start is yet to come.
    Scheduled,
    /// Open.
    Active,
    /// Time ended it.
    Expired {
        /// When that was noted; its end was `expires_at`.
        at: Timestamp,
    },
    /// A person ended it early.
    Revoked {
        /// Who.
        by: PrincipalName,
        /// When.
        at: Timestamp,
        /// Why, if they said. Named apart from the session's own reason, beside which the API
        /// shows it.
        #[serde(rename = "revocation_reason")]
        reason: String,
    },
}

impl SessionState {
    /// The state's name, as the store and the API write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Active => "active",
            Self::Expired { .. } => "expired",
            Self::Revoked { .. } => "revoked",
        }
    }

    /// Whether the session has ended for good.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Expired { .. } | Self::Revoked { .. })
    }
}

/// How a session ended, as its connections are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Time ended it.
    Expired,
    /// A person ended it early.
    Revoked {
        /// Who.
        by: PrincipalName,
        /// Why, if they said.
        reason: String,
    },
}

impl Session {
    /// How long it lasts, from its start to its end.
    pub fn length(&self) -> Duration {
        let length = self.expires_at.duration_since(self.starts_at);
        length.try_into().unwrap_or_default()
    }

    /// The session once its start has come; `None` if it has not, or the session is not waiting.
    pub fn start(mut self, now: Timestamp) -> Option<Self> {
        let waits = self.state == SessionState::Scheduled;
        if !waits || now < self.starts_at || now >= self.expires_at {
            return None;
        }
        self.state = SessionState::Active;
        self.version += 1;
        Some(self)
    }

    /// The session with its end moved by `more`, but not beyond `longest` from its start.
    ///
    /// # Errors
    /// [`TransitionError`] if it is over, has not begun, or would last for too long.
    pub fn extend(
        mut self,
        more: Duration,
        longest: Duration,
        now: Timestamp,
    ) -> Result<Self, TransitionError> {
        self.extensible(more, longest, now)?;
        self.expires_at = after(self.expires_at, more);
        self.version += 1;
        Ok(self)
    }

    /// Whether it may be extended by `more`.
    pub(super) fn extensible(
        &self,
        more: Duration,
        longest: Duration,
        now: Timestamp,
    ) -> Result<(), TransitionError> {
        match self.state {
            SessionState::Active if now < self.expires_at => {}
            SessionState::Active => return Err(TransitionError::SessionOver("expired")),
            _ => return Err(TransitionError::SessionOver(self.state.name())),
        }
        let last = after(self.starts_at, longest);
        if after(self.expires_at, more) > last {
            return Err(TransitionError::TooFar(last));
        }
        Ok(())
    }

    /// The session as time has ended it; `None` if it has ended before or may go on.
    pub fn expire(mut self, now: Timestamp) -> Option<Self> {
        if self.state.is_final() || now < self.expires_at {
            return None;
        }
        self.state = SessionState::Expired { at: now };
        self.version += 1;
        Some(self)
    }

    /// The session as `by` ends it; `None` if it has ended before.
    pub fn revoke(mut self, by: PrincipalName, reason: &str, now: Timestamp) -> Option<Self> {
        if self.state.is_final() {
            return None;
        }
        if now >= self.expires_at {
            return self.expire(now);
        }
        self.state = SessionState::Revoked {
            by,
            at: now,
            reason: reason.trim().to_owned(),
        };
        self.version += 1;
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session {
            id: SessionId::from_random(1),
            request: RequestId::from_random(1),
            principal: "maya".parse().unwrap(),
            target: "orders-ro".parse().unwrap(),
            reason: "INC-1".into(),
            approved_by: "dana".parse().unwrap(),
            starts_at: Timestamp::UNIX_EPOCH,
            expires_at: at(60),
            state: SessionState::Active,
            version: 1,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn time_ends_a_session_not_before_its_end() {
        assert!(session().expire(at(59)).is_none());
        assert_eq!(session().expire(at(60)).unwrap().state.name(), "expired");
    }

    #[test]
    fn both_ends_are_final() {
        let dana: PrincipalName = "dana".parse().unwrap();
        let revoked = session().revoke(dana.clone(), "done", at(5)).unwrap();
        assert!(
            revoked
                .clone()
                .revoke(dana.clone(), "again", at(6))
                .is_none()
        );
        assert!(revoked.expire(at(60)).is_none());
        let expired = session().expire(at(60)).unwrap();
        assert!(expired.revoke(dana, "late", at(61)).is_none());
    }

    #[test]
    fn a_revocation_after_the_end_is_an_expiry() {
        let late = session()
            .revoke("dana".parse().unwrap(), "late", at(60))
            .unwrap();
        assert_eq!(late.state.name(), "expired");
    }

    #[test]
    fn a_session_that_waits_begins_at_its_start_and_not_after_its_end() {
        let scheduled = || Session {
            state: SessionState::Scheduled,
            starts_at: at(30),
            ..session()
        };
        assert!(scheduled().start(at(29)).is_none());
        assert!(scheduled().start(at(60)).is_none());
        let begun = scheduled().start(at(31)).unwrap();
        assert_eq!((begun.state.name(), begun.expires_at), ("active", at(60)));
        assert!(begun.start(at(32)).is_none());
    }

    #[test]
    fn an_extension_moves_the_end_of_a_session_that_is_not_over_within_its_limit() {
        let seconds = Duration::from_secs;
        let longer = session().extend(seconds(30), seconds(90), at(59)).unwrap();
        assert_eq!((longer.expires_at, longer.version), (at(90), 2));
        let further = longer.extend(seconds(1), seconds(90), at(60));
        assert_eq!(further.unwrap_err(), TransitionError::TooFar(at(90)));
        let late = session().extend(seconds(30), seconds(90), at(60));
        assert_eq!(late.unwrap_err(), TransitionError::SessionOver("expired"));
        let revoked = session()
            .revoke("maya".parse().unwrap(), "", at(1))
            .unwrap();
        let revived = revoked.extend(seconds(30), seconds(90), at(2));
        assert_eq!(
            revived.unwrap_err(),
            TransitionError::SessionOver("revoked")
        );
    }
}
