//! What is known of one destination while it is served: where it is, how it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;

use super::failure::Failure;
use crate::clock::Clock;
use crate::telemetry::ShipMetrics;

/// One destination: written by the task that serves it, read by the monitor.
pub(super) struct Destination {
    /// As the configuration calls it.
    pub(super) name: String,
    /// Whether what it lacks counts towards `audit.local_limit`.
    pub(super) required: bool,
    /// Whether it takes segments, and so not the one that is being written.
    pub(super) by_segment: bool,
    pub(super) metrics: ShipMetrics,
    clock: Clock,
    /// The first record that it lacks, as far as one can tell.
    position: AtomicU64,
    /// The first record that may have to be sent yet, or again.
    needed: AtomicU64,
    /// When that was observed, in milliseconds of Unix time; 0: not known.
    oldest: AtomicI64,
}

impl Destination {
    /// A destination called `name`, of which nothing is known yet. `required`: what it lacks counts
    /// towards `audit.local_limit`.
    pub(super) fn new(name: &str, required: bool, metrics: ShipMetrics, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            required,
            by_segment: name == super::BUCKET,
            metrics,
            clock,
            position: AtomicU64::new(0),
            needed: AtomicU64::new(0),
            oldest: AtomicI64::new(0),
        })
    }

    /// The first record that it lacks.
    pub(super) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// It has everything before `position`.
    pub(super) fn at(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
    }

    /// The first record that must be kept here for it.
    pub(super) fn needed(&self) -> u64 {
        self.needed.load(Ordering::Relaxed)
    }

    /// It has everything before `sequence` for good.
    pub(super) fn has(&self, sequence: u64) {
        self.needed.store(sequence, Ordering::Relaxed);
    }

    /// The first record that it lacks was observed then.
    pub(super) fn oldest(&self, at: Option<Timestamp>) {
        let at = at.map_or(0, Timestamp::as_millisecond);
        self.oldest.store(at, Ordering::Relaxed);
    }

    /// How old that record is, in seconds.
    pub(super) fn age(&self) -> f64 {
        match self.oldest.load(Ordering::Relaxed) {
            0 => 0.0,
            oldest => (self.clock.now().as_millisecond() - oldest).max(0) as f64 / 1000.0,
        }
    }

    /// Something got there.
    pub(super) fn succeeded(&self) {
        let now = self.clock.now().as_millisecond();
        self.metrics.last_success.set(now as f64 / 1000.0);
    }

    /// Something did not get there.
    pub(super) fn failed(&self, failure: &Failure) {
        self.metrics.failed(failure.label());
        match failure {
            Failure::Conflict(_) | Failure::Log(_) => {
                tracing::error!(
                    destination = self.name,
                    "the audit is not shipped: {failure}"
                );
            }
            _ => tracing::warn!(
                destination = self.name,
                "the audit is not shipped: {failure}; it is tried again"
            ),
        }
    }
}
