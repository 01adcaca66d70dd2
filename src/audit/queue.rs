//! The queue before the writer, bounded by the memory that it takes: while a disk hangs, outcomes
//! of what has happened are to find a place in it for as long as possible.

use std::sync::Arc;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};

use super::{Batch, Unavailable};

/// Bytes of memory that batches may take while they wait; more make their senders wait.
const MOST: u32 = 64 * 1024 * 1024;
/// Bytes that the smallest batch takes, at least.
const LEAST: u32 = 512;

/// A batch on its way.
pub(super) struct Job {
    pub(super) batch: Batch,
    /// Who waits for it; nobody, if it is an outcome.
    pub(super) done: Option<oneshot::Sender<Result<(), Unavailable>>>,
}

/// The end that brings jobs. Cheap to clone; the last one dropped ends the queue.
#[derive(Clone)]
pub(super) struct Sender {
    jobs: mpsc::UnboundedSender<Job>,
    room: Arc<Semaphore>,
}

/// The end that takes them; when it is dropped, nobody waits for a place any more.
pub(super) struct Receiver {
    jobs: mpsc::UnboundedReceiver<Job>,
    room: Arc<Semaphore>,
}

/// A place in the queue for one batch.
pub(super) struct Place<'a> {
    jobs: &'a mpsc::UnboundedSender<Job>,
    room: SemaphorePermit<'a>,
}

/// A queue.
pub(super) fn queue() -> (Sender, Receiver) {
    #[expect(clippy::disallowed_methods, reason = "the room bounds it")]
    let (sender, receiver) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(MOST as usize));
    let sender = Sender {
        jobs: sender,
        room: Arc::clone(&room),
    };
    let receiver = Receiver {
        jobs: receiver,
        room,
    };
    (sender, receiver)
}

/// What a batch takes of the room.
fn size(batch: &Batch) -> u32 {
    let size = u32::try_from(batch.capacity()).unwrap_or(MOST);
    size.clamp(LEAST, MOST)
}

impl Sender {
    /// Waits for a place for `batch`; `None` if nobody takes anything any more.
    pub(super) async fn place(&self, batch: &Batch) -> Option<Place<'_>> {
        let room = self.room.acquire_many(size(batch)).await.ok()?;
        Some(self.in_room(room))
    }

    /// A place for `batch`, if there is one at once.
    pub(super) fn place_now(&self, batch: &Batch) -> Option<Place<'_>> {
        let room = self.room.try_acquire_many(size(batch)).ok()?;
        Some(self.in_room(room))
    }

    fn in_room<'a>(&'a self, room: SemaphorePermit<'a>) -> Place<'a> {
        Place {
            jobs: &self.jobs,
            room,
        }
    }
}

impl Place<'_> {
    /// Puts a job there.
    pub(super) fn fill(self, job: Job) {
        // Whoever takes the job gives the room back.
        self.room.forget();
        // If nobody does any more, the job is dropped, and with it the hope of whoever waits.
        _ = self.jobs.send(job);
    }
}

impl Receiver {
    /// Waits for a job; `None` at the end of the queue.
    pub(super) async fn recv(&mut self) -> Option<Job> {
        let job = self.jobs.recv().await;
        job.inspect(|job| self.left(job))
    }

    /// A job that is there.
    pub(super) fn try_recv(&mut self) -> Result<Job, TryRecvError> {
        let job = self.jobs.try_recv();
        job.inspect(|job| self.left(job))
    }

    /// Whether none is there.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    fn left(&self, job: &Job) {
        self.room.add_permits(size(&job.batch) as usize);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.room.close();
    }
}
