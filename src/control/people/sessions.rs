//! Who may no longer have sessions loses those that are live.

use super::super::expire::ended;
use super::super::{Control, Error, act};
use crate::access::{Account, Caller, Ending, PrincipalName, Session};
use crate::policy::Action;
use crate::store::{Filter, StoreError, Visible};

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

    /// Ends the live sessions of an account that its holder could not ask for today.
    pub(super) async fn end_what_they_may_not(
        &self,
        account: &Account,
        by: &PrincipalName,
    ) -> Result<(), Error> {
        let caller = Caller::new(account.principal());
        for session in self.live_sessions(&account.name).await? {
            if !self.may(&caller, Action::Request, &session.target) {
                self.end_for(session, by, "the holder's groups have changed")
                    .await?;
            }
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
            limit: None,
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
        let act = act(now, ended(&new));
        let stored = self.store.transition_session(&old, &new, &act).await;
        self.gate.end(&new, ending);
        match stored {
            Ok(()) | Err(StoreError::Conflict(_)) => Ok(()),
            Err(error) => Err(Error::NotStored(error)),
        }
    }
}
