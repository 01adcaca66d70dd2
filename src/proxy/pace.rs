//! What is due on a connection although nothing comes.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::pg::Notice;

/// When something is due although nothing comes.
pub(super) struct Pace {
    pub(super) timer: Pin<Box<Sleep>>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) active_at: Instant,
    /// What is to be said when, the next one last.
    pub(super) notices: Vec<(Instant, Notice)>,
}

impl Pace {
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.idle_timeout
            .is_some_and(|timeout| now.saturating_duration_since(self.active_at) >= timeout)
    }

    /// Sets the timer to what is due next.
    pub(super) fn set(&mut self) {
        const FAR: Duration = Duration::from_secs(24 * 3600);
        let idle = self.idle_timeout.map(|timeout| self.active_at + timeout);
        let notice = self.notices.last().map(|(at, _)| *at);
        let next = idle.into_iter().chain(notice).min();
        self.timer
            .as_mut()
            .reset(next.unwrap_or_else(|| Instant::now() + FAR));
    }
}
