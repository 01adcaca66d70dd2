//! What one connection records its statements with: without an allocation, a timer or a task of its
//! own for each.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use super::queue::Waiting;
use super::slot::Wait;
use super::{Batch, Recorder, Unavailable};

/// A commit that has to wait for its place in the queue.
type Late = Pin<Box<dyn Future<Output = Result<(), Unavailable>> + Send>>;

/// What one connection records with; one batch at a time. When it is dropped, what it waits for is
/// not made any more, if it is not yet.
pub struct Pen {
    recorder: Recorder,
    wait: Wait,
    late: Option<Late>,
    refused: Option<Unavailable>,
}

impl Pen {
    pub(super) fn new(recorder: Recorder, wait: Wait) -> Self {
        Self {
            recorder,
            wait,
            late: None,
            refused: None,
        }
    }

    /// Brings a batch; [`Pen::poll`] says when it is durable.
    pub fn commit(&mut self, batch: &Batch, now: Instant) {
        if let Err(refused) = self.recorder.is_open() {
            self.refused = Some(refused);
            return;
        }
        match self.recorder.place_now(batch) {
            Some(place) => place.fill(batch, Waiting::Slot(self.wait.begin(now))),
            None => {
                let (recorder, batch) = (self.recorder.clone(), batch.clone());
                self.late = Some(Box::pin(async move { recorder.commit(batch).await }));
            }
        }
    }

    /// Whether the batch that was brought last is durable.
    ///
    /// # Errors
    /// [`Unavailable`], also if it takes longer than the timeout: then what the batch says must
    /// not happen, and the pen is not used any more.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unavailable>> {
        if let Some(refused) = self.refused {
            return Poll::Ready(Err(refused));
        }
        let Some(late) = &mut self.late else {
            return self.wait.poll(cx);
        };
        let made = late.as_mut().poll(cx);
        if made.is_ready() {
            self.late = None;
        }
        made
    }
}
