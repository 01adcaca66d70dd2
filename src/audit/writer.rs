//! The one writer.
//!
//! It is a task, not a thread: waking it from a connection's task costs no system call, and
//! `write(2)` to a file takes about a microsecond. Should the disk hang there, it holds up one
//! worker thread of the runtime and no connection, and [`health::watch`](super::health::watch) has
//! another worker go on. `fdatasync` takes long, so it is called on a thread for such things; what
//! comes meanwhile is the next group.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::backlog::Backlog;
use super::checkpoint::Checkpoints;
use super::folder::Volume;
use super::health::Health;
use super::queue::{self, Called, GROUP, Row};
use super::segment::Segment;
use super::turn::step_back;
use super::{Batch, Durability, Event, Head, Settings, Unavailable, batch};
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// How often a failing disk is tried when nobody asks.
const RETRY: Duration = Duration::from_secs(1);
/// How long an outcome may wait for company.
const LINGER: Duration = Duration::from_millis(2);

/// The one writer.
pub(super) struct Writer {
    volume: Arc<dyn Volume>,
    segment: Option<Segment>,
    /// When the segment is closed if it does not get full before.
    segment_ends: Instant,
    /// The first record of the segment that was opened last.
    last_segment: Option<u64>,
    /// The last record.
    head: Head,
    checkpoints: Checkpoints,
    /// Room for one group of lines, kept between groups.
    lines: Vec<u8>,
    backlog: Backlog,
    settings: Settings,
    health: Arc<Health>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Writer {
    /// A writer that goes on behind a record, in a segment of its own.
    pub(super) fn new(
        settings: &Settings,
        volume: Arc<dyn Volume>,
        (head, last_segment): (Head, Option<u64>),
        (health, clock, metrics): (Arc<Health>, Clock, Arc<Metrics>),
    ) -> Self {
        Self {
            volume,
            segment: None,
            segment_ends: Instant::now(),
            last_segment,
            head,
            checkpoints: Checkpoints::new(settings),
            lines: Vec::new(),
            backlog: Backlog::default(),
            settings: settings.clone(),
            health,
            clock,
            metrics,
        }
    }

    /// Writes until every sender is gone and everything is written.
    pub(super) async fn run(mut self, mut queue: queue::Receiver) {
        let mut row = Row::default();
        loop {
            // While the disk fails, it is tried now and then, and when somebody asks.
            let linger = if self.backlog.is_empty() {
                LINGER
            } else {
                RETRY
            };
            if queue.called(linger, self.due()).await == Called::Over {
                break;
            }
            // What those bring who are ready goes with the same write; and should the disk hang, nobody
            // whom the last one has woken is behind it.
            step_back().await;
            row = queue.take(row);
            self.write(&mut row).await;
            queue.give_back(&mut row);
        }
        self.checkpoints.demand();
        self.write(&mut Row::default()).await;
    }

    /// When there is something to write although nobody brings anything.
    fn due(&self) -> Option<Instant> {
        if !self.backlog.is_empty() {
            // The disk fails: what else is due waits for it, too.
            return Some(Instant::now() + RETRY);
        }
        let segment = self.segment.as_ref().map(|_| self.segment_ends);
        [segment, self.checkpoints.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Writes the backlog and then the row, which is made whole or not at all, and tells who waits.
    async fn write(&mut self, row: &mut Row) {
        let result = self.append_all(row).await;
        let failed_before = self.health.end(result.is_err());
        match &result {
            Err(error) if !failed_before => self.begin_failing(error),
            Ok(()) if failed_before => tracing::info!("the audit log can be written again"),
            _ => {}
        }
        if result.is_err() {
            for bodies in row.outcomes() {
                self.keep(Batch::again(bodies));
            }
        }
        row.tell(result.map_err(|_| Unavailable::Unwritable));
    }

    /// Notes the failure among what is tried again: so the disk is tried without being asked, and
    /// the log says that it had failed.
    fn begin_failing(&mut self, error: &io::Error) {
        tracing::error!(%error, "the audit log cannot be written: no statement is forwarded");
        let failed = Event::RecordingFailed {
            error: error.to_string(),
        };
        self.keep(Batch::of(self.clock.now(), &failed));
    }

    /// Keeps facts that nobody waits for until they can be written.
    pub(super) fn keep(&mut self, batch: Batch) {
        self.backlog.keep(batch);
    }

    /// What is owed goes first, in bites: a disk that fails is tried with one of them, however much
    /// it is and however many ask.
    async fn append_all(&mut self, row: &Row) -> io::Result<()> {
        loop {
            self.health.begin();
            let bite = self.backlog.bite(GROUP);
            if bite == self.backlog.len() {
                return self.append(bite, row).await;
            }
            self.append(bite, &Row::default()).await?;
            tokio::task::yield_now().await;
        }
    }

    /// Writes so many batches of the backlog and the row, all or nothing.
    async fn append(&mut self, owed: usize, row: &Row) -> io::Result<()> {
        let now = Instant::now();
        self.drop_distrusted()?;
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        let mut head = self.head;
        let opening = self.is_opening();
        self.link(owed, row, &mut head, &mut lines);
        let closing = self.is_complete(lines.len(), now);
        let for_good = row.is_for_good();
        let signed = self.sign(closing || for_good, &mut head, &mut lines);
        if lines.is_empty() {
            self.lines = lines;
            if closing {
                self.close_segment();
            }
            return Ok(());
        }
        let (lines, result) = self.put(lines, for_good).await;
        if result.is_ok() {
            if opening {
                self.last_segment = Some(self.head.seq + 1);
                self.segment_ends = now + self.settings.segment_age;
            }
            if closing {
                self.close_segment();
            }
            let records = head.seq - self.head.seq;
            self.metrics
                .audit_written(records, lines.len() as u64, now.elapsed());
            self.head = head;
            self.health.flow.advance(head.seq + 1);
            self.backlog.forget(owed);
            self.checkpoints.written(records, signed.is_some());
            if let Some(start) = signed {
                self.replace_head(&lines[start..]);
            }
        }
        self.lines = lines;
        self.lines.shrink_to(2 * GROUP);
        result
    }

    /// A segment that failed to reach the disk gets nothing more.
    fn drop_distrusted(&mut self) -> io::Result<()> {
        if let Some(segment) = &mut self.segment {
            segment.mend()?;
            if segment.is_over() {
                self.segment = None;
                self.health.flow.close_segment();
            }
        }
        Ok(())
    }

    /// The lines of what is owed and the row; those that open a segment before them, if need be.
    fn link(&self, owed: usize, row: &Row, head: &mut Head, lines: &mut Vec<u8>) {
        let owed = self.backlog.first(owed).map(Batch::bodies);
        let mut batches = owed.chain(row.wanted()).peekable();
        let something = batches.peek().is_some() || self.checkpoints.is_due(0, false);
        if self.is_opening() && something {
            let opened = Event::SegmentOpened {
                previous: self.last_segment,
                key: self.settings.key.public(),
            };
            Batch::of(self.clock.now(), &opened).link(head, lines);
        }
        for bodies in batches {
            batch::link(bodies, head, lines);
        }
    }

    /// Whether what comes next is the first of a segment: also of one that was made, and that
    /// nothing could be written to yet.
    fn is_opening(&self) -> bool {
        self.segment
            .as_ref()
            .is_none_or(|segment| segment.len() == 0)
    }

    /// Nothing more goes into the segment. In `write` the kernel may still hold much of it; it is
    /// brought to the disk now, beside the writer, so that a loss of power later than this cannot
    /// leave a hole behind which the log goes on.
    fn close_segment(&mut self) {
        let segment = self.segment.take();
        self.health.flow.close_segment();
        if let (Some(mut segment), Durability::Write) = (segment, self.settings.durability) {
            tokio::task::spawn_blocking(move || segment.sync());
        }
    }

    /// Whether the segment is complete with so many more bytes.
    fn is_complete(&self, more: usize, now: Instant) -> bool {
        let len = self.segment.as_ref().map_or(0, Segment::len) + more as u64;
        let aged = self.segment.is_some() && now >= self.segment_ends;
        len >= self.settings.segment_bytes || aged
    }

    /// Adds a checkpoint if one is due, or if one must be, and says where in `lines` it begins.
    fn sign(&mut self, must: bool, head: &mut Head, lines: &mut Vec<u8>) -> Option<usize> {
        let more = head.seq - self.head.seq;
        if !self.checkpoints.is_due(more, must) {
            return None;
        }
        let start = lines.len();
        let at = self.clock.now();
        let checkpoint = self.checkpoints.sign(*head, at);
        Batch::of(at, &checkpoint).link(head, lines);
        Some(start)
    }

    /// Gives the lines to the segment, on a thread for it if the disk is waited for.
    async fn put(&mut self, lines: Vec<u8>, for_good: bool) -> (Vec<u8>, io::Result<()>) {
        let (volume, segment) = (Arc::clone(&self.volume), self.segment.take());
        let sync = for_good || self.settings.durability == Durability::Fsync;
        let first = self.head.seq + 1;
        if segment.is_none() {
            self.health.flow.open_segment(first);
        }
        let put = move || {
            let (segment, result) = put(&*volume, segment, first, &lines, sync);
            (segment, lines, result)
        };
        let (segment, lines, result) = match sync {
            false => put(),
            true => tokio::task::spawn_blocking(put)
                .await
                .expect("writing returns, and the runtime outlives the writer"),
        };
        self.segment = segment;
        (lines, result)
    }

    /// The copy is a help against a log whose end was cut off; the log is sound without it.
    fn replace_head(&self, line: &[u8]) {
        if let Err(error) = self.volume.replace_head(line) {
            tracing::warn!(%error, "the copy of the audit's last checkpoint could not be written");
        }
    }
}

fn put(
    volume: &dyn Volume,
    segment: Option<Segment>,
    first: u64,
    lines: &[u8],
    sync: bool,
) -> (Option<Segment>, io::Result<()>) {
    let segment = segment.map_or_else(|| volume.create(first), Ok);
    match segment {
        Ok(mut segment) => {
            let result = segment.append(lines, sync);
            (Some(segment), result)
        }
        Err(error) => (None, Err(error)),
    }
}
