//! The recorder: one queue, one writer, and an answer for everybody who must wait for theirs.
//!
//! Whoever records [commits](Recorder::commit) a [`Batch`]; the writer takes what has gathered,
//! numbers it, and writes it in one go. If that fails, nobody who waits is told otherwise: the
//! statement is not forwarded. Facts that nobody waits for (outcomes) go with the next group, a
//! moment later at most, and are kept and tried again if it fails.
//!
//! The writer is a task, not a thread: waking it from a connection's task costs no system call,
//! and `write(2)` to a file takes about a microsecond. Should the disk hang, it holds up one
//! worker thread of the runtime, and the other tasks move to the others.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::segment::{Folder, OpenError, Segment};
use super::{Event, VERSION};
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// Batches that may wait for the writer; more make their senders wait.
const QUEUE: usize = 1024;
/// Bytes that one write gathers at most.
const GROUP: usize = 1024 * 1024;
/// Bytes of facts nobody waits for that are kept while the disk fails.
const BACKLOG: usize = 64 * 1024 * 1024;
/// How often a failing disk is tried when nobody asks.
const RETRY: Duration = Duration::from_secs(1);
/// How long an outcome may wait for company.
const LINGER: Duration = Duration::from_millis(2);

/// How the audit is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of segments.
    pub folder: PathBuf,
    /// A segment is closed when it has this many bytes.
    pub segment_bytes: u64,
    /// How long a record may take before it counts as not made.
    pub timeout: Duration,
}

/// The record could not be made; what it stands for must not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written")]
pub struct Unavailable;

/// Records that are committed together.
#[derive(Debug)]
pub struct Batch {
    /// Bodies, each `"at":..,"type":..}` and a newline: the writer puts version and sequence before.
    bodies: Vec<u8>,
    records: u64,
    at: Timestamp,
}

#[derive(Serialize)]
struct Body<'a> {
    at: Timestamp,
    #[serde(flatten)]
    event: &'a Event,
}

impl Batch {
    /// An empty batch of facts observed at `at`.
    pub fn new(at: Timestamp) -> Self {
        Self {
            bodies: Vec::new(),
            records: 0,
            at,
        }
    }

    /// Adds a fact.
    pub fn push(&mut self, event: &Event) {
        let start = self.bodies.len();
        let body = Body { at: self.at, event };
        serde_json::to_writer(&mut self.bodies, &body)
            .expect("events are plain data, and a Vec takes every byte");
        // Drop the opening brace: the writer's prefix has its own.
        self.bodies.remove(start);
        self.bodies.push(b'\n');
        self.records += 1;
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }
}

struct Job {
    batch: Batch,
    /// Who waits for it; nobody, if it is an outcome.
    done: Option<oneshot::Sender<Result<(), Unavailable>>>,
}

/// Records facts. Cheap to clone; the last one dropped ends the writer.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Job>,
    clock: Clock,
    timeout: Duration,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

/// How the writer does; it alone writes here.
struct Health {
    failing: AtomicBool,
    /// Milliseconds after `epoch` at which the write that is under way began; 0: none is.
    writing_since: AtomicU64,
    epoch: Instant,
}

impl Health {
    fn new() -> Self {
        Self {
            failing: AtomicBool::new(false),
            writing_since: AtomicU64::new(0),
            epoch: Instant::now(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_good(&self, patience: Duration) -> bool {
        let since = self.writing_since.load(Ordering::Relaxed);
        let stuck =
            since > 0 && u128::from(self.now() - since.min(self.now())) > patience.as_millis();
        !stuck && !self.failing.load(Ordering::Relaxed)
    }
}

impl Recorder {
    /// Opens the folder and starts the writer. Await the handle, after the last clone is dropped,
    /// to know that everything was written. Must be called within a runtime.
    ///
    /// # Errors
    /// [`OpenError`] if the folder cannot be used.
    pub fn start(
        settings: &Settings,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, JoinHandle<()>), OpenError> {
        let (folder, resumption) = Folder::open(&settings.folder)?;
        let (queue, jobs) = mpsc::channel(QUEUE);
        let health = Arc::new(Health::new());
        metrics.audit_available(true);
        let mut writer = Writer {
            folder,
            segment: None,
            next: resumption.next,
            segment_bytes: settings.segment_bytes,
            lines: Vec::new(),
            backlog: Vec::new(),
            backlog_bytes: 0,
            health: Arc::clone(&health),
            clock: clock.clone(),
            metrics: Arc::clone(&metrics),
        };
        if let Some(torn) = resumption.torn {
            let mut batch = Batch::new(clock.now());
            batch.push(&torn);
            writer.keep(batch);
        }
        let writer = tokio::spawn(writer.run(jobs));
        let recorder = Self {
            queue,
            clock,
            timeout: settings.timeout,
            health,
            metrics,
        };
        Ok((recorder, writer))
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

    /// An empty batch, stamped now.
    pub fn batch(&self) -> Batch {
        Batch::new(self.clock.now())
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
        let (done, durable) = oneshot::channel();
        let job = Job {
            batch,
            done: Some(done),
        };
        let write = async {
            self.send(job).await?;
            durable.await.unwrap_or(Err(Unavailable))
        };
        tokio::time::timeout(self.timeout, write)
            .await
            .unwrap_or(Err(Unavailable))
    }

    /// Queues facts that nothing waits for: outcomes of what has happened already. They are kept
    /// and tried again if the disk fails.
    ///
    /// # Errors
    /// [`Unavailable`] if the queue stays full for longer than the timeout.
    pub async fn note(&self, batch: Batch) -> Result<(), Unavailable> {
        if batch.is_empty() {
            return Ok(());
        }
        let job = Job { batch, done: None };
        tokio::time::timeout(self.timeout, self.send(job))
            .await
            .unwrap_or(Err(Unavailable))
    }

    /// Whether records are being made: the last write worked, and none hangs.
    pub fn is_healthy(&self) -> bool {
        self.health.is_good(self.timeout)
    }

    async fn send(&self, job: Job) -> Result<(), Unavailable> {
        self.queue.send(job).await.map_err(|_| Unavailable)?;
        self.metrics.audit_queue().inc();
        Ok(())
    }
}

/// The one writer.
struct Writer {
    folder: Folder,
    segment: Option<Segment>,
    /// The sequence of the next record.
    next: u64,
    segment_bytes: u64,
    /// Room for one group of lines, kept between groups.
    lines: Vec<u8>,
    /// Facts nobody waits for, that could not be written yet.
    backlog: Vec<Batch>,
    backlog_bytes: usize,
    health: Arc<Health>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Writer {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut group = Vec::new();
        while self.gather(&mut jobs, &mut group).await {
            self.write(&mut group);
            // Whom that has woken runs before the disk is touched again: should it hang then, they
            // are not behind it.
            tokio::task::yield_now().await;
        }
        self.write(&mut group);
    }

    /// Waits for jobs and takes what is there; `false` at the end of the queue. Comes back at once
    /// if somebody waits for a record, a moment later if nobody does, and now and then while the
    /// disk fails.
    async fn gather(&mut self, jobs: &mut mpsc::Receiver<Job>, group: &mut Vec<Job>) -> bool {
        let patience = if self.backlog.is_empty() {
            LINGER
        } else {
            RETRY
        };
        let mut bytes = 0;
        if self.backlog.is_empty() {
            let Some(job) = jobs.recv().await else {
                return false;
            };
            bytes += self.take(job, group);
        }
        let until = tokio::time::Instant::now() + patience;
        loop {
            while bytes < GROUP
                && let Ok(job) = jobs.try_recv()
            {
                bytes += self.take(job, group);
            }
            if bytes >= GROUP || group.iter().any(|job| job.done.is_some()) {
                return true;
            }
            match tokio::time::timeout_at(until, jobs.recv()).await {
                Ok(Some(job)) => bytes += self.take(job, group),
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }

    fn take(&self, job: Job, group: &mut Vec<Job>) -> usize {
        self.metrics.audit_queue().dec();
        let bytes = job.batch.bodies.len();
        group.push(job);
        bytes
    }

    /// Writes the backlog and the group, all or nothing, and tells who waits.
    fn write(&mut self, group: &mut Vec<Job>) {
        self.health
            .writing_since
            .store(self.health.now().max(1), Ordering::Relaxed);
        let result = self.append(group);
        self.health.writing_since.store(0, Ordering::Relaxed);
        let failed_before = self.health.failing.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !failed_before => self.begin_failing(error),
            Ok(()) if failed_before => tracing::info!("the audit log can be written again"),
            _ => {}
        }
        if result.is_ok() {
            self.backlog.clear();
            self.backlog_bytes = 0;
        }
        for job in group.drain(..) {
            match job.done {
                // The receiver is gone if the connection is: then nobody waits.
                Some(done) => _ = done.send(result.as_ref().map_err(|_| Unavailable).copied()),
                None if result.is_err() => self.keep(job.batch),
                None => {}
            }
        }
    }

    /// Notes the failure among what is tried again: so the disk is tried without being asked, and
    /// the log says that it had failed.
    fn begin_failing(&mut self, error: &std::io::Error) {
        tracing::error!(%error, "the audit log cannot be written: no statement is forwarded");
        let mut batch = Batch::new(self.clock.now());
        batch.push(&Event::RecordingFailed {
            error: error.to_string(),
        });
        self.keep(batch);
    }

    fn keep(&mut self, batch: Batch) {
        if self.backlog_bytes + batch.bodies.len() > BACKLOG {
            tracing::error!(
                records = batch.records,
                "outcomes are lost: the audit log has failed for too long"
            );
            return;
        }
        self.backlog_bytes += batch.bodies.len();
        self.backlog.push(batch);
    }

    fn append(&mut self, group: &[Job]) -> std::io::Result<()> {
        if group.is_empty() && self.backlog.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        let mut next = self.next;
        for batch in self
            .backlog
            .iter()
            .chain(group.iter().map(|job| &job.batch))
        {
            number(batch, &mut next, &mut lines);
        }
        let segment = match &mut self.segment {
            Some(segment) => segment,
            None => self.segment.insert(self.folder.create(self.next)?),
        };
        let result = segment.append(&lines);
        if result.is_ok() {
            if segment.len() >= self.segment_bytes {
                self.segment = None;
            }
            self.metrics
                .audit_written(next - self.next, lines.len() as u64, started.elapsed());
            self.next = next;
        }
        lines.shrink_to(2 * GROUP);
        self.lines = lines;
        result
    }
}

/// Puts version and sequence before each body.
fn number(batch: &Batch, next: &mut u64, lines: &mut Vec<u8>) {
    for body in batch.bodies.split_inclusive(|&byte| byte == b'\n') {
        lines.extend_from_slice(b"{\"v\":");
        push_decimal(lines, u64::from(VERSION));
        lines.extend_from_slice(b",\"seq\":");
        push_decimal(lines, *next);
        lines.push(b',');
        lines.extend_from_slice(body);
        *next += 1;
    }
}

fn push_decimal(out: &mut Vec<u8>, mut n: u64) {
    let start = out.len();
    loop {
        out.push(b'0' + (n % 10) as u8);
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out[start..].reverse();
}

#[cfg(test)]
mod tests {
    use super::super::reader;
    use super::*;

    fn start(folder: &std::path::Path, segment_bytes: u64) -> (Recorder, JoinHandle<()>) {
        let settings = Settings {
            folder: folder.to_owned(),
            segment_bytes,
            timeout: Duration::from_secs(5),
        };
        Recorder::start(&settings, Clock::system(), Arc::new(Metrics::new())).unwrap()
    }

    fn sequences(folder: &std::path::Path) -> Vec<u64> {
        reader::records(folder)
            .unwrap()
            .map(|record| record.unwrap().seq)
            .collect()
    }

    #[tokio::test]
    async fn what_is_recorded_is_in_the_file_when_record_returns() {
        let dir = tempfile::tempdir().unwrap();
        let (recorder, _writer) = start(dir.path(), 1 << 20);
        recorder.record(&Event::Stopped).await.unwrap();
        assert_eq!(sequences(dir.path()), [1]);
    }

    #[tokio::test]
    async fn the_sequence_has_no_gap_across_segments_and_restarts() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            let (recorder, writer) = start(dir.path(), 100);
            for _ in 0..5 {
                let mut batch = recorder.batch();
                batch.push(&Event::Stopped);
                batch.push(&Event::Stopped);
                recorder.commit(batch).await.unwrap();
            }
            drop(recorder);
            writer.await.unwrap();
        }
        assert_eq!(sequences(dir.path()), (1..=30).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_fact_nobody_waits_for_is_written_too() {
        let dir = tempfile::tempdir().unwrap();
        let (recorder, writer) = start(dir.path(), 1 << 20);
        let mut batch = recorder.batch();
        batch.push(&Event::Stopped);
        recorder.note(batch).await.unwrap();
        drop(recorder);
        writer.await.unwrap();
        assert_eq!(sequences(dir.path()), [1]);
    }
}
