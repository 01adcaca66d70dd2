//! What is due on a connection although nothing comes.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::pg::Notice;

/// When something is due although nothing comes.
pub(super) struct Pace {
    timer: Pin<Box<Sleep>>,
    /// The timer knows whom to wake.
    is_armed: bool,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) active_at: Instant,
    /// What is to be said when, the next one last.
    pub(super) notices: Vec<(Instant, Notice)>,
}

impl Pace {
    pub(super) fn new(
        idle_timeout: Option<Duration>,
        notices: Vec<(Instant, Notice)>,
        now: Instant,
    ) -> Self {
        let mut pace = Self {
            timer: Box::pin(sleep_until(now)),
            is_armed: false,
            idle_timeout,
            active_at: now,
            notices,
        };
        pace.set();
        pace
    }

    /// Whether something is due.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        // A relay is one task's for all its life, so the timer is told but once whom to wake.
        if self.is_armed && now < self.timer.deadline() {
            return Poll::Pending;
        }
        // Whatever else has used up of the task's budget: with none left it would not be told.
        let due = pin!(unconstrained(self.timer.as_mut())).poll(cx);
        self.is_armed = due.is_pending();
        due
    }

    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.idle_timeout
            .is_some_and(|timeout| now.saturating_duration_since(self.active_at) >= timeout)
    }

    /// Sets the timer to what is due next.
    pub(super) fn set(&mut self) {
        const FAR: Duration = Duration::from_secs(24 * 3600);
        let idle = self.idle_timeout.map(|timeout| self.active_at + timeout);
        let notice = self.notices.last().map(|(at, _)| *at);
        let next = idle.into_iter().chain(notice).min();
        self.timer
            .as_mut()
            .reset(next.unwrap_or_else(|| Instant::now() + FAR));
        self.is_armed = false;
    }
}
