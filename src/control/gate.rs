//! The one place where sessions are opened and ended in [`Admission`]: an end that comes before
//! its opening (a revocation races with an approval) wins.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::access::{Ending, Session, SessionId, SessionState};
use crate::admission::Admission;

/// A session that was opened or ended here.
struct Known {
    session: Session,
    ended: bool,
}

/// Sessions that were opened or ended here, until their time has passed.
pub(super) struct Gate {
    known: Mutex<HashMap<SessionId, Known>>,
    admission: Arc<Admission>,
}

impl Gate {
    pub(super) fn new(admission: Arc<Admission>) -> Self {
        let known = Mutex::default();
        Self { known, admission }
    }

    /// Lets connections in under `session`, unless it was ended here; to its new end, if it is
    /// open already and was extended.
    pub(super) fn open(&self, session: &Session) {
        let mut known = self.known.lock();
        if session.state != SessionState::Active {
            return;
        }
        match known.get(&session.id) {
            None => _ = self.admission.open(session),
            Some(it) if it.ended || session.expires_at <= it.session.expires_at => return,
            Some(_) => self.extend(session),
        }
        let (session, ended) = (session.clone(), false);
        known.insert(session.id, Known { session, ended });
    }

    fn extend(&self, session: &Session) {
        // Its old end may have come while the extension was being recorded.
        if !self.admission.extend(session) {
            self.admission.open(session);
        }
    }

    /// Closes `session`'s connections and admits no more, for good.
    pub(super) fn end(&self, session: &Session, ending: Ending) {
        let mut known = self.known.lock();
        let (holder, target) = (&session.principal, &session.target);
        self.admission.end(holder, target, session.id, ending);
        let (session, ended) = (session.clone(), true);
        known.insert(session.id, Known { session, ended });
    }

    /// The session as it was when it was opened here; for when the store does not answer.
    pub(super) fn session(&self, id: SessionId) -> Option<Session> {
        self.known.lock().get(&id).map(|it| it.session.clone())
    }

    /// Forgets sessions whose time has passed: those cannot be opened again.
    pub(super) fn forget(&self, now: Timestamp) {
        self.known
            .lock()
            .retain(|_, it| it.session.expires_at > now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;

    #[tokio::test]
    async fn an_end_that_comes_before_its_opening_wins() {
        let world = World::new();
        let session = world.session().await;
        let gate = Gate::new(Arc::clone(&world.admission));
        gate.end(&session, Ending::Expired);
        gate.open(&session);
        assert_eq!(world.admission.live_sessions(), 0);
    }

    #[tokio::test]
    async fn a_session_that_is_open_is_not_opened_anew() {
        let world = World::new();
        let session = world.session().await;
        let permit = world.connect(&session);
        world.control.gate.open(&session);
        let ended = permit.ended();
        let none = tokio::time::timeout(std::time::Duration::from_millis(20), ended).await;
        assert!(none.is_err(), "its connections go on");
    }
}
