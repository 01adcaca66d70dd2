//! Where a connection waits for its records: one slot, used again for each statement.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::Unavailable;

const FREE: u8 = 0;
const WAITING: u8 = 1;
const MADE: u8 = 2;
const REFUSED: u8 = 3;

/// A connection's place to wait at.
pub(super) struct Slot {
    state: AtomicU8,
    /// Milliseconds of [`Slots`] at which it began to wait.
    since: AtomicU64,
    waker: AtomicWaker,
}

impl Slot {
    /// Whether somebody waits, and has not been refused.
    pub(super) fn is_waiting(&self) -> bool {
        self.state.load(Ordering::Acquire) == WAITING
    }

    /// Ends the wait; what comes after the first answer changes nothing.
    pub(super) fn tell(&self, made: Result<(), Unavailable>) {
        let answer = if made.is_ok() { MADE } else { REFUSED };
        let order = (Ordering::AcqRel, Ordering::Acquire);
        let told = self
            .state
            .compare_exchange(WAITING, answer, order.0, order.1);
        if told.is_ok() {
            self.waker.wake();
        }
    }

    /// The answer, once.
    fn poll(&self, cx: &Context<'_>) -> Poll<Result<(), Unavailable>> {
        let mut state = self.state.load(Ordering::Acquire);
        if state == WAITING {
            self.waker.register(cx.waker());
            state = self.state.load(Ordering::Acquire);
        }
        match state {
            WAITING => Poll::Pending,
            MADE => {
                self.state.store(FREE, Ordering::Release);
                Poll::Ready(Ok(()))
            }
            // A refusal stays: what it is about may lie in the queue yet, and must not be taken
            // for what comes next.
            _ => Poll::Ready(Err(Unavailable::Unwritable)),
        }
    }
}

/// All slots that there are, so that who waits for too long is told, whatever the writer does: a
/// timer for each statement would cost more than its record.
pub(super) struct Slots {
    epoch: Instant,
    all: Mutex<HashMap<u64, Arc<Slot>>>,
    next: AtomicU64,
}

/// A slot that is somebody's; gone when this is dropped.
pub(super) struct Wait {
    slot: Arc<Slot>,
    number: u64,
    slots: Arc<Slots>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            all: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }

    /// A slot of one's own.
    pub(super) fn wait(self: &Arc<Self>) -> Wait {
        let slot = Arc::new(Slot {
            state: AtomicU8::new(FREE),
            since: AtomicU64::new(0),
            waker: AtomicWaker::new(),
        });
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.all.lock().insert(number, Arc::clone(&slot));
        Wait {
            slot,
            number,
            slots: Arc::clone(self),
        }
    }

    fn milliseconds(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.epoch);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Refuses whoever has waited for longer than `patience`.
    pub(super) fn refuse_late(&self, patience: Duration) {
        let now = self.milliseconds(Instant::now());
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        for slot in self.all.lock().values() {
            // In this order: who waits has said before since when.
            if slot.is_waiting()
                && now.saturating_sub(slot.since.load(Ordering::Relaxed)) > patience
            {
                slot.tell(Err(Unavailable::Unwritable));
            }
        }
    }
}

impl Wait {
    /// Begins to wait; whoever gets the slot tells it the answer.
    pub(super) fn begin(&self, now: Instant) -> Arc<Slot> {
        let since = self.slots.milliseconds(now);
        self.slot.since.store(since, Ordering::Relaxed);
        self.slot.state.store(WAITING, Ordering::Release);
        Arc::clone(&self.slot)
    }

    /// The answer, when it is there.
    ///
    /// # Errors
    /// [`Unavailable`]: it was not made, or not in time. Whoever got it does not wait here again.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Result<(), Unavailable>> {
        self.slot.poll(cx)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        // What it waited for is not to be made any more.
        self.slot.state.store(REFUSED, Ordering::Release);
        self.slots.all.lock().remove(&self.number);
    }
}
