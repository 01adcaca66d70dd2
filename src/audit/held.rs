//! The sessions whose records are not to be deleted.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

use crate::access::{RequestId, SessionId};

/// The sessions whose records are not to be deleted. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Held(Arc<Mutex<HashMap<SessionId, Asked>>>);

/// The request that a session came from: its record does not name the session, and belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The request.
    pub request: RequestId,
    /// When it was submitted.
    pub at: Timestamp,
}

impl Held {
    /// The sessions. While they are locked nothing is deleted, and what is deleted locks them: when
    /// a session is among them, its records stay.
    pub async fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Asked>> {
        self.0.lock().await
    }
}
