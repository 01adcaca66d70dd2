//! From the outbox to the audit, and to what the acts bring about.

use jiff::Timestamp;

use crate::access::{Ending, SessionId};
use crate::audit::{Batch, Event};
use crate::store::Act;

use super::reexamine::hallpass;
use super::{Control, Error};

impl Control {
    /// Gives the audit what it is owed, and carries out what had to wait for that.
    ///
    /// # Errors
    /// If the audit or the store fails; the rest stays in the outbox.
    pub(super) async fn deliver(&self) -> Result<(), Error> {
        let mut last = self.delivery.lock().await;
        loop {
            let acts = self.store.outbox().await?;
            if acts.is_empty() {
                return Ok(());
            }
            for (_, act) in &acts {
                self.end_if_over(&act.event).await?;
            }
            for (number, act) in &acts {
                // If only the note that it went failed, the audit has it already.
                if *number > *last {
                    self.record(act).await?;
                    *last = *number;
                }
                self.open_if_granted(&act.event).await?;
                self.store.outbox_done(*number).await?;
            }
        }
    }

    async fn record(&self, act: &Act) -> Result<(), Error> {
        let mut batch = Batch::new(act.at);
        batch.push(&act.event);
        Ok(self.recorder.commit(batch).await?)
    }

    /// Ends in admission what the store says has ended; for the most part that is done before,
    /// but not if the process or the task that did it was ended in between.
    async fn end_if_over(&self, event: &Event) -> Result<(), Error> {
        let (id, ending) = match event {
            Event::SessionExpired { session, .. } => (*session, Ending::Expired),
            Event::SessionRevoked {
                session,
                by,
                reason,
                ..
            } => {
                let (by, reason) = (by.clone(), reason.clone());
                (*session, Ending::Revoked { by, reason })
            }
            _ => return Ok(()),
        };
        if let Some(session) = self.store.session(id).await? {
            self.gate.end(&session, ending);
        }
        Ok(())
    }

    /// Opens what the event grants, to the end that it says: a later extension is recorded first,
    /// too.
    async fn open_if_granted(&self, event: &Event) -> Result<(), Error> {
        if let Some((id, until)) = granted(event)
            && let Some(mut session) = self.store.session(id).await?
        {
            // Who decided knew the holder as they were; they may have been disabled since.
            match self.holds_rightly(&session, None).await? {
                Ok(()) => {
                    session.expires_at = session.expires_at.min(until);
                    self.gate.open(&session);
                }
                Err(why) => _ = self.end_for(session, &hallpass(), &why).await?,
            }
            self.changed();
        }
        Ok(())
    }
}

/// The session that comes to be, or goes on, by `event`, and until when.
fn granted(event: &Event) -> Option<(SessionId, Timestamp)> {
    match event {
        Event::RequestApproved {
            session,
            expires_at,
            starts_at: None,
            ..
        }
        | Event::SessionStarted {
            session,
            expires_at,
            ..
        } => Some((*session, *expires_at)),
        _ => None,
    }
}
