//! A person signs in with a password, and a code if their account asks for one.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::{Control, Error, act, random_id, to_the_end};
use super::prove::{Holder, Shown};
use super::tokens::Made;
use crate::access::{Account, ApiToken, TokenId, TokenOrigin};
use crate::audit::Event;
use crate::identity::{self, Kind};
use crate::secret::Secret;
use crate::store::{Factor, NewToken};

/// What somebody gives who would sign in.
pub struct SignIn {
    /// The account's name.
    pub name: String,
    /// Its password, or the code that it was set up with.
    pub password: Secret,
    /// A code of the second factor, or a recovery code.
    pub code: Option<String>,
    /// The password from now on, where `password` is one that somebody else knows.
    pub new_password: Option<Secret>,
}

impl Control {
    /// Gives somebody a token who proves that an account is theirs. When this returns, that is
    /// recorded.
    ///
    /// # Errors
    /// [`Error::SignIn`] whatever is wrong; [`Error::PasswordNeeded`] if all is right, but somebody
    /// else knows the password; [`Error::Invalid`] if the new one will not do.
    pub async fn sign_in(
        self: &Arc<Self>,
        asked: SignIn,
        address: Option<IpAddr>,
    ) -> Result<Made, Error> {
        let holder = self
            .prove(Shown {
                name: &asked.name,
                password: &asked.password,
                code: asked.code.as_deref(),
                address,
            })
            .await?;
        let password = self.first_password(&holder, asked.new_password).await?;
        let control = Arc::clone(self);
        to_the_end(async move { control.give(holder, password, address).await }).await
    }

    async fn first_password(
        &self,
        holder: &Holder,
        new: Option<Secret>,
    ) -> Result<Option<String>, Error> {
        match (holder.credentials.setup_until, new) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Error::Invalid(
                "the account has a password: `hallpass user passwd` changes it".to_owned(),
            )),
            (Some(_), None) => Err(Error::PasswordNeeded),
            (Some(_), Some(new)) => {
                let name = &holder.account.name;
                self.fit_password(name.as_str(), new).await.map(Some)
            }
        }
    }

    async fn give(
        &self,
        holder: Holder,
        password: Option<String>,
        address: Option<IpAddr>,
    ) -> Result<Made, Error> {
        let factor = holder.proved.factor;
        let (made, new) =
            self.login_token(&holder.account, TokenOrigin::Password, factor.is_some());
        let event = signed_in(&new.token, factor, address);
        let act = act(new.token.created_at, event);
        let signing_in = self
            .store
            .sign_in(&holder.proved, password.as_deref(), &new, &act);
        self.redeem(&holder.account.name, address, signing_in)
            .await?;
        self.deliver().await?;
        self.metrics.sign_in(made.token.origin.name(), true);
        tracing::info!(principal = %made.token.owner, mfa = made.token.mfa, "signed in");
        Ok(made)
    }

    /// A token for the holder of an account; it is kept by whoever asked for it.
    pub(super) fn login_token(
        &self,
        account: &Account,
        origin: TokenOrigin,
        mfa: bool,
    ) -> (Made, NewToken) {
        let secret = identity::generate(Kind::Person);
        let now = self.now();
        let lifetime = self.identity.load().login_lifetime;
        let token = ApiToken {
            id: TokenId::from_random(random_id()),
            owner: account.name.clone(),
            made_by: account.name.clone(),
            origin,
            note: "a sign-in".to_owned(),
            scope: None,
            mfa,
            created_at: now,
            expires_at: now.checked_add(lifetime).unwrap_or(now),
            last_used_at: None,
            revoked_at: None,
        };
        let new = NewToken {
            token: token.clone(),
            sha256: identity::hash(&secret),
        };
        (Made { secret, token }, new)
    }
}

pub(super) fn signed_in(
    token: &ApiToken,
    factor: Option<Factor>,
    address: Option<IpAddr>,
) -> Event {
    Event::SignedIn {
        principal: token.owner.clone(),
        token: token.id,
        how: token.origin,
        mfa: token.mfa,
        recovery: matches!(factor, Some(Factor::Recovery(_))),
        peer: address.map(|it| it.to_string()),
    }
}
