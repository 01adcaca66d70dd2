//! Ships sealed segments to a bucket, in the log's order, and heads: as `HEAD` the checkpoint that
//! the last of them ends in, so that what is there verifies as it is; as `HEAD.live` the log's own,
//! which is ahead of that.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

use super::bucket::Bucket;
use super::courier::{Courier, blocking};
use super::destination::Destination;
use super::failure::Failure;
use super::mark::Mark;
use crate::audit::files::{FileKind, HEAD};
use crate::audit::follow::{Follower, Opening};
use crate::audit::listing::{Present, segments};
use crate::audit::{Flow, Hash, Head};

/// What the log's own head is called there.
const LIVE_HEAD: &str = "HEAD.live";
/// How often it is shipped, at most.
const HEAD_EVERY: Duration = Duration::from_secs(10);

/// Ships sealed segments.
pub(super) struct Segments {
    folder: PathBuf,
    flow: Arc<Flow>,
    bucket: Bucket,
    mark: Mark,
    /// Segments that begin before this are there.
    next: u64,
    destination: Arc<Destination>,
    head: Vec<u8>,
    head_at: Option<Instant>,
}

impl Segments {
    /// Goes on where the mark is.
    ///
    /// # Errors
    /// If the mark or the folder cannot be read.
    pub(super) fn new(
        folder: PathBuf,
        flow: Arc<Flow>,
        bucket: Bucket,
        mark: Mark,
        destination: Arc<Destination>,
    ) -> io::Result<Self> {
        let next = mark.resume(&folder, flow.written())?;
        let waiting = segments(&folder)?.into_iter().find(|it| it.first >= next);
        let position = waiting.map_or(flow.written(), |segment| segment.first);
        destination.at(position);
        destination.has(position);
        Ok(Self {
            folder,
            flow,
            bucket,
            mark,
            next,
            destination,
            head: Vec::new(),
            head_at: None,
        })
    }

    /// The oldest segment that the bucket lacks.
    async fn waiting(&self) -> Result<Option<Present>, Failure> {
        let folder = self.folder.clone();
        let present = blocking(move || segments(&folder)).await?;
        let present = present.map_err(Failure::local("listing the audit folder"))?;
        Ok(present.into_iter().find(|it| it.first >= self.next))
    }

    /// Says where the bucket is, for the monitor.
    async fn note(&self, waiting: Option<&Present>) {
        let written = self.flow.written();
        let position = waiting.map_or(written, |segment| segment.first);
        if position != self.destination.position() || position < written {
            let at = opening(self.folder.clone(), position, written).await;
            self.destination.oldest(at);
        }
        self.destination.at(position);
        self.destination.has(position);
    }

    async fn ship(&mut self, segment: &Present) -> Result<(), Failure> {
        for kind in [FileKind::Sealed, FileKind::Index] {
            let name = kind.name(segment.first);
            let file = self.folder.join(&name);
            self.bucket.create(&name, &file).await?;
        }
        let file = self.folder.join(FileKind::Sealed.name(segment.first));
        let first = segment.first;
        let end = blocking(move || End::read(&file, first))
            .await?
            .map_err(Failure::local("reading a segment"))?;
        // After a crash a segment may end in something else: then the head of one before it stays.
        if end.is_checkpoint() {
            self.bucket.replace(HEAD, end.line).await?;
        }
        let (mark, head) = (self.mark.clone(), end.head);
        blocking(move || mark.save(head))
            .await?
            .map_err(Failure::local("keeping how far was shipped"))?;
        self.next = end.head.seq + 1;
        self.destination.succeeded();
        tracing::debug!(segment = segment.first, "a segment was shipped");
        Ok(())
    }

    async fn ship_live_head(&mut self) -> Result<(), Failure> {
        let line = match tokio::fs::read(self.folder.join(HEAD)).await {
            Ok(line) => line,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Failure::local("reading the log's head")(error)),
        };
        if line != self.head {
            self.bucket.replace(LIVE_HEAD, line.clone()).await?;
            self.head = line;
        }
        self.head_at = Some(Instant::now());
        self.destination.succeeded();
        Ok(())
    }
}

#[async_trait]
impl Courier for Segments {
    const POLL: Duration = Duration::from_secs(1);

    fn destination(&self) -> &Destination {
        &self.destination
    }

    async fn step(&mut self) -> Result<bool, Failure> {
        let waiting = self.waiting().await?;
        self.note(waiting.as_ref()).await;
        // One that is not sealed yet holds up those behind it: the order is the log's.
        if let Some(segment) = waiting.filter(|segment| segment.complete) {
            self.ship(&segment).await?;
            return Ok(true);
        }
        if self.head_at.is_none_or(|at| at.elapsed() >= HEAD_EVERY) {
            self.ship_live_head().await?;
        }
        Ok(false)
    }

    async fn finish(&mut self) -> Result<(), Failure> {
        self.ship_live_head().await
    }
}

/// How a segment ends.
struct End {
    head: Head,
    /// The last line, with its line end.
    line: Vec<u8>,
}

impl End {
    /// Of the sealed segment in `file`, which begins with the record `first`.
    fn read(file: &Path, first: u64) -> io::Result<Self> {
        let mut lines = BufReader::new(zstd::Decoder::new(File::open(file)?)?);
        let (mut last, mut line, mut seq) = (Vec::new(), Vec::new(), first);
        while lines.read_until(b'\n', &mut line)? > 0 {
            std::mem::swap(&mut last, &mut line);
            line.clear();
            seq += 1;
        }
        let whole = last.strip_suffix(b"\n");
        let whole = whole.ok_or(io::ErrorKind::UnexpectedEof)?;
        let head = Head {
            seq: seq - 1,
            hash: Hash::of(whole),
        };
        Ok(Self { head, line: last })
    }

    fn is_checkpoint(&self) -> bool {
        let opening = serde_json::from_slice::<Opening>(&self.line);
        opening.is_ok_and(|opening| opening.r#type == "checkpoint")
    }
}

/// When the record at `position` was observed, if it is there.
async fn opening(folder: PathBuf, position: u64, written: u64) -> Option<Timestamp> {
    let read = move || Follower::new(&folder, position).read(written, 1);
    let chunk = blocking(read).await.ok()?.ok()??;
    Some(chunk.opening()?.at)
}
