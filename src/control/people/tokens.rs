//! API tokens: for services, and for people where nobody can sign in.

use std::sync::Arc;
use std::time::Duration;

use super::super::window::{ajar, page};
use super::super::{Control, Error, Page, Window, act, random_id, reason, to_the_end};
use crate::access::{ApiToken, Caller, PrincipalName, Scope, TokenId, TokenOrigin};
use crate::audit::Event;
use crate::identity::{self, Kind};
use crate::policy::Action;
use crate::secret::Secret;
use crate::store::NewToken;

/// The longest that a token is good.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
/// The longest note, in bytes.
const NOTE: usize = 200;

/// A token that somebody wants.
#[derive(Debug, Clone)]
pub struct MakeToken {
    /// The service that its bearer acts as; `None`: the caller.
    pub owner: Option<PrincipalName>,
    /// What it lets its bearer do.
    pub scope: Scope,
    /// How long it is good.
    pub lifetime: Duration,
    /// What it is for.
    pub note: String,
}

/// A new token: this is the only time that it is seen.
#[derive(Debug)]
pub struct Made {
    /// The token itself.
    pub secret: Secret,
    /// What is known of it.
    pub token: ApiToken,
}

impl Control {
    /// Makes a token for the caller, or for a service. When this returns, that is recorded.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to a caller who came with a token of limited scope, or for a service
    /// to all but administrators; [`Error::NotFound`] if there is no such service.
    pub async fn make_token(
        self: &Arc<Self>,
        caller: &Caller,
        asked: MakeToken,
    ) -> Result<Made, Error> {
        unlimited(caller)?;
        if asked.lifetime.is_zero() || asked.lifetime > LONGEST {
            let problem = "a token is good for a second at least and 366 days at most".to_owned();
            return Err(Error::Invalid(problem));
        }
        let note = reason(&asked.note)?;
        if note.len() > NOTE {
            let problem = format!("a token's note has at most {NOTE} bytes");
            return Err(Error::Invalid(problem));
        }
        let (owner, kind) = self.future_owner(caller, asked.owner.as_ref()).await?;
        if self.principal(&owner).await?.is_none() {
            // It would be good as soon as there is only one of them.
            let problem = format!("{owner} is in the configuration and has an account");
            return Err(Error::Conflict(problem));
        }
        let secret = identity::generate(kind);
        let now = self.now();
        let token = ApiToken {
            id: TokenId::from_random(random_id()),
            owner,
            made_by: caller.name.clone(),
            origin: TokenOrigin::Made,
            note: note.to_owned(),
            scope: Some(asked.scope),
            mfa: false,
            created_at: now,
            expires_at: now.checked_add(asked.lifetime).unwrap_or(now),
            last_used_at: None,
            revoked_at: None,
        };
        let made = Made { secret, token };
        let control = Arc::clone(self);
        to_the_end(async move { control.keep_token(made).await }).await
    }

    /// The caller's tokens, or everybody's, for administrators, the newest first.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if somebody else asks for everybody's.
    pub async fn tokens(&self, caller: &Caller, all: bool) -> Result<Vec<ApiToken>, Error> {
        let window = Window::default();
        Ok(self.tokens_within(caller, all, &window).await?.items)
    }

    /// A part of them.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if somebody else asks for everybody's.
    pub async fn tokens_within(
        &self,
        caller: &Caller,
        all: bool,
        window: &Window,
    ) -> Result<Page<ApiToken>, Error> {
        if all {
            self.must_administer(caller)?;
        }
        let owner = (!all).then_some(&caller.name);
        let tokens = self.store.tokens(owner, &ajar(window)).await?;
        Ok(page(tokens, window))
    }

    /// Ends a token, which opens nothing from then on. Its owner may, and administrators.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none that the caller may see, [`Error::Conflict`] if it was
    /// revoked before.
    pub async fn revoke_token(
        self: &Arc<Self>,
        caller: &Caller,
        id: TokenId,
    ) -> Result<ApiToken, Error> {
        unlimited(caller)?;
        let token = self.store.token(id).await?;
        let token = token
            .filter(|token| token.owner == caller.name || self.must_administer(caller).is_ok())
            .ok_or(Error::NotFound("token"))?;
        if token.revoked_at.is_some() {
            return Err(Error::Conflict("the token was revoked before".to_owned()));
        }
        let by = caller.name.clone();
        let control = Arc::clone(self);
        to_the_end(async move { control.end_token(token, by).await }).await
    }

    /// Ends the token that somebody called with.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is one of the configuration.
    pub async fn sign_out(
        self: &Arc<Self>,
        caller: &Caller,
        token: &Secret,
    ) -> Result<ApiToken, Error> {
        let found = self.store.token_by_hash(identity::hash(token)).await?;
        let (token, _) = found.ok_or(Error::NotFound("token that can be revoked"))?;
        let by = caller.name.clone();
        let control = Arc::clone(self);
        to_the_end(async move { control.end_token(token, by).await }).await
    }

    pub(in super::super) fn must_administer(&self, caller: &Caller) -> Result<(), Error> {
        match self.may_overall(caller, Action::Administer) {
            true => Ok(()),
            false => Err(Error::Forbidden(
                "only administrators may say who there is".to_owned(),
            )),
        }
    }

    async fn future_owner(
        &self,
        caller: &Caller,
        owner: Option<&PrincipalName>,
    ) -> Result<(PrincipalName, Kind), Error> {
        let Some(owner) = owner.filter(|owner| **owner != caller.name) else {
            return Ok((caller.name.clone(), Kind::Person));
        };
        self.must_administer(caller)?;
        let account = self.store.account(owner.as_str()).await?;
        let account = account.filter(|account| account.disabled_at.is_none());
        match account {
            Some(account) if account.kind.is_person() => Err(Error::Forbidden(format!(
                "{} is a person: people make their own tokens",
                account.name
            ))),
            Some(account) => Ok((account.name, Kind::Service)),
            None => Err(Error::NotFound("service")),
        }
    }

    async fn keep_token(&self, made: Made) -> Result<Made, Error> {
        let token = &made.token;
        let created = Event::TokenCreated {
            token: token.id,
            principal: token.owner.clone(),
            by: token.made_by.clone(),
            scope: token.scope.clone(),
            expires_at: token.expires_at,
            note: token.note.clone(),
        };
        let new = NewToken {
            token: token.clone(),
            sha256: identity::hash(&made.secret),
        };
        let act = act(token.created_at, created);
        self.store.insert_token(&new, &act).await?;
        self.deliver().await?;
        Ok(made)
    }

    async fn end_token(&self, token: ApiToken, by: PrincipalName) -> Result<ApiToken, Error> {
        let now = self.now();
        let revoked = Event::TokenRevoked {
            token: token.id,
            principal: token.owner.clone(),
            by,
        };
        self.store
            .revoke_token(token.id, &act(now, revoked))
            .await?;
        self.follow_up().await;
        Ok(ApiToken {
            revoked_at: Some(now),
            ..token
        })
    }
}

/// What changes who one is, or lasts longer than the token that one came with, is for those who
/// signed in.
pub(in super::super) fn unlimited(caller: &Caller) -> Result<(), Error> {
    match &caller.scope {
        None => Ok(()),
        Some(_) => Err(Error::Forbidden(
            "your token may not do that: sign in with `hallpass login`".to_owned(),
        )),
    }
}
