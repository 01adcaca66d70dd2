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
    /// The first record of the segment that is open, or about to be made; 0: there is none.
    open: AtomicU64,
}

/// Which segments get no more records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Complete {
    written: u64,
    open: u64,
}

impl Complete {
    /// Whether the segment that begins with record `first` does. One without a record does not: it
    /// is taken again.
    pub(super) fn has(self, first: u64) -> bool {
        first < self.written && first != self.open
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            written: AtomicU64::new(0),
            needed: AtomicU64::new(u64::MAX),
            withheld: AtomicBool::new(false),
            open: AtomicU64::new(0),
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

    /// Says that the segment whose first record is `first` is written from now on: before it is
    /// made, so that nobody finds it and takes it for a complete one.
    pub(super) fn open_segment(&self, first: u64) {
        self.open.store(first, Ordering::Release);
    }

    /// Says that the segment that was open gets nothing more.
    pub(super) fn close_segment(&self) {
        self.open.store(0, Ordering::Release);
    }

    /// Which segments are complete, of those in a listing that was made before this is called.
    pub(super) fn complete(&self) -> Complete {
        // In this order: a segment that has a record was open before that was written.
        let written = self.written();
        let open = self.open.load(Ordering::Acquire);
        Complete { written, open }
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
