//! A person ends a session early.

use std::sync::Arc;

use crate::access::{Caller, Ending, Right, Session, SessionId, SessionState};
use crate::policy::Action;
use crate::store::{Change, StoreError};

use super::expire::ended;
use super::{Control, Error, Seen, SessionStatus, act, reason, to_the_end};

impl Control {
    /// Ends a session. Its holder may, and whoever may approve for its target. When this returns,
    /// nothing more is admitted and its connections are closing.
    ///
    /// # Errors
    /// [`Error::Changed`] if it is no longer in the version that the caller saw;
    /// [`Error::Conflict`] if it has ended before. If the store fails, its connections are closed
    /// all the same, but the answer is [`Error::NotStored`] or [`Error::Store`].
    pub async fn revoke(
        self: &Arc<Self>,
        caller: &Caller,
        seen: impl Into<Seen<SessionId>>,
        why: &str,
    ) -> Result<SessionStatus, Error> {
        let seen = seen.into();
        let why = reason(why)?.to_owned();
        let (control, caller) = (Arc::clone(self), caller.clone());
        to_the_end(async move { control.end_early(&caller, seen, &why).await }).await
    }

    async fn end_early(
        &self,
        caller: &Caller,
        seen: Seen<SessionId>,
        why: &str,
    ) -> Result<SessionStatus, Error> {
        let id = seen.id;
        let ending = Ending::Revoked {
            by: caller.name.clone(),
            reason: why.to_owned(),
        };
        let old = match self.visible_session(caller, seen).await {
            Err(Error::Store(error)) => return Err(self.end_unread(caller, id, ending, error)),
            old => old?,
        };
        if !self.ends(caller, &old) {
            let problem = format!("you may not end sessions for {}", old.target);
            return Err(Error::Forbidden(problem));
        }
        let now = self.now();
        let Some(new) = old.clone().revoke(caller.name.clone(), why, now) else {
            return Err(over(&old));
        };
        let change = Change::moves_session(new.clone(), act(now, ended(&new)));
        match self.commit(&change).await {
            Ok(()) => self.gate.end(&new, ending),
            Err(error @ StoreError::Conflict(_)) => return Err(error.into()),
            Err(error) => {
                self.gate.end(&old, ending);
                return Err(Error::NotStored(error));
            }
        }
        tracing::info!(session_id = %id, target = %new.target, principal = %new.principal, by = %caller.name, "session ended");
        self.follow_up().await;
        match new.state {
            SessionState::Expired { .. } => Err(over(&new)),
            _ => Ok(self.session_status(new)),
        }
    }

    /// Whether `caller` may end the session.
    fn ends(&self, caller: &Caller, session: &Session) -> bool {
        let own = session.principal == caller.name && caller.has(Right::Request);
        own || self.may(caller, Action::Revoke, &session.target)
    }

    /// Ends a session that cannot be looked up, going by what is known here.
    fn end_unread(
        &self,
        caller: &Caller,
        id: SessionId,
        ending: Ending,
        error: StoreError,
    ) -> Error {
        match self.gate.session(id) {
            Some(known) if self.ends(caller, &known) => {
                self.gate.end(&known, ending);
                Error::NotStored(error)
            }
            _ => Error::Store(error),
        }
    }
}

fn over(session: &Session) -> Error {
    let state = session.state.name();
    Error::Conflict(format!("the session has ended: it is {state}"))
}
