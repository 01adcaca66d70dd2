//! Somebody shows what only an account's holder has. Whatever is wrong, the answer is the same and
//! takes the same time; the audit knows better.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::super::{Control, Error};
use super::failures::Failure;
use crate::access::{Account, AccountKind, PrincipalName, TokenOrigin};
use crate::identity::{Code, Totp};
use crate::secret::{Secret, constant_time_eq};
use crate::store::{Credentials, Factor, Proved};

/// The least time that a wrong answer takes: longer than a right one, as a rule, so that neither
/// what was wrong nor whether there is such an account shows in it.
const REFUSAL: Duration = Duration::from_millis(300);

/// What somebody shows.
pub(super) struct Shown<'a> {
    pub(super) name: &'a str,
    pub(super) password: &'a Secret,
    pub(super) code: Option<&'a str>,
    pub(super) address: Option<IpAddr>,
}

/// An account whose holder has proved that it is theirs. The proof counts when it is redeemed in
/// the store, once.
pub(super) struct Holder {
    pub(super) account: Account,
    pub(super) credentials: Credentials,
    pub(super) proved: Proved,
}

impl Control {
    /// Checks what somebody shows.
    ///
    /// # Errors
    /// [`Error::SignIn`] if anything is wrong with it, or with the account.
    pub(super) async fn prove(&self, shown: Shown<'_>) -> Result<Holder, Error> {
        let answer = Instant::now() + REFUSAL;
        match self.look_at(&shown).await? {
            Ok(holder) => Ok(holder),
            Err(failure) => Err(self.refuse(failure, shown.address, answer).await),
        }
    }

    /// Redeems a proof by `work`; it may have been used or undone since it was checked.
    pub(super) async fn redeem(
        &self,
        principal: &PrincipalName,
        address: Option<IpAddr>,
        work: impl Future<Output = Result<(), crate::store::StoreError>>,
    ) -> Result<(), Error> {
        let answer = Instant::now() + REFUSAL;
        match work.await {
            Err(crate::store::StoreError::Conflict(_)) => {
                let failure = failed(Some(principal), "the code is wrong or was used before");
                Err(self.refuse(failure, address, answer).await)
            }
            done => Ok(done?),
        }
    }

    /// Refuses somebody who came without a password of ours.
    pub(super) async fn refuse_now(&self, failure: Failure, address: Option<IpAddr>) -> Error {
        self.refuse(failure, address, Instant::now() + REFUSAL)
            .await
    }

    pub(super) async fn refuse(
        &self,
        failure: Failure,
        address: Option<IpAddr>,
        answer: Instant,
    ) -> Error {
        tracing::info!(reason = failure.reason, peer = ?address, "a sign-in failed");
        self.metrics.sign_in(failure.how.name(), false);
        if self.failures.count(address, self.now()) {
            let mut batch = self.recorder.batch();
            batch.push(&failure.event(address));
            if self.recorder.note(&batch).await.is_err() {
                tracing::error!("a failed sign-in could not be recorded");
            }
        }
        tokio::time::sleep_until(answer).await;
        Error::SignIn
    }

    /// Records how many guesses were too many to be recorded each for itself.
    pub(in super::super) async fn note_failures(&self, now: Timestamp) {
        let mut batch = self.recorder.batch();
        for event in self.failures.over(now) {
            batch.push(&event);
        }
        if self.recorder.note(&batch).await.is_err() {
            tracing::error!("failed sign-ins could not be recorded");
        }
    }

    async fn look_at(&self, shown: &Shown<'_>) -> Result<Result<Holder, Failure>, Error> {
        let now = self.now();
        let identity = self.identity.load_full();
        let configured = identity.directory.named(shown.name).is_some();
        let found = self.store.claim_guess(shown.name, now).await?;
        let found = found.filter(|(account, _)| account.kind == AccountKind::Local && !configured);
        let hash = found.as_ref().and_then(|(_, it)| it.password.clone());
        let password = shown.password.clone();
        let right = identity.passwords.check(password, hash.clone()).await;
        let (Some((account, credentials)), Some(password)) = (found, hash) else {
            return Ok(Err(failed(None, "there is no such account")));
        };
        if let Some(reason) = self.obstacle(&account, &credentials, right, now) {
            return Ok(Err(failed(Some(&account.name), reason)));
        }
        let Ok(factor) = self.factor(&account, &credentials, shown.code, now) else {
            return Ok(Err(failed(Some(&account.name), "the code is wrong")));
        };
        let proved = Proved {
            account: account.name.clone(),
            at: now,
            password,
            factor,
        };
        Ok(Ok(Holder {
            account,
            credentials,
            proved,
        }))
    }

    fn obstacle(
        &self,
        account: &Account,
        credentials: &Credentials,
        right: bool,
        now: Timestamp,
    ) -> Option<&'static str> {
        if account.locked_until.is_some_and(|until| now < until) {
            Some("the account is locked after too many guesses")
        } else if !right {
            Some("the password is wrong")
        } else if account.disabled_at.is_some() {
            Some("the account is disabled")
        } else if credentials.setup_until.is_some_and(|until| until <= now) {
            Some("the setup code is too old")
        } else {
            None
        }
    }

    /// The second factor that a code is, if the account has one.
    fn factor(
        &self,
        account: &Account,
        credentials: &Credentials,
        code: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Factor>, ()> {
        let Some(sealed) = &credentials.totp else {
            return Ok(None);
        };
        let code = code.ok_or(())?;
        let totp = self.unseal(account, sealed).ok_or(())?;
        Ok(Some(match totp.check(code, now) {
            Some(step) => Factor::Totp(step),
            None => Factor::Recovery(recovery_code(credentials, code).ok_or(())?),
        }))
    }

    pub(super) fn unseal(&self, account: &Account, sealed: &[u8]) -> Option<Totp> {
        let name = account.name.as_str();
        let secret = self.identity.load().sealing.open(name, sealed);
        let secret = secret
            .inspect_err(|error| tracing::error!(%error, principal = name, "no second factor"));
        Totp::from_secret(name, &secret.ok()?).ok()
    }
}

/// The recovery code that somebody typed, if it is one that is left.
fn recovery_code(credentials: &Credentials, typed: &str) -> Option<[u8; 32]> {
    let typed = Code::hash(typed);
    let known = credentials.recovery.iter();
    let found = known.fold(false, |found, it| constant_time_eq(it, &typed) | found);
    found.then_some(typed)
}

fn failed(principal: Option<&PrincipalName>, reason: &'static str) -> Failure {
    Failure {
        principal: principal.cloned(),
        how: TokenOrigin::Password,
        reason,
    }
}
