//! The other hinge: a client that has no session asks for one by connecting.
//!
//! The data plane knows a [`Desk`] and nothing of what is behind it; who is asked, and who
//! decides, is the control plane's. What the desk says opens nothing: a session that is granted is
//! opened in [`Admission`](crate::admission::Admission), and the client is admitted there as any
//! other.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::access::{Caller, RequestId, TargetName};
use crate::secret::Secret;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What is to be reached.
    pub target: TargetName,
    /// Why.
    pub reason: String,
    /// For how long; `None`: an hour, or as long as the target allows.
    pub duration: Option<Duration>,
}

/// A request that is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its name.
    pub request: RequestId,
    /// For how long.
    pub duration: Duration,
    /// Why.
    pub reason: String,
    /// Whether it was filed before, by an earlier connection for one.
    pub again: bool,
    /// Who can decide on it now, principals and `@group`s; empty if that is not known.
    pub approvers: Vec<String>,
    /// Where it can be looked at and decided.
    pub link: Option<String>,
    /// When it lapses if nobody decides.
    pub lapses_at: Timestamp,
}

/// Why nothing can be asked for; may be shown to whom it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declined {
    /// One line.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The session is open.
    Granted {
        /// Who, or which policy, granted it.
        by: String,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// Somebody said no, or it was withdrawn, or nobody answered.
    Refused(Declined),
}

/// Where a client asks.
#[async_trait]
pub trait Desk: Send + Sync {
    /// Who calls themselves `name` and has this access token; nobody if either is wrong, or the
    /// token is not good for connecting.
    async fn identify(&self, name: &str, token: &Secret, address: IpAddr) -> Option<Caller>;

    /// Files a request, or finds the one that the caller has for the target already.
    ///
    /// # Errors
    /// [`Declined`], if it cannot be granted, ever.
    async fn ask(&self, caller: &Caller, ask: &Ask) -> Result<Asked, Declined>;

    /// Returns when it is decided and, if granted, open. May be dropped and called again.
    async fn decided(&self, request: RequestId) -> Verdict;
}
