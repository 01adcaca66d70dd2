//! The only caller of the system's clocks.
//!
//! Two kinds of time live here. *Wall time* ([`Timestamp`]) is what people approve and what the
//! audit shows; somebody may set it. *Monotonic time* ([`tokio::time::Instant`]) only goes forward
//! and is what a running session is ended by. [`Clock::deadline`] turns the first into the second.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Where wall time comes from. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual: Option<Arc<Mutex<Timestamp>>>,
}

impl Clock {
    /// The system's wall clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still until [`Clock::set`] moves it; for tests.
    pub fn manual(start: Timestamp) -> Self {
        Self {
            manual: Some(Arc::new(Mutex::new(start))),
        }
    }

    /// Moves a manual clock; the system's clock is left alone.
    pub fn set(&self, to: Timestamp) {
        if let Some(manual) = &self.manual {
            *manual.lock() = to;
        }
    }

    /// Wall time, now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now(&self) -> Timestamp {
        match &self.manual {
            Some(manual) => *manual.lock(),
            None => Timestamp::now(),
        }
    }

    /// The monotonic instant at which `at` will have come, as seen now; `None` if it has passed.
    ///
    /// Whoever holds the result is not fooled by a wall clock that is set back later.
    pub fn deadline(&self, at: Timestamp) -> Option<Instant> {
        let left = until(self.now(), at)?;
        // Far beyond anything that can be approved, and safe to add to an `Instant`.
        const FAR: Duration = Duration::from_secs(400 * 24 * 3600);
        Some(Instant::now() + left.min(FAR))
    }
}

/// How long from `now` to `at`; `None` if `at` is not after `now`.
pub fn until(now: Timestamp, at: Timestamp) -> Option<Duration> {
    Duration::try_from(at.duration_since(now))
        .ok()
        .filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_has_passed_is_none() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        assert!(clock.deadline(Timestamp::UNIX_EPOCH).is_none());
        assert!(
            clock
                .deadline(Timestamp::from_second(-1).unwrap())
                .is_none()
        );
        assert!(clock.deadline(Timestamp::from_second(1).unwrap()).is_some());
    }
}
