//! The holder fetches what opens connections.

use std::sync::Arc;

use crate::access::{Caller, Right, Session, SessionId, Target};
use crate::audit::Event;
use crate::secret::Secret;

use super::people::must_have;
use super::{Control, Error, to_the_end};

/// All that the holder of a session needs to connect, but for the proxy's address.
#[derive(Debug)]
pub struct Granted {
    /// The session.
    pub session: Session,
    /// What it opens.
    pub target: Target,
    /// What proves that a client belongs to it.
    pub secret: Secret,
}

impl Control {
    /// The secret of a live session, for its holder alone. That it was read is recorded first.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for anybody but the holder, [`Error::Conflict`] if the session has
    /// ended or its target is no longer there.
    pub async fn read_secret(
        self: &Arc<Self>,
        caller: &Caller,
        id: SessionId,
    ) -> Result<Granted, Error> {
        let session = self.visible_session(caller, id).await?;
        if session.principal != caller.name {
            let problem = "only its holder can read a session's secret".to_owned();
            return Err(Error::Forbidden(problem));
        }
        must_have(caller, Right::Request)?;
        if session.state.is_final() || session.expires_at <= self.now() {
            return Err(Error::Conflict("the session has ended".to_owned()));
        }
        let rules = self.rules.load_full();
        let target = rules.targets.get(&session.target).cloned();
        let target = target
            .ok_or_else(|| Error::Conflict(format!("{} is no longer a target", session.target)))?;
        let (control, by) = (Arc::clone(self), caller.name.clone());
        to_the_end(async move {
            control
                .record_reading(Event::SecretRead { session: id, by })
                .await
        })
        .await?;
        Ok(Granted {
            secret: self.admission.secret(id),
            session,
            target,
        })
    }

    /// Whoever has the secret will dial at once: the session must be open by then.
    async fn record_reading(&self, reading: Event) -> Result<(), Error> {
        self.deliver().await?;
        Ok(self.recorder.record(&reading).await?)
    }
}
