//! When all that was recorded is signed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Event, Head, Settings, SigningKey};

/// When checkpoints are due.
pub(super) struct Checkpoints {
    key: Arc<SigningKey>,
    records: u64,
    interval: Duration,
    /// Records behind the last checkpoint.
    unsigned: u64,
    /// When the first of them was written.
    since: Instant,
    demanded: bool,
}

impl Checkpoints {
    /// As the settings say; nothing is unsigned yet.
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            key: Arc::clone(&settings.key),
            records: settings.checkpoint_records,
            interval: settings.checkpoint_interval,
            unsigned: 0,
            since: Instant::now(),
            demanded: false,
        }
    }

    /// The next write ends in one.
    pub(super) fn demand(&mut self) {
        self.demanded = true;
    }

    /// When one is due although nothing more is recorded.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.unsigned > 0).then(|| self.since + self.interval)
    }

    /// Whether one is due with `more` records, which close the segment or not.
    pub(super) fn is_due(&self, more: u64, closing: bool) -> bool {
        let unsigned = self.unsigned + more;
        let late = self.due().is_some_and(|due| Instant::now() >= due);
        unsigned > 0 && (closing || self.demanded || late || unsigned >= self.records)
    }

    /// The checkpoint that follows `head`.
    pub(super) fn sign(&self, head: Head, at: Timestamp) -> Event {
        Event::Checkpoint {
            key: self.key.public(),
            signature: self.key.sign(head.seq + 1, &head.hash, at),
        }
    }

    /// So many records were written, the last of them a checkpoint or not.
    pub(super) fn written(&mut self, records: u64, signed: bool) {
        if signed {
            self.unsigned = 0;
            return;
        }
        if self.unsigned == 0 {
            self.since = Instant::now();
        }
        self.unsigned += records;
    }
}
