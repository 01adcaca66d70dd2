//! Somebody else decides.

use std::sync::Arc;
use std::time::Duration;

use crate::access::{AccessRequest, Caller, RequestId, Session, SessionId};
use crate::audit::Event;
use crate::policy::Action;
use crate::store::StoreError;

use super::{Control, Error, RequestStatus, SessionStatus, act, random_id, reason, to_the_end};

impl Control {
    /// Grants a request, for `duration` if that is shorter than what was asked for. When this
    /// returns, the session is recorded and open.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it is no longer pending or the requester has a live session for the
    /// target; [`Error::AuditUnavailable`] if it is granted but not open yet.
    pub async fn approve(
        self: &Arc<Self>,
        caller: &Caller,
        id: RequestId,
        duration: Option<Duration>,
    ) -> Result<(RequestStatus, SessionStatus), Error> {
        let old = self.decidable_request(caller, id).await?;
        self.check_length(&old, duration)?;
        let session = SessionId::from_random(random_id());
        let (new, session) =
            old.clone()
                .approve(caller.name.clone(), duration, session, self.now())?;
        let control = Arc::clone(self);
        let (granted, opened) = (new.clone(), session.clone());
        to_the_end(async move { control.grant(&old, &granted, &opened).await }).await?;
        Ok((
            self.request_status(caller, new),
            self.session_status(session),
        ))
    }

    /// Refuses a request.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it is no longer pending, [`Error::Invalid`] without a reason.
    pub async fn deny(
        self: &Arc<Self>,
        caller: &Caller,
        id: RequestId,
        why: &str,
    ) -> Result<RequestStatus, Error> {
        let old = self.decidable_request(caller, id).await?;
        let (why, now) = (reason(why)?, self.now());
        let new = old.clone().deny(caller.name.clone(), why, now)?;
        let denied = Event::RequestDenied {
            request: id,
            by: caller.name.clone(),
            reason: why.to_owned(),
        };
        let control = Arc::clone(self);
        let kept = new.clone();
        to_the_end(async move { control.move_request(&old, &kept, act(now, denied)).await })
            .await?;
        Ok(self.request_status(caller, new))
    }

    /// The request, if `caller` may decide on it. Their own is left to `access`, which says why.
    async fn decidable_request(
        &self,
        caller: &Caller,
        id: RequestId,
    ) -> Result<AccessRequest, Error> {
        let request = self.visible_request(caller, id).await?;
        if request.requester != caller.name {
            self.check(caller, Action::Approve, &request)?;
        }
        Ok(request)
    }

    /// What was fine when it was asked for may not be under the rules of today.
    fn check_length(&self, request: &AccessRequest, cut: Option<Duration>) -> Result<(), Error> {
        if cut.is_some_and(|cut| cut < Duration::from_secs(1)) {
            let problem = "a session lasts at least one second".to_owned();
            return Err(Error::Invalid(problem));
        }
        let rules = self.rules.load();
        let max = rules.targets.get(&request.target).map(|t| t.max_duration);
        match max {
            Some(max) if cut.unwrap_or(request.duration) > max => {
                let (target, max) = (&request.target, humantime::format_duration(max));
                Err(Error::Invalid(format!(
                    "{target} is granted for at most {max} now"
                )))
            }
            _ => Ok(()),
        }
    }

    async fn grant(
        &self,
        old: &AccessRequest,
        new: &AccessRequest,
        session: &Session,
    ) -> Result<(), Error> {
        let approved = Event::RequestApproved {
            request: new.id,
            by: session.approved_by.clone(),
            session: session.id,
            principal: session.principal.clone(),
            target: session.target.clone(),
            expires_at: session.expires_at,
        };
        let act = act(session.starts_at, approved);
        let store = &self.store;
        match store
            .transition_request(old, new, Some(session), &act)
            .await
        {
            // The older one may be over without anybody having noted it.
            Err(StoreError::LiveSession(live)) if live.expires_at <= session.starts_at => {
                self.expire_session(*live).await?;
                store
                    .transition_request(old, new, Some(session), &act)
                    .await?;
            }
            result => result?,
        }
        self.count(new);
        // Whoever waits for the decision learns of it, even if the audit keeps it from opening.
        let delivered = self.deliver().await;
        self.changed();
        delivered
    }

    pub(super) async fn move_request(
        &self,
        old: &AccessRequest,
        new: &AccessRequest,
        act: crate::store::Act,
    ) -> Result<(), Error> {
        self.store.transition_request(old, new, None, &act).await?;
        self.count(new);
        self.follow_up().await;
        Ok(())
    }
}
