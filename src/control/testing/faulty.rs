//! A store that fails when told so.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::access::{
    AccessRequest, Account, ApiToken, Delegation, Hold, PrincipalName, RequestId, Review, Session,
    SessionId, TokenId,
};
use crate::store::{
    AccountChange, Accounts, Act, Answer, Answers, Call, Change, Claim, Credentials, Delegations,
    Due, Filter, Letter, NewToken, Notices, Proved, Reviews, Sqlite, Store, StoreError, Tokens,
    Waiting, Window,
};

/// The embedded store, but it fails when told so.
pub(crate) struct Faulty {
    store: Sqlite,
    pub(crate) down: AtomicBool,
    /// Only changes fail.
    pub(crate) read_only: AtomicBool,
}

impl Faulty {
    pub(super) fn open(path: &Path) -> Self {
        Self {
            store: Sqlite::open(path).unwrap(),
            down: AtomicBool::new(false),
            read_only: AtomicBool::new(false),
        }
    }

    fn reads(&self) -> Result<&Sqlite, StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        Ok(&self.store)
    }

    fn writes(&self) -> Result<&Sqlite, StoreError> {
        if self.read_only.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        self.reads()
    }
}

#[async_trait]
impl Store for Faulty {
    async fn commit(&self, change: &Change) -> Result<(), StoreError> {
        self.writes()?.commit(change).await
    }

    async fn request(&self, id: RequestId) -> Result<Option<AccessRequest>, StoreError> {
        self.reads()?.request(id).await
    }

    async fn extensions(&self, session: SessionId) -> Result<u32, StoreError> {
        self.reads()?.extensions(session).await
    }

    async fn requests(&self, filter: &Filter) -> Result<Vec<AccessRequest>, StoreError> {
        self.reads()?.requests(filter).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.reads()?.session(id).await
    }

    async fn sessions(&self, filter: &Filter) -> Result<Vec<Session>, StoreError> {
        self.reads()?.sessions(filter).await
    }

    async fn place_hold(&self, hold: &Hold, act: &Act) -> Result<(), StoreError> {
        self.writes()?.place_hold(hold, act).await
    }

    async fn release_hold(&self, session: SessionId, act: &Act) -> Result<(), StoreError> {
        self.writes()?.release_hold(session, act).await
    }

    async fn holds(&self) -> Result<Vec<(Hold, Session)>, StoreError> {
        self.reads()?.holds().await
    }

    async fn due(&self, now: Timestamp) -> Result<Due, StoreError> {
        self.reads()?.due(now).await
    }

    async fn outbox(&self) -> Result<Vec<(i64, Act)>, StoreError> {
        self.reads()?.outbox().await
    }

    async fn outbox_done(&self, number: i64) -> Result<(), StoreError> {
        self.writes()?.outbox_done(number).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.reads()?.ping().await
    }
}

#[async_trait]
impl Accounts for Faulty {
    async fn insert_account(
        &self,
        account: &Account,
        credentials: &Credentials,
        act: &Act,
    ) -> Result<(), StoreError> {
        let store = self.writes()?;
        store.insert_account(account, credentials, act).await
    }

    async fn account(&self, name: &str) -> Result<Option<Account>, StoreError> {
        self.reads()?.account(name).await
    }

    async fn pending_totp(&self, name: &PrincipalName) -> Result<Option<Vec<u8>>, StoreError> {
        self.reads()?.pending_totp(name).await
    }

    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.reads()?.accounts().await
    }

    async fn claim_guess(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<(Account, Credentials)>, StoreError> {
        self.writes()?.claim_guess(name, now).await
    }

    async fn sign_in(
        &self,
        proved: &Proved,
        password: Option<&str>,
        token: &NewToken,
        act: &Act,
    ) -> Result<(), StoreError> {
        self.writes()?.sign_in(proved, password, token, act).await
    }

    async fn vouch(
        &self,
        account: &Account,
        token: &NewToken,
        act: &Act,
    ) -> Result<(), StoreError> {
        self.writes()?.vouch(account, token, act).await
    }

    async fn change_account(
        &self,
        name: &PrincipalName,
        proved: Option<&Proved>,
        change: &AccountChange,
        act: &Act,
    ) -> Result<(), StoreError> {
        let store = self.writes()?;
        store.change_account(name, proved, change, act).await
    }
}

#[async_trait]
impl Answers for Faulty {
    async fn claim_call(&self, call: &Call) -> Result<Claim, StoreError> {
        self.writes()?.claim_call(call).await
    }

    async fn answer_call(&self, key: [u8; 32], answer: &Answer) -> Result<(), StoreError> {
        self.writes()?.answer_call(key, answer).await
    }

    async fn forget_call(&self, key: [u8; 32]) -> Result<(), StoreError> {
        self.writes()?.forget_call(key).await
    }
}

#[async_trait]
impl Tokens for Faulty {
    async fn insert_token(&self, token: &NewToken, act: &Act) -> Result<(), StoreError> {
        self.writes()?.insert_token(token, act).await
    }

    async fn token_by_hash(
        &self,
        sha256: [u8; 32],
    ) -> Result<Option<(ApiToken, Option<Account>)>, StoreError> {
        self.reads()?.token_by_hash(sha256).await
    }

    async fn token(&self, id: TokenId) -> Result<Option<ApiToken>, StoreError> {
        self.reads()?.token(id).await
    }

    async fn tokens(
        &self,
        owner: Option<&PrincipalName>,
        window: &Window,
    ) -> Result<Vec<ApiToken>, StoreError> {
        self.reads()?.tokens(owner, window).await
    }

    async fn token_used(&self, id: TokenId, at: Timestamp) -> Result<(), StoreError> {
        self.writes()?.token_used(id, at).await
    }

    async fn revoke_token(&self, id: TokenId, act: &Act) -> Result<(), StoreError> {
        self.writes()?.revoke_token(id, act).await
    }
}

#[async_trait]
impl Notices for Faulty {
    async fn set_channels(&self, names: &[String]) -> Result<usize, StoreError> {
        self.writes()?.set_channels(names).await
    }

    async fn letters(&self, channel: &str, now: Timestamp) -> Result<Vec<Letter>, StoreError> {
        self.reads()?.letters(channel, now).await
    }

    async fn address_letter(&self, letter: i64, recipients: &[String]) -> Result<(), StoreError> {
        self.writes()?.address_letter(letter, recipients).await
    }

    async fn letter_done(&self, letter: i64, place: Option<&str>) -> Result<(), StoreError> {
        self.writes()?.letter_done(letter, place).await
    }

    async fn letter_dropped(&self, letter: i64) -> Result<(), StoreError> {
        self.writes()?.letter_dropped(letter).await
    }

    async fn put_off(&self, letter: i64, until: Timestamp, all: bool) -> Result<(), StoreError> {
        self.writes()?.put_off(letter, until, all).await
    }

    async fn hurry(&self, channel: &str, now: Timestamp) -> Result<(), StoreError> {
        self.writes()?.hurry(channel, now).await
    }

    async fn waiting(&self, channel: &str) -> Result<Waiting, StoreError> {
        self.reads()?.waiting(channel).await
    }
}

#[async_trait]
impl Reviews for Faulty {
    async fn review(&self, session: SessionId) -> Result<Option<Review>, StoreError> {
        self.reads()?.review(session).await
    }

    async fn reviews(&self, filter: &Filter) -> Result<Vec<Review>, StoreError> {
        self.reads()?.reviews(filter).await
    }
}

#[async_trait]
impl Delegations for Faulty {
    async fn delegate(&self, delegation: &Delegation, act: &Act) -> Result<(), StoreError> {
        self.writes()?.delegate(delegation, act).await
    }

    async fn end_delegation(
        &self,
        from: &PrincipalName,
        to: &PrincipalName,
        act: &Act,
    ) -> Result<(), StoreError> {
        self.writes()?.end_delegation(from, to, act).await
    }

    async fn delegations(
        &self,
        principal: &PrincipalName,
        now: Timestamp,
    ) -> Result<Vec<Delegation>, StoreError> {
        self.reads()?.delegations(principal, now).await
    }
}
