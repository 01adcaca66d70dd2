//! How requests move: each transition is a function from the old value to the new one.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    AccessRequest, Approval, Approver, Grantor, PrincipalName, RequestKind, RequestState, Session,
    SessionId, SessionState,
};

/// Why a request, or the session that it is about, does not move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// It was decided, withdrawn or lapsed before.
    #[error("the request is no longer pending: it is {0}")]
    NotPending(&'static str),
    /// Requester and approver are the same principal, or one stands for the other.
    #[error("nobody decides their own request")]
    OwnRequest,
    /// The same person in two stages, or twice in one.
    #[error("nobody approves a request twice, nor lets somebody else do it for them")]
    Twice,
    /// Its stage names others.
    #[error("this stage of the approval is up to others: {0}")]
    NotNamed(String),
    /// Approvals are missing.
    #[error("the request is not approved yet")]
    Undecided,
    /// Only the requester withdraws.
    #[error("only its requester can withdraw a request")]
    NotRequester,
    /// A denial needs a reason.
    #[error("a denial needs a reason")]
    NoReason,
    /// Approvers may shorten, never lengthen.
    #[error("an approver may shorten a request, not lengthen it")]
    Lengthened,
    /// The session to be extended is not open.
    #[error("the session cannot be extended: it is {0}")]
    SessionOver(&'static str),
    /// The session would last for too long.
    #[error("the session cannot go on beyond {0}")]
    TooFar(Timestamp),
    /// It is about another session, or about none.
    #[error("the request does not extend that session")]
    OtherSession,
}

impl AccessRequest {
    /// Somebody's yes, for `shorter` at most if they say so. If it was the last one that was
    /// missing, [`AccessRequest::approved_by`] says who has approved, and it can be granted.
    ///
    /// # Errors
    /// [`TransitionError`] if it is not pending, the approver's own, not up to them, up to them
    /// for the second time, or would be lengthened.
    pub fn approve(
        mut self,
        approver: Approver<'_>,
        shorter: Option<Duration>,
        now: Timestamp,
    ) -> Result<Self, TransitionError> {
        let stage = self.decidable_by(approver, now)?;
        if self.chain.has(approver.by) || self.chain.has(&approver.powers.name) {
            return Err(TransitionError::Twice);
        }
        if shorter.is_some_and(|shorter| shorter > self.duration) {
            return Err(TransitionError::Lengthened);
        }
        self.chain.add(Approval {
            by: approver.by.clone(),
            on_behalf_of: approver.on_behalf_of(),
            stage,
            at: now,
            seconds: shorter.map(|shorter| shorter.as_secs()),
        });
        self.version += 1;
        Ok(self)
    }

    /// The session of a request that its approvers, or a policy, have granted. It begins now, or
    /// at the start that was asked for if that is still to come.
    ///
    /// # Errors
    /// [`TransitionError`] if it is not pending, approvals are missing, or it is an extension.
    pub fn grant(
        self,
        by: Grantor,
        session: SessionId,
        now: Timestamp,
    ) -> Result<(Self, Session), TransitionError> {
        self.grantable(&by, now)?;
        if self.kind == RequestKind::Extension {
            return Err(TransitionError::OtherSession);
        }
        let ahead = self.starts_at.filter(|start| *start > now);
        let starts_at = ahead.unwrap_or(now);
        let session = Session {
            id: session,
            request: self.id,
            principal: self.requester.clone(),
            target: self.target.clone(),
            reason: self.reason.clone(),
            approved_by: by.clone(),
            starts_at,
            expires_at: after(starts_at, self.granted_duration()),
            state: match ahead {
                Some(_) => SessionState::Scheduled,
                None => SessionState::Active,
            },
            version: 1,
        };
        Ok((self.granted(by, session.id, now), session))
    }

    /// The session with the time that its holder asked for and approvers, or a policy, have
    /// granted. `longest` is how long it may last altogether.
    ///
    /// # Errors
    /// [`TransitionError`] if it is not pending, approvals are missing, it is about another
    /// session, or that one is over or would last for too long.
    pub fn extend(
        self,
        by: Grantor,
        session: Session,
        longest: Duration,
        now: Timestamp,
    ) -> Result<(Self, Session), TransitionError> {
        self.grantable(&by, now)?;
        if self.extends != Some(session.id) || self.requester != session.principal {
            return Err(TransitionError::OtherSession);
        }
        let session = session.extend(self.granted_duration(), longest, now)?;
        Ok((self.granted(by, session.id, now), session))
    }

    /// Refuses the request.
    ///
    /// # Errors
    /// [`TransitionError`] if it is not pending, is the approver's own, not up to them, or no
    /// reason is given.
    pub fn deny(
        mut self,
        approver: Approver<'_>,
        reason: &str,
        now: Timestamp,
    ) -> Result<Self, TransitionError> {
        self.decidable_by(approver, now)?;
        if reason.trim().is_empty() {
            return Err(TransitionError::NoReason);
        }
        self.state = RequestState::Denied {
            by: approver.by.clone(),
            on_behalf_of: approver.on_behalf_of(),
            at: now,
            reason: reason.trim().to_owned(),
        };
        self.version += 1;
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
        self.version += 1;
        Ok(self)
    }

    /// The request after its time to be decided; `None` if it is decided, or may still be.
    pub fn lapse(mut self, now: Timestamp) -> Option<Self> {
        if self.state != RequestState::Pending || now < self.lapses_at {
            return None;
        }
        self.state = RequestState::Lapsed { at: now };
        self.version += 1;
        Some(self)
    }

    /// The request with a note that its stage has escalated; `None` if it has not, or that is
    /// noted.
    pub fn escalate(mut self, now: Timestamp) -> Option<Self> {
        self.pending(now).ok()?;
        self.chain.escalates_at().filter(|at| *at <= now)?;
        self.chain.escalated = true;
        self.version += 1;
        Some(self)
    }

    /// Whether somebody else decides, whom the current stage names; its number.
    fn decidable_by(&self, approver: Approver<'_>, now: Timestamp) -> Result<u32, TransitionError> {
        if approver.is_or_stands_for(&self.requester) {
            return Err(TransitionError::OwnRequest);
        }
        self.pending(now)?;
        let (stage, _) = self.chain.current().ok_or(TransitionError::Undecided)?;
        if !self.chain.names(approver.powers, now) {
            let others = self.chain.approvers(now).join(", ");
            return Err(TransitionError::NotNamed(others));
        }
        Ok(stage)
    }

    /// Whether `by` may be what it is granted by.
    fn grantable(&self, by: &Grantor, now: Timestamp) -> Result<(), TransitionError> {
        self.pending(now)?;
        let approved = match by {
            Grantor::Policy(_) => true,
            people => self.approved_by().as_ref() == Some(people),
        };
        match approved {
            true if by.is(&self.requester) => Err(TransitionError::OwnRequest),
            true => Ok(()),
            false => Err(TransitionError::Undecided),
        }
    }

    fn granted(mut self, by: Grantor, session: SessionId, now: Timestamp) -> Self {
        let at = now;
        self.state = RequestState::Approved { by, at, session };
        self
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
pub(super) fn after(now: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| now.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
