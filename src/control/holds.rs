//! Auditors keep a session's records from being deleted.

use std::sync::Arc;

use crate::access::{Caller, Hold, Session, SessionId};
use crate::audit::{Asked, Event, Held};
use crate::policy::Action;
use crate::store::{Act, StoreError};

use super::{Control, Error, act, reason, to_the_end};

/// What a caller is told who is no auditor.
const HOLD: &str = "only auditors may hold a session's records";

impl Control {
    /// The sessions that are held, for the one who deletes what is old.
    pub fn held(&self) -> Held {
        self.held.clone()
    }

    /// The holds there are, the newest first, each with its session.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for all but auditors.
    pub async fn holds(&self, caller: &Caller) -> Result<Vec<(Hold, Session)>, Error> {
        self.must_be_auditor(caller, HOLD)?;
        Ok(self.store.holds().await?)
    }

    /// Keeps the records of a session, over or not, until they are released. When this returns,
    /// nothing of them is deleted any more.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for all but auditors, [`Error::NotFound`] if there was never such a
    /// session, [`Error::Conflict`] if they are held already, [`Error::Invalid`] without a reason.
    pub async fn place_hold(
        self: &Arc<Self>,
        caller: &Caller,
        session: SessionId,
        why: &str,
    ) -> Result<(Hold, Session), Error> {
        self.must_be_auditor(caller, HOLD)?;
        let hold = Hold {
            session,
            by: caller.name.clone(),
            at: self.now(),
            reason: given(why)?,
        };
        let control = Arc::clone(self);
        to_the_end(async move { control.hold(hold).await }).await
    }

    /// Lets the records of a session go when they are old. What it was that kept them.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for all but auditors, [`Error::NotFound`] if nothing holds them,
    /// [`Error::Invalid`] without a reason.
    pub async fn release_hold(
        self: &Arc<Self>,
        caller: &Caller,
        session: SessionId,
        why: &str,
    ) -> Result<(Hold, Session), Error> {
        self.must_be_auditor(caller, HOLD)?;
        let released = Event::HoldReleased {
            session,
            by: caller.name.clone(),
            reason: given(why)?,
        };
        let (control, act) = (Arc::clone(self), act(self.now(), released));
        to_the_end(async move { control.release(session, &act).await }).await
    }

    pub(super) fn must_be_auditor(&self, caller: &Caller, why: &str) -> Result<(), Error> {
        match self.may_overall(caller, Action::ReadAudit) {
            true => Ok(()),
            false => Err(Error::Forbidden(why.to_owned())),
        }
    }

    /// Brings back what was held before a restart.
    pub(super) async fn recover_holds(&self) -> Result<(), Error> {
        let holds = self.store.holds().await?;
        let mut held = self.held.lock().await;
        for (hold, session) in holds {
            held.insert(hold.session, self.asked(&session).await?);
        }
        Ok(())
    }

    async fn hold(&self, hold: Hold) -> Result<(Hold, Session), Error> {
        let session = self.store.session(hold.session).await?;
        let session = session.ok_or(Error::NotFound("session"))?;
        let placed = Event::HoldPlaced {
            session: hold.session,
            by: hold.by.clone(),
            reason: hold.reason.clone(),
        };
        let asked = self.asked(&session).await?;
        let mut held = self.held.lock().await;
        // Before it is stored: whatever becomes of that, nothing is lost meanwhile.
        held.insert(hold.session, asked);
        match self.store.place_hold(&hold, &act(hold.at, placed)).await {
            Err(StoreError::Conflict(_)) => return Err(self.held_already(hold.session).await),
            placed => placed?,
        }
        drop(held);
        self.follow_up().await;
        Ok((hold, session))
    }

    async fn release(&self, session: SessionId, act: &Act) -> Result<(Hold, Session), Error> {
        let mut held = self.held.lock().await;
        let hold = self.hold_on(session).await?;
        let hold = hold.ok_or(Error::NotFound("hold on that session"))?;
        self.store.release_hold(session, act).await?;
        held.remove(&session);
        drop(held);
        self.follow_up().await;
        Ok(hold)
    }

    async fn hold_on(&self, session: SessionId) -> Result<Option<(Hold, Session)>, Error> {
        let holds = self.store.holds().await?;
        Ok(holds.into_iter().find(|(hold, _)| hold.session == session))
    }

    async fn held_already(&self, session: SessionId) -> Error {
        match self.hold_on(session).await {
            Ok(Some((Hold { by, at, reason, .. }, _))) => Error::Conflict(format!(
                "its records are held already, by {by} since {at}: {reason}"
            )),
            Ok(None) => Error::Interrupted,
            Err(error) => error,
        }
    }

    /// What a session came from.
    async fn asked(&self, session: &Session) -> Result<Asked, Error> {
        let request = self.store.request(session.request).await?;
        Ok(Asked {
            request: session.request,
            at: request.map_or(session.starts_at, |request| request.created_at),
        })
    }
}

/// A reason that is one.
fn given(why: &str) -> Result<String, Error> {
    match reason(why)? {
        "" => Err(Error::Invalid("a reason is required".to_owned())),
        why => Ok(why.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::super::testing::{World, caller};
    use super::*;

    #[tokio::test]
    async fn auditors_hold_and_release_the_records_of_sessions_that_were() {
        let world = World::new();
        let session = world.session().await;
        let (control, iris) = (&world.control, caller("iris"));
        control
            .revoke(&caller("dana"), session.id, "")
            .await
            .unwrap();
        let (hold, of) = control
            .place_hold(&iris, session.id, " a letter ")
            .await
            .unwrap();
        assert_eq!((hold.reason.as_str(), of.id), ("a letter", session.id));
        let asked = control.held().lock().await[&session.id];
        assert_eq!(asked.request, session.request, "its story begins with that");
        assert_eq!(asked.at, world.clock.now());
        assert_eq!(control.holds(&iris).await.unwrap()[0].0, hold);

        let again = control.place_hold(&iris, session.id, "another").await;
        let text = again.unwrap_err().to_string();
        assert!(text.contains("held already, by iris since"), "{text}");
        let no_reason = control.place_hold(&iris, session.id, " ").await;
        assert!(matches!(no_reason, Err(Error::Invalid(_))));
        let unknown = SessionId::from_random(9);
        let unknown = control.place_hold(&iris, unknown, "x").await;
        assert_eq!(unknown.unwrap_err().to_string(), "there is no such session");

        let world = world.restart().await;
        let control = &world.control;
        control.recover().await.unwrap();
        assert!(control.held().lock().await.contains_key(&session.id));
        control
            .release_hold(&iris, session.id, "settled")
            .await
            .unwrap();
        assert!(control.held().lock().await.is_empty());
        let again = control.release_hold(&iris, session.id, "x").await;
        assert!(matches!(again, Err(Error::NotFound(_))));
        let types = world.audit_types();
        assert_eq!(types[types.len() - 2..], ["hold_placed", "hold_released"]);
    }

    #[tokio::test]
    async fn a_hold_that_may_not_be_stored_keeps_the_records_all_the_same() {
        let world = World::new();
        let session = world.session().await;
        let (control, iris) = (&world.control, caller("iris"));
        world.store.read_only.store(true, Ordering::SeqCst);
        let failed = control.place_hold(&iris, session.id, "x").await;
        assert!(matches!(failed, Err(Error::Store(_))));
        assert!(control.held().lock().await.contains_key(&session.id));
    }

    #[tokio::test]
    async fn nobody_but_auditors_holds_or_learns_what_is_held() {
        let world = World::new();
        let session = world.session().await;
        let iris = caller("iris");
        let control = &world.control;
        control.place_hold(&iris, session.id, "x").await.unwrap();
        let unknown = SessionId::from_random(9);
        for name in ["maya", "dana", "omar", "sam"] {
            let caller = caller(name);
            let refusals = [
                control.holds(&caller).await.map(|_| ()),
                control.place_hold(&caller, unknown, "x").await.map(|_| ()),
                control
                    .place_hold(&caller, session.id, "x")
                    .await
                    .map(|_| ()),
                control
                    .release_hold(&caller, session.id, "x")
                    .await
                    .map(|_| ()),
            ];
            for refusal in refusals {
                assert!(matches!(refusal, Err(Error::Forbidden(_))), "{name}");
            }
        }
        assert!(control.held().lock().await.contains_key(&session.id));
    }
}
