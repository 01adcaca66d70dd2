//! A live feed: every record's line, in order, to one receiver, as it is written.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::courier::{Courier, blocking};
use super::destination::Destination;
use super::failure::Failure;
use super::mark::Mark;
use crate::audit::follow::{Chunk, FollowError, Follower};
use crate::audit::{Flow, Head};

/// Bytes of records that are sent in one go.
const BATCH: usize = 1024 * 1024;
/// After so many that were taken, twice as much is tried.
const GROWS_AFTER: u32 = 32;

/// Whoever takes records.
#[async_trait]
pub(super) trait Receiver: Send {
    /// Sends it records. Once that worked, [`Receiver::settled`] says which it has for good.
    async fn send(&mut self, chunk: &Chunk) -> Result<(), Failure>;

    /// Looks after the connection while there is nothing to send.
    async fn idle(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Says goodbye; what was sent has then settled.
    async fn finish(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// The first record that it may not have, where all before `sent` were sent.
    fn settled(&mut self, sent: u64) -> u64 {
        sent
    }
}

/// Feeds one receiver.
pub(super) struct Feed {
    flow: Arc<Flow>,
    /// `None` while it reads.
    follower: Option<Follower>,
    folder: PathBuf,
    receiver: Box<dyn Receiver>,
    mark: Mark,
    /// What the mark says.
    marked: u64,
    /// The last record of each chunk that was sent and is not marked yet.
    ends: VecDeque<Head>,
    destination: Arc<Destination>,
    /// What could not be sent: it is sent again as it was.
    pending: Option<Chunk>,
    /// The first record that was not sent.
    sent: u64,
    /// Bytes to send in one go.
    batch: usize,
    /// How many were taken since that changed.
    taken: u32,
    /// The record that is refused although it came alone.
    refused: Option<u64>,
}

impl Feed {
    /// Goes on where the mark is; without one, at the oldest record there is.
    ///
    /// # Errors
    /// If the mark or the folder cannot be read.
    pub(super) fn new(
        folder: PathBuf,
        flow: Arc<Flow>,
        mark: Mark,
        receiver: Box<dyn Receiver>,
        destination: Arc<Destination>,
    ) -> io::Result<Self> {
        let next = mark.resume(&folder, flow.written())?;
        destination.at(next);
        destination.has(next);
        Ok(Self {
            flow,
            follower: Some(Follower::new(&folder, next)),
            folder,
            receiver,
            mark,
            marked: next,
            ends: VecDeque::new(),
            destination,
            pending: None,
            sent: next,
            batch: BATCH,
            taken: 0,
            refused: None,
        })
    }

    /// What is to be sent next.
    async fn chunk(&mut self) -> Result<Option<Chunk>, Failure> {
        if let Some(chunk) = self.pending.take() {
            return Ok(Some(chunk));
        }
        let written = self.flow.written();
        if self.sent >= written {
            return Ok(None);
        }
        let follower = self.follower.take();
        let mut follower = follower.unwrap_or_else(|| Follower::new(&self.folder, self.sent));
        follower.seek(self.sent);
        let batch = self.batch;
        let read = move || {
            let chunk = follower.read(written, batch);
            (follower, chunk)
        };
        let (follower, chunk) = blocking(read).await?;
        self.follower = Some(follower);
        match chunk {
            Ok(chunk) => Ok(chunk),
            Err(error) => Err(self.pass_over(error)),
        }
    }

    /// Records that are gone cannot be waited for: say so, loudly, and go on behind them.
    fn pass_over(&mut self, error: FollowError) -> Failure {
        if let FollowError::Missing { next, .. } = error {
            self.sent = next;
        }
        error.into()
    }

    async fn send(&mut self, chunk: Chunk) -> Result<(), Failure> {
        self.destination.at(chunk.first);
        self.destination
            .oldest(chunk.opening().map(|opening| opening.at));
        match self.receiver.send(&chunk).await {
            Ok(()) => {}
            // Half of it may be taken: no reason to wait.
            Err(failure) if failure.is_of_content() && chunk.count > 1 => {
                self.destination.failed(&failure);
                self.batch = chunk.lines.len() / 2;
                self.taken = 0;
                return Ok(());
            }
            Err(failure) => {
                if failure.is_of_content() {
                    self.object_to(&chunk, &failure);
                }
                self.take_back(chunk);
                return Err(failure);
            }
        }
        self.sent = chunk.end();
        self.ends.push_back(chunk.head());
        self.destination.at(self.sent);
        self.destination.succeeded();
        self.grow();
        self.keep().await
    }

    /// What was too much once need not be for ever.
    fn grow(&mut self) {
        self.refused = None;
        self.taken += 1;
        if self.taken >= GROWS_AFTER {
            self.taken = 0;
            self.batch = (self.batch * 2).min(BATCH);
        }
    }

    /// A record that is refused alone holds up all behind it, for none is left out: somebody has to
    /// hear of it, once.
    fn object_to(&mut self, chunk: &Chunk, failure: &Failure) {
        if self.refused.replace(chunk.first) != Some(chunk.first) {
            tracing::error!(
                destination = self.destination.name,
                seq = chunk.first,
                bytes = chunk.lines.len(),
                "this record alone is refused ({failure}), and nothing behind it is sent: it is tried again until the receiver takes it"
            );
        }
    }

    /// What has to be sent again: this, and what a broken connection may have swallowed.
    fn take_back(&mut self, chunk: Chunk) {
        if self.receiver.settled(self.sent) == self.sent {
            self.pending = Some(chunk);
        }
        self.fall_back();
    }

    fn fall_back(&mut self) {
        self.sent = self
            .receiver
            .settled(self.sent)
            .min(self.sent)
            .max(self.marked);
        let sent = self.sent;
        self.ends.retain(|head| head.seq < sent);
        self.destination.at(self.sent);
    }

    /// Keeps how far the receiver has everything for good.
    async fn keep(&mut self) -> Result<(), Failure> {
        let settled = self.receiver.settled(self.sent);
        let count = self.ends.partition_point(|head| head.seq < settled);
        let Some(head) = count.checked_sub(1).map(|last| self.ends[last]) else {
            return Ok(());
        };
        let mark = self.mark.clone();
        blocking(move || mark.save(head))
            .await?
            .map_err(Failure::local("keeping how far was shipped"))?;
        self.ends.drain(..count);
        self.marked = head.seq + 1;
        self.destination.has(self.marked);
        Ok(())
    }
}

#[async_trait]
impl Courier for Feed {
    const POLL: Duration = Duration::from_millis(200);

    fn destination(&self) -> &Destination {
        &self.destination
    }

    async fn step(&mut self) -> Result<bool, Failure> {
        if let Some(chunk) = self.chunk().await? {
            self.send(chunk).await?;
            return Ok(true);
        }
        if let Err(failure) = self.receiver.idle().await {
            self.fall_back();
            return Err(failure);
        }
        self.keep().await?;
        Ok(false)
    }

    async fn finish(&mut self) -> Result<(), Failure> {
        self.receiver.finish().await?;
        self.keep().await
    }
}
