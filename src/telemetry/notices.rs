//! The metrics of notices, by channel.

use std::time::Duration;

use prometheus::{GaugeVec, IntCounterVec, Opts, Registry};

use super::metrics::{VALID, register};

/// What may come of a try.
const OUTCOMES: [&str; 3] = ["delivered", "failed", "given_up"];

/// The metrics of all channels.
pub(super) struct Notices {
    tries: IntCounterVec,
    oldest: GaugeVec,
}

/// The metrics of one channel.
pub struct NoticeMetrics<'a> {
    channel: &'a str,
    of: &'a Notices,
}

impl NoticeMetrics<'_> {
    /// Counts a notice that got there.
    pub fn delivered(&self) {
        self.count("delivered");
    }

    /// Counts a try that failed.
    pub fn failed(&self) {
        self.count("failed");
    }

    /// Counts a notice that is not tried again.
    pub fn given_up(&self) {
        self.count("given_up");
    }

    /// Says how old the oldest notice is that did not get there yet.
    pub fn oldest(&self, age: Duration) {
        let gauge = self.of.oldest.with_label_values(&[self.channel]);
        gauge.set(age.as_secs_f64());
    }

    fn count(&self, outcome: &str) {
        let labels = [self.channel, outcome];
        self.of.tries.with_label_values(&labels).inc();
    }
}

impl Notices {
    pub(super) fn new(r: &Registry) -> Self {
        Self {
            tries: register(
                r,
                IntCounterVec::new(
                    Opts::new(
                        "hallpass_notices_total",
                        "Tries to deliver a notice, by outcome: delivered, failed (and tried again) or given_up.",
                    ),
                    &["channel", "outcome"],
                )
                .expect(VALID),
            ),
            oldest: register(
                r,
                GaugeVec::new(
                    Opts::new(
                        "hallpass_notice_oldest_seconds",
                        "The age of the oldest notice that a channel has yet to deliver.",
                    ),
                    &["channel"],
                )
                .expect(VALID),
            ),
        }
    }

    /// The handles for one channel.
    pub(super) fn channel<'a>(&'a self, channel: &'a str) -> NoticeMetrics<'a> {
        // From the beginning, so that the first failure is an increase.
        for outcome in OUTCOMES {
            self.tries.with_label_values(&[channel, outcome]);
        }
        NoticeMetrics { channel, of: self }
    }
}
