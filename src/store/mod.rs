//! Durable state behind one interface: requests, sessions, and the acts the audit has yet to get.
//!
//! Every change of state is compare-and-set, and carries its audit event in the same transaction
//! (the *outbox*): what is committed cannot stay unrecorded, whenever the process dies.

mod accounts;
mod holds;
mod notices;
mod queries;
mod rows;
mod schema;
mod sqlite;
mod tokens;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::access::{
    AccessRequest, Hold, PrincipalName, RequestId, Session, SessionId, TargetName,
};
use crate::audit::Event;

pub use accounts::{Accounts, Change, Credentials, Factor, Proved};
pub use notices::{Letter, Notices, Waiting};
pub use sqlite::Sqlite;
pub use tokens::{NewToken, Tokens};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody was faster: the value is no longer in the state that the change starts from.
    #[error("it has changed meanwhile: it is {0}")]
    Conflict(String),
    /// The holder has a live session for the target already.
    #[error("{} already has a session for {} until {}", .0.principal, .0.target, .0.expires_at)]
    LiveSession(Box<Session>),
    /// What is to be changed is not there.
    #[error("it is not in the store")]
    Missing,
    /// The file is not one that hallpass may use.
    #[error("the store {}: {problem}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A row does not read back.
    #[error("the store holds a value that cannot be read: {0}")]
    Unreadable(String),
    /// The database engine, or the disk below it, fails.
    #[error("the store fails: {0}")]
    Engine(#[from] rusqlite::Error),
    /// The file system refuses.
    #[error("the store {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// The store's thread has ended.
    #[error("the store is closed")]
    Closed,
}

/// A change of state that the audit is owed: when, and what.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// When it was done.
    pub at: Timestamp,
    /// What was done.
    pub event: Event,
}

/// Whose requests and sessions a list shows.
#[derive(Debug, Clone)]
pub struct Visible {
    /// Those of this principal ...
    pub principal: PrincipalName,
    /// ... and those of everybody for these targets.
    pub targets: Vec<TargetName>,
}

/// What a list is to hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only what may still go on: pending requests, live sessions.
    pub open_only: bool,
    /// Only what this principal may see; `None`: everything.
    pub visible: Option<Visible>,
    /// At most so many, the newest first; `None`: all.
    pub limit: Option<u32>,
}

/// What time has ended, though nobody has noted it yet.
#[derive(Debug, Clone, Default)]
pub struct Due {
    /// Pending requests past their time to be decided.
    pub requests: Vec<AccessRequest>,
    /// Live sessions past their end.
    pub sessions: Vec<Session>,
    /// When the next will be due.
    pub next: Option<Timestamp>,
}

/// Durable state. Every method may be dropped while it runs: it then happens whole or not at all.
#[async_trait]
pub trait Store: Accounts + Notices + Tokens {
    /// Keeps a new request.
    async fn insert_request(&self, request: &AccessRequest, act: &Act) -> Result<(), StoreError>;

    /// The request with this id.
    async fn request(&self, id: RequestId) -> Result<Option<AccessRequest>, StoreError>;

    /// The requests that the filter lets through, the newest first.
    async fn requests(&self, filter: &Filter) -> Result<Vec<AccessRequest>, StoreError>;

    /// Replaces `old` by `new`, and keeps the session that it became, if any.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the request is no longer in `old`'s state;
    /// [`StoreError::LiveSession`] if the session would be the holder's second for its target.
    async fn transition_request(
        &self,
        old: &AccessRequest,
        new: &AccessRequest,
        session: Option<&Session>,
        act: &Act,
    ) -> Result<(), StoreError>;

    /// The session with this id.
    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// The sessions that the filter lets through, the newest first.
    async fn sessions(&self, filter: &Filter) -> Result<Vec<Session>, StoreError>;

    /// Replaces `old` by `new`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the session is no longer in `old`'s state.
    async fn transition_session(
        &self,
        old: &Session,
        new: &Session,
        act: &Act,
    ) -> Result<(), StoreError>;

    /// Keeps a hold.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there was never such a session; [`StoreError::Conflict`] if
    /// there is a hold on it already.
    async fn place_hold(&self, hold: &Hold, act: &Act) -> Result<(), StoreError>;

    /// Ends the hold on a session.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none.
    async fn release_hold(&self, session: SessionId, act: &Act) -> Result<(), StoreError>;

    /// All holds, the newest first, each with its session.
    async fn holds(&self) -> Result<Vec<(Hold, Session)>, StoreError>;

    /// What is due at `now`, and what comes next.
    async fn due(&self, now: Timestamp) -> Result<Due, StoreError>;

    /// Acts that the audit has yet to get, the oldest first (a bounded number), with their
    /// numbers, which only grow.
    async fn outbox(&self) -> Result<Vec<(i64, Act)>, StoreError>;

    /// The audit has this act.
    async fn outbox_done(&self, number: i64) -> Result<(), StoreError>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreError>;
}
