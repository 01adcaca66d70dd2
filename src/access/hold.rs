//! Holds: what says that a session's records stay.

use jiff::Timestamp;

use super::{PrincipalName, SessionId};

/// Somebody wants a session's records kept, however old they get. A session has at most one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The session, over or not.
    pub session: SessionId,
    /// Who says so.
    pub by: PrincipalName,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}
