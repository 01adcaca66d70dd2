//! Reviews: somebody else looks at what was done when the glass was broken.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Approver, PrincipalName, RequestId, Session, SessionId, TargetName};

/// What is left of a broken glass: open until somebody else has looked at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// The session that was taken without anybody's approval.
    pub session: SessionId,
    /// The request that it came from.
    pub request: RequestId,
    /// Who took it.
    pub principal: PrincipalName,
    /// What it opened.
    pub target: TargetName,
    /// Why they said they did.
    pub reason: String,
    /// When.
    pub opened_at: Timestamp,
    /// Where it stands.
    pub state: ReviewState,
    /// Grows by one with each change; 1 at first.
    pub version: u64,
}

/// Where a review stands. It never closes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ReviewState {
    /// Nobody has looked at it yet.
    Open,
    /// Somebody has.
    Closed {
        /// Who.
        by: PrincipalName,
        /// Whose powers they had, if not their own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on_behalf_of: Option<PrincipalName>,
        /// When.
        at: Timestamp,
        /// What they found.
        note: String,
    },
}

impl ReviewState {
    /// The state's name, as the store and the API write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed { .. } => "closed",
        }
    }
}

/// Why a review is not closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// It is already.
    #[error("the review is closed already")]
    Closed,
    /// By who broke the glass.
    #[error("nobody reviews their own session")]
    Own,
    /// There is more to come that would be looked at.
    #[error("the session is still live: review it when it has ended, or end it first")]
    Live,
    /// Nothing is said of what was found.
    #[error("a review is closed with a note: what was done, and whether that was right")]
    NoNote,
}

impl Review {
    /// What a session leaves behind that nobody approved.
    pub fn open(session: &Session) -> Self {
        Self {
            session: session.id,
            request: session.request,
            principal: session.principal.clone(),
            target: session.target.clone(),
            reason: session.reason.clone(),
            opened_at: session.starts_at,
            state: ReviewState::Open,
            version: 1,
        }
    }

    /// The review as `reviewer` closes it.
    ///
    /// # Errors
    /// [`ReviewError`] if it is closed, their own, or nothing is said.
    pub fn close(
        mut self,
        reviewer: Approver<'_>,
        note: &str,
        now: Timestamp,
    ) -> Result<Self, ReviewError> {
        if reviewer.is_or_stands_for(&self.principal) {
            return Err(ReviewError::Own);
        }
        if self.state != ReviewState::Open {
            return Err(ReviewError::Closed);
        }
        if note.trim().is_empty() {
            return Err(ReviewError::NoNote);
        }
        self.state = ReviewState::Closed {
            by: reviewer.by.clone(),
            on_behalf_of: reviewer.on_behalf_of(),
            at: now,
            note: note.trim().to_owned(),
        };
        self.version += 1;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Principal, PrincipalKind};
    use super::*;

    fn principal(name: &str) -> Principal {
        Principal {
            name: name.parse().unwrap(),
            groups: Vec::new(),
            kind: PrincipalKind::Person,
        }
    }

    fn review() -> Review {
        Review {
            session: SessionId::from_random(1),
            request: RequestId::from_random(1),
            principal: "maya".parse().unwrap(),
            target: "orders-ro".parse().unwrap(),
            reason: "INC-1".into(),
            opened_at: Timestamp::UNIX_EPOCH,
            state: ReviewState::Open,
            version: 1,
        }
    }

    #[test]
    fn a_review_is_closed_once_by_somebody_else_who_says_what_they_found() {
        let now = Timestamp::UNIX_EPOCH;
        let (maya, dana) = (principal("maya"), principal("dana"));
        let own = review().close(Approver::own(&maya), "fine", now);
        assert_eq!(own.unwrap_err(), ReviewError::Own);
        for (by, powers) in [(&dana, &maya), (&maya, &dana)] {
            let by = Approver {
                by: &by.name,
                powers,
            };
            let own = review().close(by, "fine", now);
            assert_eq!(own.unwrap_err(), ReviewError::Own);
        }
        let silent = review().close(Approver::own(&dana), " ", now);
        assert_eq!(silent.unwrap_err(), ReviewError::NoNote);
        let closed = review().close(Approver::own(&dana), "fine", now).unwrap();
        assert_eq!((closed.state.name(), closed.version), ("closed", 2));
        let again = closed.close(Approver::own(&dana), "fine", now);
        assert_eq!(again.unwrap_err(), ReviewError::Closed);
    }
}
