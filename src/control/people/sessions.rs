//! Who may no longer have sessions loses those that are live.

use super::super::{Control, Error};
use crate::access::{PrincipalName, Session};
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
