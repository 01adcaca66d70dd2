//! Facts nobody waits for, that could not be written yet: outcomes of what has happened already.

use std::collections::VecDeque;

use super::Batch;

/// Bytes that are kept while the disk fails.
const MOST: usize = 64 * 1024 * 1024;

/// What is owed to the log, the oldest first.
#[derive(Default)]
pub(super) struct Backlog {
    batches: VecDeque<Batch>,
    bytes: usize,
}

impl Backlog {
    /// Whether nothing is owed.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Keeps a batch until it can be written.
    pub(super) fn keep(&mut self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        if self.bytes > 0 && self.bytes + batch.len() > MOST {
            tracing::error!(
                records = batch.records(),
                "outcomes are lost: the audit log has failed for too long"
            );
            return;
        }
        self.bytes += batch.len();
        self.batches.push_back(batch);
    }

    /// How many of the oldest have so many bytes together, about: at least one, if there is one.
    pub(super) fn bite(&self, bytes: usize) -> usize {
        let mut gathered = 0;
        let begins_within = |batch: &&Batch| {
            let within = gathered < bytes;
            gathered += batch.len();
            within
        };
        self.batches.iter().take_while(begins_within).count()
    }

    /// So many of the oldest.
    pub(super) fn first(&self, count: usize) -> impl Iterator<Item = &Batch> {
        self.batches.iter().take(count)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.batches.len()
    }

    /// So many of the oldest are written.
    pub(super) fn forget(&mut self, count: usize) {
        for batch in self.batches.drain(..count) {
            self.bytes -= batch.len();
        }
    }
}
