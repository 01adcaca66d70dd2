//! The recorder: one queue, one writer, and an answer for everybody who must wait for theirs.
//!
//! Whoever records [commits](Recorder::commit) a [`Batch`]; the writer takes what has gathered,
//! links it into the chain, and writes it in one go. If that fails, nobody who waits is told
//! otherwise: the statement is not forwarded. Facts that nobody waits for (outcomes) go with the
//! next group, a moment later at most, and are kept and tried again if it fails.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::folder::{Folder, OpenError, Volume};
use super::health::{self, Health};
use super::queue::{self, Place, Waiting, queue};
use super::slot::Slots;
use super::writer::Writer;
use super::{Batch, Event, Flow, Head, Pen, PublicKey, SigningKey, recovery};
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// How the audit is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of segments.
    pub folder: PathBuf,
    /// What signs checkpoints.
    pub key: Arc<SigningKey>,
    /// When a record counts as made.
    pub durability: Durability,
    /// A segment is closed when it has this many bytes.
    pub segment_bytes: u64,
    /// A segment is closed when it is this old.
    pub segment_age: Duration,
    /// A checkpoint comes after this many records.
    pub checkpoint_records: u64,
    /// A checkpoint comes this long after the first record behind the last one.
    pub checkpoint_interval: Duration,
    /// How long a record may take before it counts as not made.
    pub timeout: Duration,
}

impl Settings {
    /// The defaults of the configuration, for this folder and this key.
    pub fn new(folder: PathBuf, key: SigningKey) -> Self {
        Self {
            folder,
            key: Arc::new(key),
            durability: Durability::Write,
            segment_bytes: 64 << 20,
            segment_age: Duration::from_secs(3600),
            checkpoint_records: 10_000,
            checkpoint_interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
        }
    }
}

/// When a record counts as made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When the kernel has it: it survives `kill -9`, not a loss of power.
    Write,
    /// When stable storage has it: one `fdatasync` serves all who wait.
    Fsync,
}

/// The record could not be made; what it stands for must not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The disk does not take it, or not in time.
    #[error("the audit log cannot be written")]
    Unwritable,
    /// There are too many records that exist on this machine only.
    #[error("too much of the audit log is not shipped yet")]
    Unshipped,
}

/// A batch that is queued. It may be made after whoever waited for it has given up.
#[derive(Debug)]
pub struct Submitted {
    durable: oneshot::Receiver<Result<(), Unavailable>>,
    settled: Option<Result<(), Unavailable>>,
    until: Instant,
}

impl Submitted {
    /// Returns when it is durable. May be dropped, and called again.
    ///
    /// # Errors
    /// [`Unavailable`], also if it takes longer than the timeout: then what the batch says must
    /// not happen.
    pub async fn durable(&mut self) -> Result<(), Unavailable> {
        tokio::time::timeout_at(self.until, self.settled())
            .await
            .unwrap_or(Err(Unavailable::Unwritable))
    }

    /// Returns when it is certain whether it is in the log, however long that takes. May be
    /// dropped, and called again.
    ///
    /// # Errors
    /// [`Unavailable`]: it is not in the log and never will be.
    pub async fn settled(&mut self) -> Result<(), Unavailable> {
        if let Some(settled) = self.settled {
            return settled;
        }
        let settled = (&mut self.durable).await;
        let settled = settled.unwrap_or(Err(Unavailable::Unwritable));
        self.settled = Some(settled);
        settled
    }
}

/// Records facts. Cheap to clone; the last one dropped ends the writer.
#[derive(Clone)]
pub struct Recorder {
    queue: queue::Sender,
    clock: Clock,
    timeout: Duration,
    /// What its checkpoints are signed with, the part that everybody may have.
    key: PublicKey,
    health: Arc<Health>,
    slots: Arc<Slots>,
}

impl Recorder {
    /// Opens the folder and starts the writer. Await the handle, after the last clone is dropped,
    /// to know that everything was written. Must be called within a runtime, once: of more than one
    /// worker it has one stand by.
    ///
    /// # Errors
    /// [`OpenError`] if the folder cannot be used.
    pub fn start(
        settings: &Settings,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, JoinHandle<()>), OpenError> {
        let (folder, resumption) = Folder::open(&settings.folder)?;
        let left = recovery::left_behind(&settings.folder, &resumption.torn, &clock)?;
        let place = (resumption.head, resumption.last_segment);
        let folder = Arc::new(folder);
        let (recorder, writer) = Self::over(folder, place, left, settings, clock, metrics);
        let slots = (Arc::clone(&recorder.slots), settings.timeout);
        health::watch(&recorder.health, slots, Handle::current()).map_err(|source| {
            OpenError::Io {
                path: settings.folder.clone(),
                source,
            }
        })?;
        Ok((recorder, writer))
    }

    /// Starts the writer behind a place in the log, with the records that are left to be made.
    fn over(
        volume: Arc<dyn Volume>,
        place: (Head, Option<u64>),
        left: Batch,
        settings: &Settings,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> (Self, JoinHandle<()>) {
        let (queue, jobs) = queue(metrics.audit_queue().clone());
        let health = Arc::new(Health::new());
        health.flow.advance(place.0.seq + 1);
        metrics.audit_available(true);
        let parts = (Arc::clone(&health), clock.clone(), metrics);
        let mut writer = Writer::new(settings, volume, place, parts);
        writer.keep(left);
        let writer = tokio::spawn(writer.run(jobs));
        let recorder = Self {
            queue,
            clock,
            timeout: settings.timeout,
            key: settings.key.public(),
            health,
            slots: Arc::new(Slots::new()),
        };
        (recorder, writer)
    }

    /// Records one fact and returns when it is durable.
    ///
    /// # Errors
    /// [`Unavailable`]: then it did not happen.
    pub async fn record(&self, event: &Event) -> Result<(), Unavailable> {
        let mut batch = self.batch();
        batch.push(event);
        self.commit(batch).await
    }

    /// Records one fact and returns when it is signed and stable storage has it, whatever the
    /// durability is otherwise: for what cannot be undone.
    ///
    /// # Errors
    /// [`Unavailable`]: then it did not happen.
    pub(super) async fn record_for_good(&self, event: &Event) -> Result<(), Unavailable> {
        let mut batch = self.batch();
        batch.push(event);
        self.commit(batch.for_good()).await
    }

    /// The public part of the key that signs what is recorded.
    pub(super) fn key(&self) -> PublicKey {
        self.key
    }

    /// An empty batch, stamped now.
    pub fn batch(&self) -> Batch {
        Batch::new(self.clock.now())
    }

    /// Makes a batch an empty one, stamped now.
    pub fn begin_anew(&self, batch: &mut Batch) {
        batch.begin_anew(self.clock.now());
    }

    /// Records a batch and returns when it is durable.
    ///
    /// # Errors
    /// [`Unavailable`], also if it takes longer than the timeout: then what the batch says must
    /// not happen.
    pub async fn commit(&self, batch: Batch) -> Result<(), Unavailable> {
        if batch.is_empty() {
            return Ok(());
        }
        self.is_open()?;
        self.made(batch).await
    }

    /// What a connection records its statements with.
    pub fn pen(&self) -> Pen {
        Pen::new(self.clone(), self.slots.wait())
    }

    /// Whether new records are taken.
    ///
    /// # Errors
    /// [`Unavailable::Unshipped`] while they are withheld.
    pub(super) fn is_open(&self) -> Result<(), Unavailable> {
        match self.health.flow.is_withheld() {
            true => Err(Unavailable::Unshipped),
            false => Ok(()),
        }
    }

    /// A place for a batch in the queue, if there is one at once.
    pub(super) fn place_now(&self, batch: &Batch) -> Option<Place<'_>> {
        self.queue.place_now(batch)
    }

    /// Records that hallpass stops and returns when that is durable; also while records are
    /// withheld, for nothing is let in by it.
    ///
    /// # Errors
    /// [`Unavailable`]: then the log does not say so.
    pub async fn stopped(&self) -> Result<(), Unavailable> {
        let mut batch = self.batch();
        batch.push(&Event::Stopped);
        self.made(batch).await
    }

    async fn made(&self, batch: Batch) -> Result<(), Unavailable> {
        let (done, durable) = oneshot::channel();
        let write = async {
            self.send(&batch, Waiting::Once(done)).await?;
            durable.await.unwrap_or(Err(Unavailable::Unwritable))
        };
        tokio::time::timeout(self.timeout, write)
            .await
            .unwrap_or(Err(Unavailable::Unwritable))
    }

    /// Queues facts that nothing waits for: outcomes of what has happened already. They are kept
    /// and tried again if the disk fails.
    ///
    /// # Errors
    /// [`Unavailable`] if the queue stays full for longer than the timeout.
    pub async fn note(&self, batch: &Batch) -> Result<(), Unavailable> {
        if self.note_now(batch) {
            return Ok(());
        }
        let place = self.queue.place(batch);
        let in_time = tokio::time::timeout(self.timeout, place).await;
        let place = in_time.ok().flatten();
        place
            .ok_or(Unavailable::Unwritable)?
            .fill(batch, Waiting::Nobody);
        Ok(())
    }

    /// The same, if the queue is not full; whether it is queued.
    #[must_use]
    pub fn note_now(&self, batch: &Batch) -> bool {
        if batch.is_empty() {
            return true;
        }
        let place = self.queue.place_now(batch);
        place
            .map(|place| place.fill(batch, Waiting::Nobody))
            .is_some()
    }

    /// The same, however long the queue stays full: for what would be missed in the log.
    ///
    /// # Errors
    /// [`Unavailable`] if nothing is written any more, ever.
    pub async fn insist(&self, batch: &Batch) -> Result<(), Unavailable> {
        if batch.is_empty() {
            return Ok(());
        }
        self.send(batch, Waiting::Nobody).await
    }

    /// Queues a batch, for who must know what became of it, however late. If this is dropped before
    /// it returns, the batch was not queued.
    ///
    /// # Errors
    /// [`Unavailable`]: then it is not in the log and never will be.
    pub async fn submit(&self, batch: &Batch) -> Result<Submitted, Unavailable> {
        self.is_open()?;
        let until = Instant::now() + self.timeout;
        let (done, durable) = oneshot::channel();
        let sent = self.send(batch, Waiting::Once(done));
        tokio::time::timeout_at(until, sent)
            .await
            .unwrap_or(Err(Unavailable::Unwritable))?;
        Ok(Submitted {
            durable,
            settled: None,
            until,
        })
    }

    /// Whether records are being made: the last write worked, none hangs, and none is withheld
    /// because too many were not shipped.
    ///
    /// # Errors
    /// Why none is.
    pub fn health(&self) -> Result<(), Unavailable> {
        match (
            self.health.is_good(self.timeout),
            self.health.flow.is_withheld(),
        ) {
            (false, _) => Err(Unavailable::Unwritable),
            (true, true) => Err(Unavailable::Unshipped),
            (true, false) => Ok(()),
        }
    }

    /// How far the log is, for those who ship it, and whether it may go on.
    pub fn flow(&self) -> &Arc<Flow> {
        &self.health.flow
    }

    async fn send(&self, batch: &Batch, waiting: Waiting) -> Result<(), Unavailable> {
        let place = self.queue.place(batch).await;
        place.ok_or(Unavailable::Unwritable)?.fill(batch, waiting);
        Ok(())
    }
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;
