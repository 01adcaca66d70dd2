//! How long to wait before a failing destination is tried again: longer each time, never twice the
//! same, and without end.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The first wait.
const SHORTEST: Duration = Duration::from_millis(200);
/// The waits grow up to this, and jitter adds as much again at most.
const LONGEST: Duration = Duration::from_secs(30);

/// The waits of one destination.
#[derive(Debug)]
pub(super) struct Pace {
    waits: ExponentialBackoff,
}

impl Pace {
    /// As after a success.
    pub(super) fn new() -> Self {
        Self { waits: waits() }
    }

    /// It worked: the next failure waits shortly again.
    pub(super) fn reset(&mut self) {
        self.waits = waits();
    }

    /// How long to wait after one more failure.
    pub(super) fn wait(&mut self) -> Duration {
        self.waits.next().unwrap_or(LONGEST)
    }
}

fn waits() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(SHORTEST)
        .with_max_delay(LONGEST)
        .without_max_times()
        .with_jitter()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_without_end_and_begin_anew_after_a_success() {
        let mut pace = Pace::new();
        assert!(pace.wait() <= 2 * SHORTEST);
        let waits: Vec<Duration> = (0..1000).map(|_| pace.wait()).collect();
        assert!(waits[20..].iter().all(|wait| *wait >= LONGEST / 2));
        assert!(waits.iter().all(|wait| *wait <= 2 * LONGEST));
        pace.reset();
        assert!(pace.wait() <= 2 * SHORTEST);
    }
}
