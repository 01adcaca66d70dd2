//! What is sent again when no answer came, and when.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use reqwest::{Method, Request, StatusCode};

use super::super::error::CliError;
use super::super::out;
use crate::http::types::{KEY_IN_USE, KEY_USED};

/// The header by which the server knows a call that it has had before.
pub(super) const KEY: &str = "Idempotency-Key";
/// After this it is said that it is being tried again.
const LONG: Duration = Duration::from_secs(1);

/// How patiently calls are sent again.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Patience {
    waits: ExponentialBuilder,
    /// Whether it is said on standard error when it takes long.
    says: bool,
    /// Whether an answer that does not come in time is no answer, too: one's machine slept, say.
    late: bool,
}

impl Patience {
    /// As long as a proxy in front, or a server that restarts, may take.
    pub(super) const SOME: Self = Self {
        waits: ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(200))
            .with_factor(3.0)
            .with_max_times(3),
        says: true,
        late: false,
    };
    /// Nothing is sent again.
    pub(super) const NONE: Self = Self {
        waits: ExponentialBuilder::new().with_max_times(0),
        says: false,
        late: false,
    };
    /// Half a minute without a word: for who waits for people anyway, and shows that.
    pub(super) const LONG: Self = Self {
        waits: ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(500))
            .with_max_delay(Duration::from_secs(3))
            .with_max_times(12),
        says: false,
        late: true,
    };
    /// Three times, at once.
    #[cfg(test)]
    pub(super) const TEST: Self = Self {
        waits: ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(1))
            .with_max_times(3),
        says: false,
        late: false,
    };
}

/// Why there is no good answer.
pub(super) struct Failed {
    pub(super) error: CliError,
    /// What was answered, if anything.
    pub(super) status: Option<StatusCode>,
    /// Whether the server was never reached.
    pub(super) unsent: bool,
}

/// The tries of one call.
pub(super) struct Tries {
    waits: ExponentialBackoff,
    /// Whether it does no harm if the server gets it twice.
    harmless: bool,
    /// Whether the server remembers it by a key.
    keyed: bool,
    waited: Duration,
    patience: Patience,
}

impl Tries {
    pub(super) fn of(request: &Request, patience: Patience) -> Self {
        let keyed = request.headers().contains_key(KEY);
        Self {
            waits: patience.waits.build(),
            harmless: keyed || request.method() == Method::GET,
            keyed,
            waited: Duration::ZERO,
            patience,
        }
    }

    /// How long to wait before it is sent again; `None` if it is not.
    pub(super) fn after(&mut self, failed: &Failed) -> Option<Duration> {
        if !self.is_worth_it(failed) {
            return None;
        }
        let wait = self.waits.next()?;
        let long = self.waited < LONG && self.waited + wait >= LONG;
        self.waited += wait;
        if long && self.patience.says {
            out::note(&format!("{}; trying again ..", failed.error));
        }
        Some(wait)
    }

    /// What is told at last. That the server knows the key says nothing to who never saw one.
    pub(super) fn verdict(&self, failed: Failed, url: &str) -> CliError {
        match failed.error {
            CliError::Problem(problem)
                if self.is_again() && [KEY_IN_USE, KEY_USED].contains(&problem.code.as_str()) =>
            {
                CliError::Uncertain { url: url.into() }
            }
            error => error,
        }
    }

    /// Whether the server may have had it before.
    fn is_again(&self) -> bool {
        self.keyed && !self.waited.is_zero()
    }

    fn is_worth_it(&self, failed: &Failed) -> bool {
        let code = match &failed.error {
            CliError::Problem(problem) => Some(problem.code.as_str()),
            _ => None,
        };
        match (failed.status, &failed.error) {
            (None, CliError::Unreachable { .. }) => self.harmless || failed.unsent,
            (None, CliError::TimedOut { .. }) => self.harmless && self.patience.late,
            (Some(StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE), _) => {
                // What hallpass itself answered to a key it answers again.
                self.harmless && !(self.keyed && code.is_some())
            }
            // What was sent before may still be in the works.
            (Some(StatusCode::CONFLICT), _) => self.is_again() && code == Some(KEY_IN_USE),
            _ => false,
        }
    }
}
