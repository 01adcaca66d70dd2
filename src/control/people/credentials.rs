//! People change what proves who they are. Whoever holds nothing but a token of theirs cannot.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::{Control, Error, act, to_the_end};
use super::accounts::changed;
use super::prove::{Holder, Shown};
use super::tokens::unlimited;
use crate::access::{Account, AccountKind, Caller};
use crate::identity::{Totp, fit, recovery_codes};
use crate::secret::Secret;
use crate::store::{AccountChange, StoreError};

/// What somebody shows to change something about themselves.
pub struct Own {
    /// The account's password.
    pub password: Secret,
    /// A code of the second factor, or a recovery code, where there is one.
    pub code: Option<String>,
}

impl Control {
    /// Gives the caller another password. Who signed in with the old one has to sign in again.
    ///
    /// # Errors
    /// [`Error::SignIn`] if what they show is wrong, [`Error::Invalid`] if the new one will not do.
    pub async fn change_password(
        self: &Arc<Self>,
        caller: &Caller,
        own: Own,
        new: Secret,
    ) -> Result<(), Error> {
        let holder = self.prove_own(caller, own).await?;
        let name = holder.account.name.as_str();
        let change = AccountChange::Password(self.fit_password(name, new).await?);
        self.make_own(holder, change, caller.address).await
    }

    /// Begins to give the caller a second factor, or another: it counts when it is confirmed.
    ///
    /// # Errors
    /// [`Error::SignIn`] if what they show is wrong.
    pub async fn begin_totp(self: &Arc<Self>, caller: &Caller, own: Own) -> Result<Totp, Error> {
        let holder = self.prove_own(caller, own).await?;
        let name = holder.account.name.as_str();
        let totp = Totp::generate(name);
        let sealed = self.identity.load().sealing.seal(name, totp.secret());
        self.make_own(holder, AccountChange::TotpPending(sealed), caller.address)
            .await?;
        Ok(totp)
    }

    /// Puts the second factor in force that the caller began with, of which they show a code.
    /// Gives the recovery codes, which nobody sees again.
    ///
    /// # Errors
    /// [`Error::Conflict`] if they did not begin, [`Error::Invalid`] if the code is wrong.
    pub async fn confirm_totp(
        self: &Arc<Self>,
        caller: &Caller,
        code: &str,
    ) -> Result<Vec<Secret>, Error> {
        let (account, sealed) = self.pending_totp(caller).await?;
        let totp = self.unseal(&account, &sealed);
        let step = totp.and_then(|totp| totp.check(code, self.now()));
        let step = step.ok_or_else(|| {
            let problem = "the code is wrong: is the clock of the device right?";
            Error::Invalid(problem.to_owned())
        })?;
        let codes = recovery_codes();
        let change = AccountChange::TotpConfirmed {
            step,
            recovery: codes.iter().map(|code| code.hash).collect(),
        };
        let control = Arc::clone(self);
        to_the_end(async move { control.alter_own(&account, &change).await }).await?;
        Ok(codes.into_iter().map(|code| code.shown).collect())
    }

    /// Takes the caller's second factor away.
    ///
    /// # Errors
    /// [`Error::SignIn`] if what they show is wrong, [`Error::Conflict`] if they have none.
    pub async fn remove_totp(self: &Arc<Self>, caller: &Caller, own: Own) -> Result<(), Error> {
        let holder = self.prove_own(caller, own).await?;
        if !holder.account.totp {
            let problem = "the account has no second factor".to_owned();
            return Err(Error::Conflict(problem));
        }
        self.make_own(holder, AccountChange::TotpRemoved, caller.address)
            .await
    }

    /// The hash of a password that will do.
    pub(super) async fn fit_password(&self, name: &str, new: Secret) -> Result<String, Error> {
        fit(&new, name).map_err(|unfit| Error::Invalid(unfit.to_string()))?;
        Ok(self.hash(new).await)
    }

    async fn prove_own(&self, caller: &Caller, own: Own) -> Result<Holder, Error> {
        unlimited(caller)?;
        self.must_be_local(caller).await?;
        self.prove(Shown {
            name: caller.name.as_str(),
            password: &own.password,
            code: own.code.as_deref(),
            address: caller.address,
        })
        .await
    }

    async fn must_be_local(&self, caller: &Caller) -> Result<Account, Error> {
        let account = self.store.account(caller.name.as_str()).await?;
        let local = account.filter(|account| account.kind == AccountKind::Local);
        local.ok_or_else(|| {
            let problem = format!("{} has no password here", caller.name);
            Error::Forbidden(problem)
        })
    }

    async fn pending_totp(&self, caller: &Caller) -> Result<(Account, Vec<u8>), Error> {
        unlimited(caller)?;
        let account = self.must_be_local(caller).await?;
        let sealed = self.store.pending_totp(&account.name).await?;
        let sealed = sealed.ok_or_else(|| {
            let problem = "begin first: `hallpass user totp`".to_owned();
            Error::Conflict(problem)
        })?;
        Ok((account, sealed))
    }

    async fn make_own(
        self: &Arc<Self>,
        holder: Holder,
        change: AccountChange,
        address: Option<IpAddr>,
    ) -> Result<(), Error> {
        let control = Arc::clone(self);
        to_the_end(async move {
            let Holder {
                account, proved, ..
            } = holder;
            let act = act(control.now(), changed(&account, &account.name, &change));
            let name = &account.name;
            let changing = control
                .store
                .change_account(name, Some(&proved), &change, &act);
            control.redeem(name, address, changing).await?;
            control.follow_up().await;
            Ok(())
        })
        .await
    }

    async fn alter_own(&self, account: &Account, change: &AccountChange) -> Result<(), Error> {
        let name = &account.name;
        let act = act(self.now(), changed(account, name, change));
        match self.store.change_account(name, None, change, &act).await {
            // Two devices confirmed at once.
            Err(StoreError::Missing) => Err(Error::Conflict("it was confirmed before".to_owned())),
            done => {
                done?;
                self.follow_up().await;
                Ok(())
            }
        }
    }
}
