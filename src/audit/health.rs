//! How the writer does, for those who ask while it may be stuck.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How the writer does; it alone writes here.
pub(super) struct Health {
    failing: AtomicBool,
    /// Milliseconds after `epoch` at which the write that is under way began; 0: none is.
    writing_since: AtomicU64,
    epoch: Instant,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            failing: AtomicBool::new(false),
            writing_since: AtomicU64::new(0),
            epoch: Instant::now(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether the last write worked, and none takes longer than `patience`.
    pub(super) fn is_good(&self, patience: Duration) -> bool {
        let since = self.writing_since.load(Ordering::Relaxed);
        let stuck =
            since > 0 && u128::from(self.now() - since.min(self.now())) > patience.as_millis();
        !stuck && !self.failing.load(Ordering::Relaxed)
    }

    /// A write begins.
    pub(super) fn begin(&self) {
        self.writing_since
            .store(self.now().max(1), Ordering::Relaxed);
    }

    /// It ended. Returns whether the one before had failed.
    pub(super) fn end(&self, failed: bool) -> bool {
        self.writing_since.store(0, Ordering::Relaxed);
        self.failing.swap(failed, Ordering::Relaxed)
    }
}
