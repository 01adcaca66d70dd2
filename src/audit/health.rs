//! How the writer does, for those who ask while it may be stuck.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::Flow;
use super::slot::Slots;
use super::standby::Standby;

/// How often the writer is looked at, and how long a write may take before it counts as stuck.
const PACE: Duration = Duration::from_millis(100);

/// How the writer does; it alone writes here.
pub(super) struct Health {
    failing: AtomicBool,
    /// Milliseconds after `epoch` at which the write that is under way began; 0: none is.
    writing_since: AtomicU64,
    epoch: Instant,
    /// How far it is.
    pub(super) flow: Arc<Flow>,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            failing: AtomicBool::new(false),
            writing_since: AtomicU64::new(0),
            epoch: Instant::now(),
            flow: Arc::new(Flow::default()),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether the last write worked, and none takes longer than `patience`.
    pub(super) fn is_good(&self, patience: Duration) -> bool {
        !self.is_stuck(patience) && !self.failing.load(Ordering::Relaxed)
    }

    fn is_stuck(&self, patience: Duration) -> bool {
        let since = self.writing_since.load(Ordering::Relaxed);
        since > 0 && u128::from(self.now().saturating_sub(since)) > patience.as_millis()
    }

    /// Whether a write is under way.
    fn is_writing(&self) -> bool {
        self.writing_since.load(Ordering::Relaxed) > 0
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

/// Starts a thread that has another worker of the runtime take over while a write is stuck, or
/// anything else that a worker does, and tells the connections that have waited for too long; until
/// `health` is gone.
///
/// A write that does not return holds up the worker thread that called it, and with it all that
/// this one would do: waiting for sockets and timers, too.
pub(super) fn watch(
    health: &Arc<Health>,
    (slots, patience): (Arc<Slots>, Duration),
    runtime: Handle,
) -> io::Result<()> {
    let health = Arc::downgrade(health);
    let standby = Standby::of(runtime);
    let thread = thread::Builder::new().name("audit-watch".into());
    thread.spawn(move || keep_going(&health, &slots, patience, standby))?;
    Ok(())
}

fn keep_going(
    health: &Weak<Health>,
    slots: &Slots,
    patience: Duration,
    mut standby: Option<Standby>,
) {
    while let Some(health) = health.upgrade() {
        if let Some(standby) = &mut standby {
            standby.look(health.is_stuck(PACE), Instant::now());
        }
        if health.is_writing() {
            slots.refuse_late(patience);
        }
        drop(health);
        thread::sleep(PACE);
    }
}
