//! What is granted is committed, recorded, and only then opened.

use std::time::Duration;

use jiff::Timestamp;

use crate::access::{
    AccessRequest, Caller, Grantor, RequestKind, RequestState, Session, SessionState, TargetName,
};
use crate::audit::Event;
use crate::policy::Action;
use crate::store::{Change, StoreError, Write};

use super::{Control, Error};

impl Control {
    /// Commits a change that grants access, records it, and opens what it grants.
    ///
    /// # Errors
    /// [`Error::Conflict`] if somebody was faster, or the holder has a session for the target at
    /// that time; [`Error::AuditUnavailable`] if it is granted but not open yet.
    pub(super) async fn open(&self, change: Change) -> Result<(), Error> {
        match self.store.commit(&change).await {
            // The older one may be over without anybody having noted it.
            Err(StoreError::LiveSession(live)) if live.expires_at <= self.now() => {
                self.expire_session(*live).await?;
                self.store.commit(&change).await?;
            }
            result => result?,
        }
        if let Some(Write::New(request) | Write::Changed(request)) = &change.request {
            self.count(request);
        }
        if change.review.is_some() {
            self.count_reviews().await;
        }
        // Whoever waits for the decision learns of it, even if the audit keeps it from opening.
        let delivered = self.deliver().await;
        self.tell_listeners(&change);
        self.changed();
        delivered
    }

    /// How long a session for the target may last with all its extensions; nothing, if it is no
    /// longer there.
    pub(super) fn longest(&self, target: &TargetName) -> Duration {
        let rules = self.rules.load();
        let target = rules.targets.get(target);
        target.map_or(Duration::ZERO, |target| target.longest())
    }

    /// Whether the policy of today would let the requester ask for this, as they did; and have it
    /// from `begins` on, if it is about to begin.
    ///
    /// # Errors
    /// Why not, in words.
    pub(super) fn still_permitted(
        &self,
        request: &AccessRequest,
        begins: Option<Timestamp>,
    ) -> Result<(), String> {
        let requester = &request.requester;
        let Some(principal) = self.known().get(requester).cloned() else {
            return Err(format!("{requester} is no longer known here"));
        };
        if !self.rules.load().targets.contains_key(&request.target) {
            return Err(format!("{} is no longer a target", request.target));
        }
        let caller = Caller {
            mfa: request.circumstances.mfa,
            address: request.circumstances.address,
            ..Caller::new(principal)
        };
        let action = match request.kind {
            RequestKind::Session => Action::Request,
            RequestKind::Extension => Action::Extend,
            RequestKind::BreakGlass => Action::BreakGlass,
        };
        // What a policy granted alone, it must still grant alone.
        let alone = match (&request.state, request.kind) {
            (
                RequestState::Approved {
                    by: Grantor::Policy(_),
                    ..
                },
                RequestKind::Session,
            ) => Some(Action::ApproveAlone),
            _ => None,
        };
        let mut actions = std::iter::once(action).chain(alone);
        let begins = begins.map(|at| request.starts_at.map_or(at, |start| start.max(at)));
        let permitted = actions.all(|action| {
            self.always_permits(&caller, action, request).is_some()
                && begins.is_none_or(|at| self.permits(&caller, action, request, at))
        });
        match permitted {
            true => Ok(()),
            false => Err(format!(
                "the policy no longer lets {requester} have {}",
                request.target
            )),
        }
    }
}

/// The fact that a request was granted and became, or extended, this session.
pub(super) fn approved(request: &AccessRequest, session: &Session) -> Event {
    let policies = match &request.state {
        RequestState::Approved {
            by: Grantor::Policy(policies),
            ..
        } => policies.clone(),
        _ => Vec::new(),
    };
    let approvals = request.chain.approvals.clone();
    let waits = session.state == SessionState::Scheduled;
    Event::RequestApproved {
        request: request.id,
        by: approvals.last().map(|last| last.by.clone()),
        approvals,
        policies,
        kind: request.kind,
        starts_at: waits.then_some(session.starts_at),
        session: session.id,
        principal: session.principal.clone(),
        target: session.target.clone(),
        expires_at: session.expires_at,
    }
}
