//! Administrators say who there is.

use std::sync::Arc;

use jiff::SignedDuration;

use super::super::{Control, Error, act, to_the_end};
use crate::access::{Account, AccountKind, Caller, PrincipalName};
use crate::audit::Event;
use crate::identity::setup_code;
use crate::secret::Secret;
use crate::store::{AccountChange, Credentials, StoreError};

/// How long a setup code is good.
const SETUP: SignedDuration = SignedDuration::from_hours(72);
/// Groups of one account at most.
const GROUPS: usize = 200;

/// An account that is to be.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Whose.
    pub name: PrincipalName,
    /// Their groups.
    pub groups: Vec<String>,
    /// Where they are written to.
    pub email: Option<String>,
    /// It is a service, which has no password, but tokens.
    pub service: bool,
}

impl Control {
    /// Adds an account; of a person, with the code by which they sign in first.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to all but administrators; [`Error::Conflict`] if the name is taken.
    pub async fn add_account(
        self: &Arc<Self>,
        caller: &Caller,
        new: NewAccount,
    ) -> Result<(Account, Option<Secret>), Error> {
        self.must_administer(caller)?;
        self.must_be_free(&new.name)?;
        let kind = match new.service {
            true => AccountKind::Service,
            false => AccountKind::Local,
        };
        let groups = checked(new.groups)?;
        let account = Account {
            email: new.email.map(address).transpose()?,
            ..Account::new(new.name, groups, kind, self.now())
        };
        let (code, credentials) = self.first_credentials(&account).await;
        let (control, by) = (Arc::clone(self), caller.name.clone());
        let kept = account.clone();
        to_the_end(async move { control.keep_account(&kept, &credentials, by).await }).await?;
        Ok((account, code))
    }

    /// Everybody who has an account, by name.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to all but administrators.
    pub async fn accounts(&self, caller: &Caller) -> Result<Vec<Account>, Error> {
        self.must_administer(caller)?;
        Ok(self.store.accounts().await?)
    }

    /// Keeps somebody out at once, tokens, sessions and all, or lets them in again.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to all but administrators, and of one's own account;
    /// [`Error::NotFound`] if there is none; [`Error::Conflict`] if it is so already.
    pub async fn disable_account(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        disable: bool,
    ) -> Result<Account, Error> {
        self.must_administer(caller)?;
        let account = self.existing(name).await?;
        if account.name == caller.name {
            let problem = "nobody disables their own account".to_owned();
            return Err(Error::Forbidden(problem));
        }
        let already = account.disabled_at.is_some() == disable;
        if already && !disable {
            let problem = "the account is enabled already".to_owned();
            return Err(Error::Conflict(problem));
        }
        let change = AccountChange::Disabled(disable.then(|| self.now()));
        let (control, by) = (Arc::clone(self), caller.name.clone());
        to_the_end(async move {
            // Again, if it is disabled already: what was left of its sessions ends.
            if !already {
                control.alter(&account, &by, &change).await?;
            }
            if disable {
                let why = "the account was disabled";
                control.end_sessions(&account.name, &by, why).await?;
            }
            control.existing(account.name.as_str()).await
        })
        .await
    }

    /// Puts somebody into these groups and no others. Sessions that they could not have asked for
    /// as a member of these end.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to all but administrators, and where a provider says the groups;
    /// [`Error::NotFound`] if there is no such account.
    pub async fn set_groups(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        groups: Vec<String>,
    ) -> Result<Account, Error> {
        self.must_administer(caller)?;
        let account = self.existing(name).await?;
        if account.name == caller.name {
            let problem = "nobody changes their own groups".to_owned();
            return Err(Error::Forbidden(problem));
        }
        if matches!(account.kind, AccountKind::Oidc | AccountKind::Workload) {
            return Err(Error::Forbidden(format!(
                "the groups of {} come from their provider",
                account.name
            )));
        }
        let change = AccountChange::Groups(checked(groups)?);
        let (control, by) = (Arc::clone(self), caller.name.clone());
        to_the_end(async move {
            control.alter(&account, &by, &change).await?;
            let account = control.existing(account.name.as_str()).await?;
            control.review_sessions(Some(&account.name)).await?;
            Ok(account)
        })
        .await
    }

    /// Gives a person who forgot their password, or lost their second factor, a new setup code;
    /// lets go of a name that a provider's person has, for the next whom the provider calls so.
    /// Their tokens are revoked, their sessions end.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to all but administrators, of services, and of one's own name at the
    /// provider; [`Error::NotFound`] if there is no such account.
    pub async fn reset_account(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        totp: bool,
    ) -> Result<(Account, Option<Secret>), Error> {
        self.must_administer(caller)?;
        let account = self.existing(name).await?;
        match account.kind {
            AccountKind::Local => {}
            AccountKind::Oidc if account.name == caller.name => {
                let problem = "nobody lets go of their own name".to_owned();
                return Err(Error::Forbidden(problem));
            }
            AccountKind::Oidc => return self.let_go(account, caller).await.map(|it| (it, None)),
            AccountKind::Service | AccountKind::Workload => {
                let problem = format!("{} has no password here", account.name);
                return Err(Error::Forbidden(problem));
            }
        }
        let code = setup_code();
        let now = self.now();
        let change = AccountChange::Reset {
            password: self.hash(code.clone()).await,
            until: now.checked_add(SETUP).unwrap_or(now),
            totp,
        };
        let (control, by) = (Arc::clone(self), caller.name.clone());
        to_the_end(async move {
            control.alter(&account, &by, &change).await?;
            // Whoever had the account until now may have had it wrongly.
            control.take_back(&account.name).await?;
            let why = "the account was reset";
            control.end_sessions(&account.name, &by, why).await?;
            let account = control.existing(account.name.as_str()).await?;
            Ok((account, Some(code)))
        })
        .await
    }

    async fn let_go(self: &Arc<Self>, account: Account, caller: &Caller) -> Result<Account, Error> {
        let (control, by) = (Arc::clone(self), caller.name.clone());
        to_the_end(async move {
            let change = AccountChange::Released;
            control.alter(&account, &by, &change).await?;
            control.pass_on(&account.name, &by).await?;
            control.existing(account.name.as_str()).await
        })
        .await
    }

    pub(super) async fn hash(&self, password: Secret) -> String {
        let passwords = self.identity.load().passwords.clone();
        passwords.hash(password).await
    }

    /// One name, one way to prove it.
    pub(super) fn must_be_free(&self, name: &PrincipalName) -> Result<(), Error> {
        if name.is_reserved() {
            return Err(Error::Conflict(format!("{name} is hallpass's own name")));
        }
        match self.identity.load().directory.named(name.as_str()) {
            None => Ok(()),
            Some(_) => Err(Error::Conflict(format!(
                "{name} is in the configuration already"
            ))),
        }
    }

    async fn first_credentials(&self, account: &Account) -> (Option<Secret>, Credentials) {
        if account.kind != AccountKind::Local {
            return (None, Credentials::default());
        }
        let code = setup_code();
        let credentials = Credentials {
            password: Some(self.hash(code.clone()).await),
            setup_until: account.created_at.checked_add(SETUP).ok(),
            ..Credentials::default()
        };
        (Some(code), credentials)
    }

    async fn existing(&self, name: &str) -> Result<Account, Error> {
        let account = self.store.account(name).await?;
        account.ok_or(Error::NotFound("account"))
    }

    async fn keep_account(
        &self,
        account: &Account,
        credentials: &Credentials,
        by: PrincipalName,
    ) -> Result<(), Error> {
        let added = Event::AccountAdded {
            principal: account.name.clone(),
            by: by.clone(),
            kind: account.kind,
            groups: account.groups.clone(),
        };
        let act = act(account.created_at, added);
        match self.store.insert_account(account, credentials, &act).await {
            Err(StoreError::Conflict(_)) => {
                let problem = format!("there is an account {} already", account.name);
                Err(Error::Conflict(problem))
            }
            kept => {
                kept?;
                self.pass_on(&account.name, &by).await?;
                self.look_around().await?;
                self.deliver().await
            }
        }
    }

    /// Changes an account as an administrator wants it.
    async fn alter(
        &self,
        account: &Account,
        by: &PrincipalName,
        change: &AccountChange,
    ) -> Result<(), Error> {
        let act = act(self.now(), changed(account, by, change));
        let name = &account.name;
        self.store.change_account(name, None, change, &act).await?;
        self.look_around().await?;
        self.follow_up().await;
        Ok(())
    }
}

/// The fact that an account was changed.
pub(super) fn changed(account: &Account, by: &PrincipalName, change: &AccountChange) -> Event {
    let (word, groups) = match change {
        AccountChange::Password(_) => ("password", None),
        AccountChange::Reset { .. } => ("reset", None),
        AccountChange::TotpPending(_) => ("totp_begun", None),
        AccountChange::TotpConfirmed { .. } => ("totp_on", None),
        AccountChange::TotpRemoved => ("totp_off", None),
        AccountChange::Disabled(Some(_)) => ("disabled", None),
        AccountChange::Disabled(None) => ("enabled", None),
        AccountChange::Groups(groups) => ("groups", Some(groups.clone())),
        AccountChange::Released => ("released", None),
    };
    Event::AccountChanged {
        principal: account.name.clone(),
        by: by.clone(),
        change: word.to_owned(),
        groups,
    }
}

/// The groups, each once, in order.
fn checked(mut groups: Vec<String>) -> Result<Vec<String>, Error> {
    groups.sort_unstable();
    groups.dedup();
    if groups.len() > GROUPS {
        let problem = format!("an account is in at most {GROUPS} groups");
        return Err(Error::Invalid(problem));
    }
    for group in &groups {
        group
            .parse::<PrincipalName>()
            .map_err(|error| Error::Invalid(format!("{group:?} is not a group's name: {error}")))?;
    }
    Ok(groups)
}

fn address(text: String) -> Result<String, Error> {
    let strange = |c: char| c.is_control() || c.is_whitespace() || !c.is_ascii();
    let halves = text.split_once('@').filter(|(name, host)| {
        !name.is_empty() && host.contains('.') && !host.contains('@') && text.len() <= 254
    });
    match halves {
        Some(_) if !text.chars().any(strange) => Ok(text),
        _ => Err(Error::Invalid(format!("{text:?} is not an e-mail address"))),
    }
}
