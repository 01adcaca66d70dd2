//! Who may no longer have sessions loses those that are live.

use super::super::expire::ended;
use super::super::{Control, Error, act};
use crate::access::{Ending, PrincipalName, Session};
use crate::store::{Change, Filter, StoreError, Visible};

impl Control {
    /// Ends the live sessions of somebody.
    pub(super) async fn end_sessions(
        &self,
        of: &PrincipalName,
        by: &PrincipalName,
        why: &str,
    ) -> Result<(), Error> {
        for session in self.live_sessions(of).await? {
            self.end_for(session, by, why).await?;
        }
        self.follow_up().await;
        Ok(())
    }

    async fn live_sessions(&self, of: &PrincipalName) -> Result<Vec<Session>, Error> {
        let filter = Filter {
            open_only: true,
            visible: Some(Visible {
                principal: of.clone(),
                targets: Vec::new(),
            }),
            ..Filter::default()
        };
        Ok(self.store.sessions(&filter).await?)
    }

    async fn end_for(&self, old: Session, by: &PrincipalName, why: &str) -> Result<(), Error> {
        let now = self.now();
        let Some(new) = old.clone().revoke(by.clone(), why, now) else {
            return Ok(());
        };
        let ending = Ending::Revoked {
            by: by.clone(),
            reason: why.to_owned(),
        };
        let change = Change::moves_session(new.clone(), act(now, ended(&new)));
        let stored = self.store.commit(&change).await;
        self.gate.end(&new, ending);
        match stored {
            Ok(()) | Err(StoreError::Conflict(_)) => Ok(()),
            Err(error) => Err(Error::NotStored(error)),
        }
    }
}
