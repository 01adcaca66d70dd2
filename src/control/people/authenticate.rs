//! Whose token it is.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use super::super::{Control, Error};
use crate::access::{Account, ApiToken, Caller, Principal, PrincipalName};
use crate::identity;
use crate::secret::Secret;

/// How exactly the last use of a token is kept.
const USED: SignedDuration = SignedDuration::from_mins(1);

impl Control {
    /// Who calls from `address` with this token; nobody, if it is not good.
    ///
    /// # Errors
    /// [`Error::Store`] if only the store could know.
    pub async fn authenticate(
        &self,
        token: &Secret,
        address: Option<IpAddr>,
    ) -> Result<Option<Caller>, Error> {
        let hash = identity::hash(token);
        if let Some(entry) = self.identity.load().directory.by_token(&hash) {
            return Ok(Some(Caller {
                mfa: entry.mfa,
                address,
                ..Caller::new(entry.principal.clone())
            }));
        }
        let Some((token, account)) = self.store.token_by_hash(hash).await? else {
            return Ok(None);
        };
        let now = self.now();
        let Some(principal) = self
            .owner(&token.owner, account)
            .filter(|_| token.is_good(now))
        else {
            return Ok(None);
        };
        self.note_use(&token, now).await?;
        Ok(Some(Caller {
            principal,
            mfa: token.mfa,
            address,
            scope: token.scope,
        }))
    }

    /// The principal of this name, if there is one who may do anything.
    ///
    /// # Errors
    /// [`Error::Store`] if only the store could know.
    pub(in super::super) async fn principal(
        &self,
        name: &PrincipalName,
    ) -> Result<Option<Principal>, Error> {
        let account = self.store.account(name.as_str()).await?;
        Ok(self.owner(name, account))
    }

    /// Whom the bearer of a token acts as: as they are now, not as they were when it was made.
    fn owner(&self, name: &PrincipalName, account: Option<Account>) -> Option<Principal> {
        let identity = self.identity.load();
        let configured = identity.directory.named(name.as_str());
        match (configured, account) {
            (Some(entry), None) => Some(entry.principal.clone()),
            (None, Some(account)) if account.disabled_at.is_none() => Some(account.principal()),
            (Some(_), Some(_)) => {
                tracing::warn!(principal = %name, "is in the configuration and has an account: its tokens are not taken");
                None
            }
            _ => None,
        }
    }

    async fn note_use(&self, token: &ApiToken, now: Timestamp) -> Result<(), Error> {
        let recent = |last: Timestamp| now.duration_since(last) < USED;
        if !token.last_used_at.is_some_and(recent) {
            self.store.token_used(token.id, now).await?;
        }
        Ok(())
    }
}
