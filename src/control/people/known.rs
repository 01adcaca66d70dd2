//! Who there is: in the configuration, and with an account that is not disabled.

use std::collections::HashMap;
use std::sync::Arc;

use crate::access::{Principal, PrincipalName};

use super::super::{Control, Error};

/// Everybody, by name. Who is not among them loses what they have.
pub(in super::super) type Known = HashMap<PrincipalName, Principal>;

impl Control {
    /// Everybody, as of now.
    pub(in super::super) fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    /// Looks again who there is; to be called whenever an account or the configuration has changed.
    ///
    /// # Errors
    /// If the store fails: then they stay as they were.
    pub(in super::super) async fn look_around(&self) -> Result<(), Error> {
        let accounts = self.store.accounts().await?.into_iter();
        let enabled = accounts.filter(|account| account.disabled_at.is_none());
        let identity = self.identity.load();
        let configured = identity.directory.principals().cloned();
        let everybody = enabled.map(|account| account.principal()).chain(configured);
        let known = everybody.map(|it| (it.name.clone(), it)).collect();
        self.known.store(Arc::new(known));
        Ok(())
    }
}
