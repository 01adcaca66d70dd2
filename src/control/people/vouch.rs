//! A person signs in with an OpenID provider. hallpass asks it and verifies what it says; whoever
//! signs in carries no more than an address there and a code back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::super::reexamine::hallpass;
use super::super::{Control, Error, act, to_the_end};
use super::failures::Failure;
use super::flows::Flow;
use super::sign_in::signed_in;
use super::tokens::Made;
use crate::access::{Account, AccountKind, PrincipalName, TokenOrigin};
use crate::identity::{Oidc, OidcError, Vouched};
use crate::secret::Secret;
use crate::store::{NewToken, StoreError};

/// A sign-in that has begun.
#[derive(Debug)]
pub struct Begun {
    /// What whoever began ends it with.
    pub flow: Secret,
    /// Where a browser is to go.
    pub address: String,
    /// The same with the code in it, on another device.
    pub whole_address: Option<String>,
    /// What to type there, on another device.
    pub code: Option<String>,
    /// How long there is.
    pub good: Duration,
}

impl Control {
    /// Begins a sign-in whose browser comes back to `redirect`, an address of this very machine.
    /// Whoever begins it calls from `address`, where older ones may have to make room for it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is another's; [`Error::Provider`] if the provider does not answer.
    pub async fn begin_browser(
        &self,
        redirect: &str,
        address: Option<IpAddr>,
    ) -> Result<Begun, Error> {
        if !is_loopback(redirect) {
            let problem = "the browser comes back to this machine: http://127.0.0.1:PORT/.. or http://[::1]:PORT/..";
            return Err(Error::Invalid(problem.to_owned()));
        }
        self.begin_at(redirect, address).await
    }

    /// Begins a sign-in whose browser comes back to a page of ours, for somebody at
    /// `address`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the configuration does not say where people reach us;
    /// [`Error::Provider`] if the provider does not answer.
    pub async fn begin_here(&self, path: &str, address: Option<IpAddr>) -> Result<Begun, Error> {
        let base = self.link_base().ok_or_else(|| {
            let problem =
                "the configuration does not say where people reach hallpass: notify.link_base";
            Error::Invalid(problem.to_owned())
        })?;
        self.begin_at(&format!("{base}{path}"), address).await
    }

    /// Whether people may sign in with a provider in a browser that comes back to a page of ours.
    pub fn has_provider(&self) -> bool {
        self.identity.load().oidc.is_some() && self.link_base().is_some()
    }

    async fn begin_at(&self, redirect: &str, address: Option<IpAddr>) -> Result<Begun, Error> {
        let oidc = self.oidc()?;
        let place = self.flows.place(address);
        let begun = oidc.begin_browser(redirect).await;
        let begun = begun.map_err(|error| unanswered(&error))?;
        let there = begun.address.clone();
        let flow = place.keep(|| Flow::Browser(Box::new(begun)));
        Ok(Begun {
            flow: flow.ok_or_else(too_many)?,
            address: there,
            whole_address: None,
            code: None,
            good: Duration::from_secs(600),
        })
    }

    /// Begins a sign-in on another device, for somebody at `address`.
    ///
    /// # Errors
    /// [`Error::NoDeviceFlow`]; [`Error::Provider`] if the provider does not answer.
    pub async fn begin_device(&self, address: Option<IpAddr>) -> Result<Begun, Error> {
        let oidc = self.oidc()?;
        let place = self.flows.place(address);
        let device = oidc.begin_device().await.map_err(|error| match error {
            OidcError::NoDeviceFlow => Error::NoDeviceFlow,
            error => unanswered(&error),
        })?;
        let (there, whole_address) = (device.address.clone(), device.whole_address.clone());
        let (code, good) = (device.code.clone(), device.good);
        let flow = place.keep(|| {
            let awaited = tokio::spawn(async move { oidc.finish_device(&device).await });
            let awaited = Some(AbortOnDropHandle::new(awaited));
            Flow::Device(Arc::new(tokio::sync::Mutex::new(awaited)))
        });
        Ok(Begun {
            flow: flow.ok_or_else(too_many)?,
            address: there,
            whole_address,
            code: Some(code),
            good,
        })
    }

    /// Ends a sign-in with what the browser came back with.
    ///
    /// # Errors
    /// [`Error::SignIn`] whatever is wrong.
    pub async fn finish_browser(
        self: &Arc<Self>,
        flow: &Secret,
        state: &str,
        code: &str,
        address: Option<IpAddr>,
    ) -> Result<Made, Error> {
        let begun = match self.flows.take_browser(flow, state) {
            Ok(begun) => begun,
            Err(reason) => return Err(self.not_vouched(None, reason, address).await),
        };
        let vouched = self.oidc()?.finish_browser(*begun, code).await;
        self.take(vouched, address).await
    }

    /// Ends a sign-in on another device, if somebody agrees there within `wait`; `None` if not yet.
    ///
    /// # Errors
    /// [`Error::SignIn`] whatever is wrong.
    pub async fn finish_device(
        self: &Arc<Self>,
        flow: &Secret,
        wait: Duration,
        address: Option<IpAddr>,
    ) -> Result<Option<Made>, Error> {
        let Some(awaited) = self.flows.device(flow) else {
            return Err(self.not_vouched(None, "it was not begun", address).await);
        };
        let mut awaited = awaited.lock().await;
        let Some(task) = awaited.as_mut() else {
            return Err(self.not_vouched(None, "it has ended", address).await);
        };
        let Ok(vouched) = tokio::time::timeout(wait, task).await else {
            return Ok(None);
        };
        *awaited = None;
        self.flows.forget(flow);
        let vouched = vouched.map_err(|_| Error::Interrupted)?;
        self.take(vouched, address).await.map(Some)
    }

    fn oidc(&self) -> Result<Arc<Oidc>, Error> {
        let oidc = self.identity.load().oidc.clone();
        oidc.ok_or(Error::NotFound("OpenID provider in the configuration"))
    }

    /// Gives whom the provider vouches for a token.
    async fn take(
        self: &Arc<Self>,
        vouched: Result<Vouched, OidcError>,
        address: Option<IpAddr>,
    ) -> Result<Made, Error> {
        let vouched = match vouched {
            Ok(vouched) => vouched,
            Err(error) => {
                tracing::warn!(%error, "the OpenID provider vouches for nobody");
                let reason = match error {
                    OidcError::Refused(_) => "the provider's token is refused",
                    OidcError::Claims(_) => "the provider's claims do not say who it is",
                    _ => "the provider did not vouch for anybody",
                };
                return Err(self.not_vouched(None, reason, address).await);
            }
        };
        let Ok(name) = vouched.name.parse::<PrincipalName>() else {
            let reason = "the provider's name for them is no principal's";
            return Err(self.not_vouched(None, reason, address).await);
        };
        let now = self.now();
        let account = Account {
            email: vouched.email,
            subject: Some(vouched.subject),
            seen_at: Some(now),
            ..Account::new(name, groups(vouched.groups), AccountKind::Oidc, now)
        };
        let (made, new) = self.login_token(&account, TokenOrigin::Oidc, vouched.mfa);
        let control = Arc::clone(self);
        to_the_end(async move {
            control.keep_vouched(account, &new, address).await?;
            Ok(made)
        })
        .await
    }

    /// Keeps what a provider said of somebody, and the token that they get for it.
    pub(super) async fn keep_vouched(
        self: &Arc<Self>,
        account: Account,
        new: &NewToken,
        address: Option<IpAddr>,
    ) -> Result<(), Error> {
        let (name, how) = (account.name.clone(), new.token.origin);
        let before = self.store.account(name.as_str()).await?;
        let event = signed_in(&new.token, None, address);
        let act = act(new.token.created_at, event);
        let kept = match self.must_be_free(&name) {
            Ok(()) => self.store.vouch(&account, new, &act).await,
            Err(_) => Err(StoreError::Conflict("in the configuration".to_owned())),
        };
        if let Err(StoreError::Conflict(_)) = kept {
            let obstacle = Obstacle::of(&account, before.as_ref());
            let failure = Failure {
                principal: Some(name.clone()),
                how,
                reason: obstacle.recorded(),
            };
            tracing::warn!(principal = %name, reason = failure.reason, "a provider vouches for somebody who cannot sign in");
            let refused = self.refuse_now(failure, address).await;
            return Err(obstacle.told(&name).map_or(refused, Error::Forbidden));
        }
        kept?;
        if before
            .as_ref()
            .is_none_or(|before| before.subject.is_none())
        {
            self.pass_on(&name, &hallpass()).await?;
        }
        self.look_around().await?;
        self.deliver().await?;
        self.metrics.sign_in(how.name(), true);
        tracing::info!(principal = %name, mfa = new.token.mfa, how = how.name(), "signed in");
        if before.is_some_and(|before| before.groups != account.groups) {
            self.review_sessions(Some(&name)).await?;
        }
        Ok(())
    }

    async fn not_vouched(
        &self,
        principal: Option<PrincipalName>,
        reason: &'static str,
        address: Option<IpAddr>,
    ) -> Error {
        let failure = Failure {
            principal,
            how: TokenOrigin::Oidc,
            reason,
        };
        self.refuse_now(failure, address).await
    }
}

/// Why somebody cannot sign in for whom a provider vouches.
#[derive(Clone, Copy)]
enum Obstacle {
    Configured,
    OtherKind,
    OtherSubject,
    Disabled,
}

impl Obstacle {
    /// What is in the way of `account`, which was `before`.
    fn of(account: &Account, before: Option<&Account>) -> Self {
        match before {
            None => Self::Configured,
            Some(before) if before.kind != account.kind => Self::OtherKind,
            Some(before) if before.disabled_at.is_some() => Self::Disabled,
            Some(before) if before.subject != account.subject => Self::OtherSubject,
            Some(_) => Self::Configured,
        }
    }

    fn recorded(self) -> &'static str {
        match self {
            Self::Configured => "the name is a principal's of the configuration",
            Self::OtherKind => "the name is an account's that the provider does not vouch for",
            Self::OtherSubject => "the name is bound to another issuer and subject",
            Self::Disabled => "the account is disabled",
        }
    }

    /// What to say to them: who they are to the provider, they have proved.
    fn told(self, name: &PrincipalName) -> Option<String> {
        let what_to_do = match self {
            Self::Disabled => return None,
            Self::Configured => "takes [principals.NAME] out of the configuration",
            Self::OtherKind => "has the provider call you something else, or sets `name_claim`",
            Self::OtherSubject => "lets go of it with `hallpass user reset NAME`",
        };
        let what_to_do = what_to_do.replace("NAME", name.as_str());
        Some(format!(
            "the provider calls you {name}, which is somebody else's name here: if it is to be yours, an administrator {what_to_do}"
        ))
    }
}

/// The groups that can be groups here, each once, in order.
fn groups(theirs: Vec<String>) -> Vec<String> {
    let named = |group: &String| group.parse::<PrincipalName>().is_ok();
    let mut groups: Vec<String> = theirs.into_iter().filter(named).take(200).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// RFC 8252, section 7.3: a literal address of this machine, any port.
fn is_loopback(redirect: &str) -> bool {
    let rest = redirect
        .strip_prefix("http://127.0.0.1:")
        .or_else(|| redirect.strip_prefix("http://[::1]:"));
    let Some(rest) = rest else { return false };
    let (port, path) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '/' || c == '-';
    port.parse::<u16>().is_ok_and(|port| port != 0) && path.chars().all(plain)
}

fn unanswered(error: &OidcError) -> Error {
    tracing::warn!(%error, "the OpenID provider cannot be asked");
    Error::Provider
}

fn too_many() -> Error {
    Error::Conflict(
        "too many sign-ins have begun from there: try again in a few minutes".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_comes_back_to_this_machine_and_to_no_other() {
        for fine in [
            "http://127.0.0.1:49152/callback",
            "http://[::1]:1/",
            "http://127.0.0.1:80",
        ] {
            assert!(is_loopback(fine), "{fine}");
        }
        for wrong in [
            "https://evil.example.com/",
            "http://127.0.0.1.evil.example.com/",
            "http://127.0.0.1:80@evil.example.com/",
            "http://127.0.0.1:0/",
            "http://localhost:80/",
            "http://127.0.0.1:80/?x=1",
            "http://[::1]:99999/",
        ] {
            assert!(!is_loopback(wrong), "{wrong}");
        }
    }

    #[test]
    fn groups_that_have_no_name_here_are_left_out() {
        let theirs = ["leads", "/engineers", "leads", "a b", "on-call"];
        let theirs = theirs.map(str::to_owned).to_vec();
        assert_eq!(groups(theirs), ["leads", "on-call"]);
    }
}
