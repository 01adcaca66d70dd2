//! The queue before the writer: the bytes of records in the order in which they came, and who waits
//! for which of them. It is bounded by the memory that it takes: while a disk hangs, outcomes of
//! what has happened are to find a place in it for as long as possible.
//!
//! Bytes are copied in and both buffers go back and forth between queue and writer, so that a
//! statement's records cost no allocation.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use prometheus::IntGauge;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::slot::Slot;
use super::{Batch, Unavailable};

/// Bytes of memory that records may take while they wait; more make their senders wait.
const MOST: u32 = 64 * 1024 * 1024;
/// Bytes that the smallest batch takes, at least.
const LEAST: u32 = 256;
/// Bytes that one write gathers, about.
pub(super) const GROUP: usize = 1024 * 1024;

/// Who waits for a batch.
pub(super) enum Waiting {
    /// Nobody: it is an outcome.
    Nobody,
    /// A connection, by the slot that it uses again and again.
    Slot(Arc<Slot>),
    /// Somebody, once.
    Once(oneshot::Sender<Result<(), Unavailable>>),
}

impl Waiting {
    fn is_somebody(&self) -> bool {
        !matches!(self, Self::Nobody)
    }

    /// Whether it was for somebody who has been refused, or has gone: what it says is not to
    /// happen.
    fn is_in_vain(&self) -> bool {
        match self {
            Self::Nobody => false,
            Self::Slot(slot) => !slot.is_waiting(),
            Self::Once(done) => done.is_closed(),
        }
    }

    /// Says whether it was made.
    pub(super) fn tell(self, made: Result<(), Unavailable>) {
        match self {
            Self::Nobody => {}
            Self::Slot(slot) => slot.tell(made),
            // The receiver is gone if the connection is: then nobody waits.
            Self::Once(done) => _ = done.send(made),
        }
    }
}

/// Where a batch ends in its row, and whose it is.
struct Mark {
    end: usize,
    is_for_good: bool,
    waiting: Waiting,
}

/// Batches in a row: what one write may take.
#[derive(Default)]
pub(super) struct Row {
    bodies: Vec<u8>,
    marks: Vec<Mark>,
    /// How many batches there are.
    batches: i64,
    /// How many of them somebody waits for.
    awaited: usize,
    /// Room of the queue that they hold.
    held: usize,
}

impl Row {
    fn is_full(&self) -> bool {
        self.bodies.len() >= GROUP
    }

    fn push(&mut self, batch: &Batch, waiting: Waiting) {
        self.bodies.extend_from_slice(batch.bodies());
        self.batches += 1;
        self.held += room(batch) as usize;
        let end = self.bodies.len();
        if !waiting.is_somebody() {
            // Outcomes in a row are one.
            if let Some(last) = self.marks.last_mut().filter(|it| !it.waiting.is_somebody()) {
                last.end = end;
                return;
            }
        } else {
            self.awaited += 1;
        }
        self.marks.push(Mark {
            end,
            is_for_good: batch.is_for_good(),
            waiting,
        });
    }

    /// The bytes of each batch that is still wanted.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &[u8]> {
        let wanted = self.pieces().filter(|(_, mark)| !mark.waiting.is_in_vain());
        wanted.map(|(bodies, _)| bodies)
    }

    /// The bytes of what nobody waits for.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = &[u8]> {
        let outcomes = self
            .pieces()
            .filter(|(_, mark)| !mark.waiting.is_somebody());
        outcomes.map(|(bodies, _)| bodies)
    }

    fn pieces(&self) -> impl Iterator<Item = (&[u8], &Mark)> {
        let mut start = 0;
        self.marks.iter().map(move |mark| {
            let bodies = &self.bodies[start..mark.end];
            start = mark.end;
            (bodies, mark)
        })
    }

    /// Whether one of them is to be signed, and stable storage is to have it.
    pub(super) fn is_for_good(&self) -> bool {
        self.marks.iter().any(|mark| mark.is_for_good)
    }

    /// Tells all who wait whether theirs were made.
    pub(super) fn tell(&mut self, made: Result<(), Unavailable>) {
        for mark in self.marks.drain(..) {
            mark.waiting.tell(made);
        }
    }

    /// An empty one in its room, within reason.
    fn emptied(mut self) -> Self {
        self.bodies.clear();
        self.bodies.shrink_to(2 * GROUP);
        self.marks.clear();
        self.marks.shrink_to(1024);
        Self {
            bodies: self.bodies,
            marks: self.marks,
            ..Self::default()
        }
    }
}

/// What sender and receiver share.
struct Shared {
    /// How many batches there are.
    length: IntGauge,
    line: Mutex<Line>,
    room: Semaphore,
    /// The receiver's, while it waits to be called.
    bell: AtomicWaker,
}

/// The batches that wait.
#[derive(Default)]
struct Line {
    /// The last one is filled until it has enough for one write.
    rows: VecDeque<Row>,
    /// A row that was written, for its room.
    spare: Option<Row>,
    /// The receiver waits for anything at all, and not only for what somebody waits for.
    is_idle: bool,
    /// No sender is left.
    is_over: bool,
    /// No receiver is left.
    is_closed: bool,
}

impl Line {
    /// Whether the receiver is to come.
    fn calls(&self) -> bool {
        self.is_over
            || (self.is_idle && !self.rows.is_empty())
            || self.rows.iter().any(|row| row.awaited > 0 || row.is_full())
    }

    fn push(&mut self, batch: &Batch, waiting: Waiting) {
        if self.rows.back().is_none_or(Row::is_full) {
            let row = self.spare.take().unwrap_or_default();
            self.rows.push_back(row);
        }
        if let Some(row) = self.rows.back_mut() {
            row.push(batch, waiting);
        }
    }
}

/// The end that brings batches. Cheap to clone; the last one dropped ends the queue.
#[derive(Clone)]
pub(super) struct Sender {
    shared: Arc<Shared>,
    _open: Arc<Open>,
}

/// Dropped with the last sender.
struct Open(Arc<Shared>);

/// The end that takes them; when it is dropped, nobody waits for a place any more.
pub(super) struct Receiver {
    shared: Arc<Shared>,
    linger: Pin<Box<Sleep>>,
    /// The time has not come yet.
    lingers: bool,
}

/// A place in the queue for one batch.
pub(super) struct Place<'a> {
    shared: &'a Shared,
    room: SemaphorePermit<'a>,
}

/// A queue whose length `length` tells; to be made within a runtime.
pub(super) fn queue(length: IntGauge) -> (Sender, Receiver) {
    let shared = Arc::new(Shared {
        length,
        line: Mutex::default(),
        room: Semaphore::new(MOST as usize),
        bell: AtomicWaker::new(),
    });
    let sender = Sender {
        shared: Arc::clone(&shared),
        _open: Arc::new(Open(Arc::clone(&shared))),
    };
    let receiver = Receiver {
        shared,
        linger: Box::pin(sleep_until(Instant::now())),
        lingers: false,
    };
    (sender, receiver)
}

/// What a batch takes of the room.
fn room(batch: &Batch) -> u32 {
    let size = u32::try_from(batch.len()).unwrap_or(MOST);
    size.clamp(LEAST, MOST)
}

impl Sender {
    /// Waits for a place for `batch`; `None` if nobody takes anything any more.
    pub(super) async fn place(&self, batch: &Batch) -> Option<Place<'_>> {
        let room = self.shared.room.acquire_many(room(batch)).await.ok()?;
        Some(self.in_room(room))
    }

    /// A place for `batch`, if there is one at once.
    pub(super) fn place_now(&self, batch: &Batch) -> Option<Place<'_>> {
        let room = self.shared.room.try_acquire_many(room(batch)).ok()?;
        Some(self.in_room(room))
    }

    fn in_room<'a>(&'a self, room: SemaphorePermit<'a>) -> Place<'a> {
        Place {
            shared: &self.shared,
            room,
        }
    }
}

impl Place<'_> {
    /// Puts the batch there that the place is for.
    pub(super) fn fill(self, batch: &Batch, waiting: Waiting) {
        // Whoever takes the batch gives the room back.
        self.room.forget();
        let mut line = self.shared.line.lock();
        if line.is_closed {
            waiting.tell(Err(Unavailable::Unwritable));
            return;
        }
        let called = line.calls();
        line.push(batch, waiting);
        self.shared.length.inc();
        let calls = line.calls() && !called;
        drop(line);
        if calls {
            self.shared.bell.wake();
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.line.lock().is_over = true;
        self.0.bell.wake();
    }
}

/// Why a receiver came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Called {
    /// There is something to take, and it is time to.
    Work,
    /// Nothing came in time.
    Late,
    /// Nothing will come.
    Over,
}

impl Receiver {
    /// Waits until there is something to take: at once if somebody waits for it, else when it has
    /// waited `linger` for company. Until `due` at most if nothing comes.
    ///
    /// The timer for company goes on by itself for as long as something comes: to set one for every
    /// outcome would cost two system calls each.
    pub(super) async fn called(&mut self, linger: Duration, due: Option<Instant>) -> Called {
        loop {
            if self.lingers {
                let soon = Instant::now() + linger;
                if self.linger.deadline() > soon {
                    self.linger.as_mut().reset(soon);
                }
                let waited = tokio::select! {
                    biased;
                    () = call(&self.shared) => false,
                    () = &mut self.linger => true,
                };
                self.lingers = !waited;
                if !waited || !self.shared.line.lock().rows.is_empty() {
                    return self.work();
                }
                // Nothing came all this while.
            }
            if self.rest(due).await.is_err() {
                return Called::Late;
            }
            self.linger.as_mut().reset(Instant::now() + linger);
            self.lingers = true;
        }
    }

    /// Waits for anything.
    async fn rest(&self, due: Option<Instant>) -> Result<(), Elapsed> {
        self.shared.line.lock().is_idle = true;
        let call = call(&self.shared);
        let called = match due {
            Some(due) => timeout_at(due, call).await,
            None => {
                call.await;
                Ok(())
            }
        };
        self.shared.line.lock().is_idle = false;
        called
    }

    fn work(&self) -> Called {
        let line = self.shared.line.lock();
        match line.is_over && line.rows.is_empty() {
            true => Called::Over,
            false => Called::Work,
        }
    }

    /// The next batches, as many as one write may take; `done` is the row before, for its room.
    pub(super) fn take(&self, done: Row) -> Row {
        let mut line = self.shared.line.lock();
        let row = line.rows.pop_front().unwrap_or_default();
        line.spare = Some(done.emptied());
        drop(line);
        self.shared.length.sub(row.batches);
        row
    }

    /// Gives back the room that a row has held, once it is written: to wake whoever waits for it
    /// before would put them behind a disk that hangs.
    pub(super) fn give_back(&self, row: &mut Row) {
        self.shared.room.add_permits(std::mem::take(&mut row.held));
    }
}

/// Returns when the receiver is to come.
async fn call(shared: &Shared) {
    poll_fn(|cx| {
        shared.bell.register(cx.waker());
        match shared.line.lock().calls() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.room.close();
        let mut line = self.shared.line.lock();
        line.is_closed = true;
        for mut row in std::mem::take(&mut line.rows) {
            row.tell(Err(Unavailable::Unwritable));
        }
    }
}
