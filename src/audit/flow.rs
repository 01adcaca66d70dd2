//! How far the log is, and whether it may go on: what the writer tells those who ship its records,
//! and what they tell it and retention.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared by the recorder, shipping and retention; reading it costs an atomic load.
#[derive(Debug)]
pub struct Flow {
    /// The sequence of the next record; all before it are durable as configured.
    written: AtomicU64,
    /// The first record that a destination still lacks.
    needed: AtomicU64,
    withheld: AtomicBool,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            written: AtomicU64::new(0),
            needed: AtomicU64::new(u64::MAX),
            withheld: AtomicBool::new(false),
        }
    }
}

impl Flow {
    /// The sequence of the next record. What is in the files from there on may still be taken back.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Says that every record before `next` is durable.
    pub fn advance(&self, next: u64) {
        self.written.store(next, Ordering::Release);
    }

    /// The first record that a destination still lacks: retention keeps it and all after it.
    /// [`u64::MAX`] where nothing is shipped.
    pub fn needed(&self) -> u64 {
        self.needed.load(Ordering::Relaxed)
    }

    /// Says which record a destination still lacks.
    pub fn need(&self, sequence: u64) {
        self.needed.store(sequence, Ordering::Relaxed);
    }

    /// Whether new records are refused, because too many exist on this machine only.
    pub fn is_withheld(&self) -> bool {
        self.withheld.load(Ordering::Relaxed)
    }

    /// Refuses new records, or takes them again; whether that is news.
    pub fn withhold(&self, withhold: bool) -> bool {
        self.withheld.swap(withhold, Ordering::Relaxed) != withhold
    }
}
