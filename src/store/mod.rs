//! Durable state behind one interface: requests, sessions, and the acts the audit has yet to get.
//!
//! Every change of state is compare-and-set, and carries its audit event in the same transaction
//! (the *outbox*): what is committed cannot stay unrecorded, whenever the process dies.

mod accounts;
mod answers;
mod change;
mod delegations;
mod holds;
mod notices;
mod queries;
mod reviews;
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
    AccessRequest, Delegation, Hold, PrincipalName, RequestId, Review, Session, SessionId,
    SessionState, TargetName,
};
use crate::audit::Event;

pub use accounts::{AccountChange, Accounts, Credentials, Factor, Proved};
pub use answers::{Answer, Answers, Call, Claim};
pub use change::{Change, Write};
pub use notices::{Letter, Notices, Waiting};
pub use sqlite::Sqlite;
pub use tokens::{NewToken, Tokens};

/// How many requests of one principal may wait for a decision.
pub const MAX_PENDING: u32 = 20;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody was faster: the value is no longer in the state that the change starts from.
    #[error("it has changed meanwhile: it is {0}")]
    Conflict(String),
    /// The holder has a session for the target already, at that time.
    #[error("{} already has a session for {} {}", .0.principal, .0.target, time(.0))]
    LiveSession(Box<Session>),
    /// The requester has as many requests that wait as they may have.
    #[error("{0} has {MAX_PENDING} requests that wait for a decision already")]
    TooManyPending(PrincipalName),
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

fn time(session: &Session) -> String {
    let (start, end) = (session.starts_at, session.expires_at);
    match session.state {
        SessionState::Scheduled => format!("from {start} to {end}"),
        _ => format!("until {end}"),
    }
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
    /// Only what is this principal's; `None`: anybody's.
    pub principal: Option<PrincipalName>,
    /// Only what is for this target; `None`: for any.
    pub target: Option<TargetName>,
    /// Which part of the list.
    pub window: Window,
}

/// A part of a list, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Only what comes behind this.
    pub after: Option<Place>,
    /// At most so many; `None`: all.
    pub limit: Option<u32>,
}

/// A place in a list: that of one item. Items that come to be later do not move it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The time that the list is in the order of, in microseconds since 1970.
    pub at: i64,
    /// The item's id.
    pub id: String,
}

/// What time has ended, though nobody has noted it yet.
#[derive(Debug, Clone, Default)]
pub struct Due {
    /// Pending requests past their time to be decided.
    pub requests: Vec<AccessRequest>,
    /// Live sessions past their end.
    pub sessions: Vec<Session>,
    /// Sessions that wait, and whose start has come.
    pub starts: Vec<Session>,
    /// Pending requests whose stage escalates.
    pub escalations: Vec<AccessRequest>,
    /// When the next will be due.
    pub next: Option<Timestamp>,
}

/// Durable state. Every method may be dropped while it runs: it then happens whole or not at all.
#[async_trait]
pub trait Store: Accounts + Answers + Delegations + Notices + Reviews + Tokens {
    /// Keeps a change, all of it or nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if a value is no longer in the version that the change starts
    /// from; [`StoreError::LiveSession`] if a session would be active, or a new or longer one go on,
    /// beside another of the holder's for its target, except that a broken glass may overlap what
    /// is scheduled; [`StoreError::TooManyPending`] if a new request would be one too many.
    async fn commit(&self, change: &Change) -> Result<(), StoreError>;

    /// The request with this id.
    async fn request(&self, id: RequestId) -> Result<Option<AccessRequest>, StoreError>;

    /// The requests that the filter lets through, the newest first.
    async fn requests(&self, filter: &Filter) -> Result<Vec<AccessRequest>, StoreError>;

    /// The session with this id.
    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError>;

    /// The sessions that the filter lets through, the newest first.
    async fn sessions(&self, filter: &Filter) -> Result<Vec<Session>, StoreError>;

    /// How often a session has been extended.
    async fn extensions(&self, session: SessionId) -> Result<u32, StoreError>;

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

/// Reviews of what was done when the glass was broken; they come to be by [`Store::commit`].
#[async_trait]
pub trait Reviews {
    /// The review of this session.
    async fn review(&self, session: SessionId) -> Result<Option<Review>, StoreError>;

    /// The reviews that the filter lets through, the newest first.
    async fn reviews(&self, filter: &Filter) -> Result<Vec<Review>, StoreError>;
}

/// Who decides by another's powers.
#[async_trait]
pub trait Delegations {
    /// Keeps a delegation, in the place of an older one between the same two.
    async fn delegate(&self, delegation: &Delegation, act: &Act) -> Result<(), StoreError>;

    /// Ends the delegation between two.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none.
    async fn end_delegation(
        &self,
        from: &PrincipalName,
        to: &PrincipalName,
        act: &Act,
    ) -> Result<(), StoreError>;

    /// The delegations from and to `principal` that hold at `now`, the next to end first.
    async fn delegations(
        &self,
        principal: &PrincipalName,
        now: Timestamp,
    ) -> Result<Vec<Delegation>, StoreError>;
}
