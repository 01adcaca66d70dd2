//! Somebody else decides.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::access::{
    AccessRequest, Approval, Caller, Grantor, RequestId, RequestKind, RequestState, Session,
    SessionId,
};
use crate::audit::Event;
use crate::policy::Action;
use crate::store::{Act, Change, Write};

use super::grant::approved;
use super::powers::{Powers, SHORTEST};
use super::submit::session_of;
use super::{
    Control, Error, RequestStatus, Seen, SessionStatus, act, random_id, reason, to_the_end,
};

impl Control {
    /// Approves a request, for `duration` if that is shorter than what was asked for. If it was
    /// the last approval that was missing, the session is recorded and open, or longer, when this
    /// returns; it comes with the answer then.
    ///
    /// # Errors
    /// [`Error::Changed`] if it is no longer in the version that the caller saw;
    /// [`Error::Conflict`] if it is no longer pending, the requester may no longer have it, or has
    /// a live session for the target; [`Error::Forbidden`] if it is not up to the caller;
    /// [`Error::AuditUnavailable`] if it is granted but not open yet.
    pub async fn approve(
        self: &Arc<Self>,
        caller: &Caller,
        seen: impl Into<Seen<RequestId>>,
        duration: Option<Duration>,
    ) -> Result<(RequestStatus, Option<SessionStatus>), Error> {
        let old = self.visible_request(caller, seen).await?;
        let (old, extended) = self.with_session(old).await?;
        let (powers, now) = (self.powers(caller).await?, self.now());
        let voted = self.vote(&powers, &old, duration, now)?;
        self.check_length(&old, duration)?;
        let Some(by) = voted.approved_by() else {
            let change = Change::moves(voted.clone(), act(now, stage_approved(&voted)));
            self.must_be_known(caller)?;
            let control = Arc::clone(self);
            to_the_end(async move { control.move_request(change).await }).await?;
            return Ok((self.full_status(false, voted), None));
        };
        self.still_permitted(&voted, Some(now))
            .map_err(Error::Conflict)?;
        let (request, session) = self.granted(voted, extended, by, now)?;
        let opened = session_of(&session).clone();
        let change = Change {
            request: Some(Write::Changed(request.clone())),
            session: Some(session),
            review: None,
            acts: vec![act(now, approved(&request, &opened))],
        };
        self.must_be_known(caller)?;
        let control = Arc::clone(self);
        to_the_end(async move { control.open(change).await }).await?;
        let session = self.session_status(opened);
        Ok((self.full_status(false, request), Some(session)))
    }

    /// The request with one approval more, judged as it will be with it.
    fn vote(
        &self,
        powers: &Powers,
        old: &AccessRequest,
        cut: Option<Duration>,
        now: Timestamp,
    ) -> Result<AccessRequest, Error> {
        let judged = old.shortened(cut.unwrap_or(old.duration));
        let may = |hat: &Caller| self.permits(hat, Action::Approve, &judged, now);
        let voted = self.decide(powers, old, may, |approver| {
            old.clone().approve(approver, cut, now)
        });
        voted.map_err(|refusal| match refusal {
            Some(refusal) => refusal.into(),
            None => not_theirs(old, self.approvable_length(powers, &judged, now)),
        })
    }

    /// The request, and the session that it would extend, if it would: since it was submitted, that
    /// may have become longer.
    async fn with_session(
        &self,
        request: AccessRequest,
    ) -> Result<(AccessRequest, Option<Session>), Error> {
        let Some(extends) = request.extends else {
            return Ok((request, None));
        };
        let session = self.store.session(extends).await?;
        let session = session.ok_or(Error::NotFound("session"))?;
        let request = self.extending(request, &session).await?;
        Ok((request, Some(session)))
    }

    /// The session that the request becomes, or makes longer.
    fn granted(
        &self,
        request: AccessRequest,
        extended: Option<Session>,
        by: Grantor,
        now: Timestamp,
    ) -> Result<(AccessRequest, Write<Session>), Error> {
        let Some(session) = extended else {
            let id = SessionId::from_random(random_id());
            let (request, session) = request.grant(by, id, now)?;
            return Ok((request, Write::New(session)));
        };
        let longest = self.longest(&request.target);
        let (request, session) = request.extend(by, session, longest, now)?;
        Ok((request, Write::Changed(session)))
    }

    /// Refuses a request.
    ///
    /// # Errors
    /// [`Error::Changed`] if it is no longer in the version that the caller saw;
    /// [`Error::Conflict`] if it is no longer pending, [`Error::Forbidden`] if it is not up to the
    /// caller, [`Error::Invalid`] without a reason.
    pub async fn deny(
        self: &Arc<Self>,
        caller: &Caller,
        seen: impl Into<Seen<RequestId>>,
        why: &str,
    ) -> Result<RequestStatus, Error> {
        let old = self.visible_request(caller, seen).await?;
        let (powers, why, now) = (self.powers(caller).await?, reason(why)?, self.now());
        let may = |hat: &Caller| self.may_approve(hat, &old, now);
        let new = self.decide(&powers, &old, may, |approver| {
            old.clone().deny(approver, why, now)
        });
        let new = new.map_err(|it| it.map_or_else(|| not_theirs(&old, None), Error::from))?;
        let change = Change::moves(new.clone(), denied(&new, now));
        self.must_be_known(caller)?;
        let control = Arc::clone(self);
        to_the_end(async move { control.move_request(change).await }).await?;
        Ok(self.full_status(false, new))
    }

    /// Who was disabled or left since they called decides nothing any more.
    fn must_be_known(&self, caller: &Caller) -> Result<(), Error> {
        match self.known().contains_key(&caller.name) {
            true => Ok(()),
            false => Err(Error::Forbidden("nobody is known by your name".to_owned())),
        }
    }

    /// What was fine when it was asked for may not be under the rules of today.
    fn check_length(&self, request: &AccessRequest, cut: Option<Duration>) -> Result<(), Error> {
        if cut.is_some_and(|cut| cut < SHORTEST) {
            let problem = "a session lasts at least one second".to_owned();
            return Err(Error::Invalid(problem));
        }
        let rules = self.rules.load();
        let max = rules.targets.get(&request.target).map(|t| t.max_duration);
        match max {
            Some(max)
                if request.kind != RequestKind::Extension
                    && cut.unwrap_or(request.granted_duration()) > max =>
            {
                let (target, max) = (&request.target, humantime::format_duration(max));
                Err(Error::Invalid(format!(
                    "{target} is granted for at most {max} now"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Commits that a request moves, where that opens nothing.
    pub(super) async fn move_request(&self, change: Change) -> Result<(), Error> {
        self.commit(&change).await?;
        if let Some(Write::New(request) | Write::Changed(request)) = &change.request
            && request.state != RequestState::Pending
        {
            self.count(request);
        }
        self.follow_up().await;
        Ok(())
    }
}

/// Says that the policy lets them not approve it, or only for `shorter`.
fn not_theirs(request: &AccessRequest, shorter: Option<Duration>) -> Error {
    let target = &request.target;
    Error::Forbidden(match shorter.map(humantime::format_duration) {
        Some(shorter) => {
            format!("you may not approve {target} for so long; for {shorter} you may")
        }
        None => format!("you may not decide on requests for {target}"),
    })
}

/// The fact that somebody approved, though others have to as well.
fn stage_approved(request: &AccessRequest) -> Event {
    let last = request.chain.approvals.last().cloned();
    let last = last.unwrap_or_else(|| unreachable!("it was just approved"));
    let Approval {
        by,
        on_behalf_of,
        stage,
        seconds,
        ..
    } = last;
    Event::RequestStageApproved {
        request: request.id,
        principal: request.requester.clone(),
        target: request.target.clone(),
        by,
        on_behalf_of,
        stage,
        seconds,
    }
}

/// The fact that somebody refused, as the request's state tells.
fn denied(request: &AccessRequest, now: Timestamp) -> Act {
    let RequestState::Denied {
        by,
        on_behalf_of,
        reason,
        ..
    } = request.state.clone()
    else {
        unreachable!("it was just denied");
    };
    act(
        now,
        Event::RequestDenied {
            request: request.id,
            by,
            on_behalf_of,
            reason,
        },
    )
}
