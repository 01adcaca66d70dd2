//! Who may no longer have sessions loses those that are live, and who has a name no more all that
//! was theirs by it.

use super::super::{Control, Error};
use crate::access::{AccessRequest, PrincipalName, Session};
use crate::store::{Filter, Visible};

impl Control {
    /// Ends the live sessions of somebody.
    pub(super) async fn end_sessions(
        &self,
        of: &PrincipalName,
        by: &PrincipalName,
        why: &str,
    ) -> Result<(), Error> {
        let mut failed = None;
        for session in self.live_sessions(of).await? {
            if let Err(error) = self.end_for(session, by, why).await {
                failed = Some(error);
            }
        }
        self.follow_up().await;
        failed.map_or(Ok(()), Err)
    }

    /// Ends what a name stood for, as it becomes somebody else's: sessions, delegations, and what
    /// was asked for and waits.
    pub(in super::super) async fn pass_on(
        &self,
        name: &PrincipalName,
        by: &PrincipalName,
    ) -> Result<(), Error> {
        let why = "the name is somebody else's from now on";
        self.end_sessions(name, by, why).await?;
        self.undelegate(name).await?;
        let waiting = Filter {
            open_only: true,
            principal: Some(name.clone()),
            ..Filter::default()
        };
        for request in self.store.requests(&waiting).await? {
            let lapses_at = self.now();
            self.lapse(AccessRequest {
                lapses_at,
                ..request
            })
            .await?;
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
}
