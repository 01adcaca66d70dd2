//! The sessions whose records are not to be deleted.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

use crate::access::SessionId;

/// The sessions whose records are not to be deleted, and when each was asked for: its story begins
/// with that. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Held(Arc<Mutex<HashMap<SessionId, Timestamp>>>);

impl Held {
    /// The sessions. While they are locked nothing is deleted, and what is deleted locks them: when
    /// a session is among them, its records stay.
    pub async fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Timestamp>> {
        self.0.lock().await
    }
}
