//! Both directions of one connection, in one task, as the bytes came.
//!
//! What the client sends is looked at in place, recorded, and forwarded once the record is
//! durable; what the upstream answers is looked at in place and forwarded at once. Memory is
//! bounded: nothing is read from one side while the other does not take what was read before.

use std::future::{Future, poll_fn, ready};
use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncRead;
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;

use super::buffers;
use super::closing::CloseReason;
use super::dial::Io;
use super::pace::Pace;
use super::record::Scribe;
use crate::audit::{Batch, Pen, Unavailable};
use crate::pg::Notice;
use crate::pg::frame::HEADER;
use crate::pg::statements::{Fact, MAX_OUTSTANDING, Tracker, WHOLE};

/// A read asks for this much at first, and for more while it gets all that it asks for.
const MIN_READ: usize = buffers::USUAL;
const MAX_READ: usize = 64 * 1024;
/// A message that is recorded whole must fit.
const MAX_REQUESTS: usize = WHOLE + HEADER + MIN_READ;
/// Turns that one connection takes before it lets others have theirs.
const TURNS: usize = 32;

/// `Break` ends the connection.
type Step = ControlFlow<CloseReason, Next>;
/// Outcomes on their way to the writer's queue, which is full; they come back if it stays so.
pub(super) type Notes = Pin<Box<dyn Future<Output = Result<(), Batch>> + Send>>;

/// What a direction does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It goes on: it has moved something, and nothing holds it up.
    Again,
    /// It waits to be called.
    Wait,
}

/// One connection from its first ReadyForQuery to its end.
pub(super) struct Relay<C, U> {
    pub(super) client: C,
    pub(super) upstream: U,
    pub(super) tracker: Tracker,
    pub(super) replies: Replies,
    pub(super) scribe: Scribe,
    requests: Requests,
    /// Facts that are not recorded yet; kept between turns for its room.
    pub(super) facts: Vec<Fact>,
    pace: Pace,
    /// Whether what came before the relay has been looked at.
    begun: bool,
    pub(super) totals: Totals,
}

/// Client to upstream.
struct Requests {
    buffer: BytesMut,
    /// Bytes at the front that the tracker has read.
    scanned: usize,
    /// Bytes at the front whose records are durable.
    cleared: usize,
    /// What their records are made with.
    pen: Pen,
    /// The rest of the scanned bytes wait for their records.
    waits: bool,
    unflushed: bool,
    /// The upstream takes nothing more; what it said last is still to be read.
    broken: bool,
    /// The client has closed its side; what it asked for is still to be answered.
    ended: bool,
    /// Nothing was outstanding before what waits for its record.
    idle_before: bool,
    /// The last look found something, so the next one may too.
    look_again: bool,
    read_size: usize,
}

/// Upstream to client.
pub(super) struct Replies {
    pub(super) buffer: BytesMut,
    /// Bytes read since the last message ended: as many bytes at the end of the buffer, or more
    /// if some of them are with the client already.
    pub(super) after_boundary: usize,
    /// Outcomes on their way to the audit; nothing more is read before they are queued.
    pub(super) notes: Option<Notes>,
    /// A notice that waits for the end of a message.
    notice: Option<BytesMut>,
    unflushed: bool,
    read_size: usize,
}

/// Bytes that passed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Totals {
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl<C: Io, U: Io> Relay<C, U> {
    /// `unread` is what the client has sent already, and what the upstream has.
    pub(super) fn new(
        (client, from_client): (C, BytesMut),
        (upstream, from_upstream): (U, BytesMut),
        scribe: Scribe,
        idle_timeout: Option<Duration>,
        notices: Vec<(Instant, Notice)>,
    ) -> Self {
        let now = Instant::now();
        let pen = scribe.recorder.pen();
        Self {
            client,
            upstream,
            tracker: Tracker::new(),
            scribe,
            requests: Requests {
                buffer: from_client,
                scanned: 0,
                cleared: 0,
                pen,
                waits: false,
                unflushed: false,
                broken: false,
                ended: false,
                idle_before: true,
                look_again: false,
                read_size: MIN_READ,
            },
            replies: Replies {
                buffer: from_upstream,
                after_boundary: 0,
                notes: None,
                notice: None,
                unflushed: false,
                read_size: MIN_READ,
            },
            facts: Vec::new(),
            pace: Pace::new(idle_timeout, notices, now),
            begun: false,
            totals: Totals::default(),
        }
    }

    /// What is to be said when, from now on; the next one last.
    pub(super) fn set_notices(&mut self, notices: Vec<(Instant, Notice)>) {
        self.pace.notices = notices;
        self.pace.set();
    }

    /// Relays until one side ends it. Safe to drop, and to call again: whoever ends the connection
    /// goes on from the state that it is in.
    pub(super) async fn run(&mut self) -> CloseReason {
        let ControlFlow::Break(reason) = self.begin() else {
            return poll_fn(|cx| self.poll(cx)).await;
        };
        reason
    }

    /// Looks at what came before the relay began.
    fn begin(&mut self) -> ControlFlow<CloseReason> {
        if std::mem::replace(&mut self.begun, true) {
            return ControlFlow::Continue(());
        }
        let now = Instant::now();
        if !self.requests.buffer.is_empty() {
            self.scan_requests(now);
        }
        let early = self.replies.buffer.len();
        if early > 0 {
            self.scan_replies(0, now)?;
        }
        ControlFlow::Continue(())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let now = Instant::now();
        match self.turns(cx, now) {
            ControlFlow::Continue(Next::Wait) => self.release_idle_buffers(),
            ControlFlow::Continue(Next::Again) => cx.waker().wake_by_ref(),
            ControlFlow::Break(reason) => return Poll::Ready(reason),
        }
        Poll::Pending
    }

    /// Replies first: what they answer makes room for requests, and not the other way round.
    fn turns(&mut self, cx: &mut Context<'_>, now: Instant) -> Step {
        let replies = self.take_turns(now, |relay| relay.poll_replies(cx, now))?;
        let requests = self.take_turns(now, |relay| relay.poll_requests(cx, now))?;
        let pace = self.poll_pace(cx, now)?;
        let next = [replies, requests, pace].contains(&Next::Again);
        ControlFlow::Continue(if next { Next::Again } else { Next::Wait })
    }

    /// Lets one direction go on until it waits, or has had its turns.
    fn take_turns(&mut self, now: Instant, mut turn: impl FnMut(&mut Self) -> Step) -> Step {
        for _ in 0..TURNS {
            if turn(self)? == Next::Wait {
                return ControlFlow::Continue(Next::Wait);
            }
            self.pace.active_at = now;
        }
        ControlFlow::Continue(Next::Again)
    }

    /// Client to upstream: forward what is cleared, wait for what is being recorded, read more.
    fn poll_requests(&mut self, cx: &mut Context<'_>, now: Instant) -> Step {
        if self.requests.broken {
            return ControlFlow::Continue(Next::Wait);
        }
        if self.requests.waits {
            match self.requests.pen.poll(cx) {
                Poll::Pending => return ControlFlow::Continue(Next::Wait),
                Poll::Ready(Err(unavailable)) => {
                    // It goes on to wait, as a sign that nothing of it was forwarded.
                    return ControlFlow::Break(CloseReason::AuditUnavailable(unavailable));
                }
                Poll::Ready(Ok(())) => {
                    self.requests.waits = false;
                    self.requests.cleared = self.requests.scanned;
                }
            }
        }
        self.forward_requests(cx, now);
        if self.requests.cleared > 0 {
            return ControlFlow::Continue(Next::Wait);
        }
        if let Some(violation) = self.tracker.violation() {
            let what = violation.to_string();
            return ControlFlow::Break(CloseReason::ProtocolViolation(what));
        }
        if self.is_done_asking() {
            // As PostgreSQL does, finish what was asked for before the goodbye.
            return match (self.tracker.is_idle(), self.tracker.is_terminated()) {
                (false, _) => ControlFlow::Continue(Next::Wait),
                (true, true) => ControlFlow::Break(CloseReason::ClientTerminated),
                (true, false) => ControlFlow::Break(CloseReason::ClientGone),
            };
        }
        if self.tracker.outstanding() >= MAX_OUTSTANDING {
            return ControlFlow::Continue(Next::Wait);
        }
        if !self.requests.look_again {
            let requests = &mut self.requests;
            let room = MAX_REQUESTS.saturating_sub(requests.buffer.len());
            let wanted = requests.read_size.min(room);
            match read(&mut self.client, &mut requests.buffer, wanted, cx) {
                Poll::Pending => return ControlFlow::Continue(Next::Wait),
                Poll::Ready(Err(_)) => return ControlFlow::Break(CloseReason::ClientGone),
                Poll::Ready(Ok(0)) => {
                    requests.ended = true;
                    return ControlFlow::Continue(Next::Again);
                }
                Poll::Ready(Ok(n)) => requests.read_size = next_read(n, wanted),
            }
        }
        self.scan_requests(now);
        ControlFlow::Continue(Next::Again)
    }

    /// Whether nothing more comes from the client.
    fn is_done_asking(&self) -> bool {
        self.tracker.is_terminated() || (self.requests.ended && !self.requests.look_again)
    }

    /// Writes what is cleared; all of it is gone when nothing is cleared any more.
    fn forward_requests(&mut self, cx: &mut Context<'_>, now: Instant) {
        let requests = &mut self.requests;
        while requests.cleared > 0 {
            let cleared = &requests.buffer[..requests.cleared];
            match Pin::new(&mut self.upstream).poll_write(cx, cleared) {
                Poll::Pending => return,
                Poll::Ready(Err(_) | Ok(0)) => {
                    requests.broken = true;
                    return;
                }
                Poll::Ready(Ok(n)) => {
                    requests.buffer.advance(n);
                    requests.scanned -= n;
                    requests.cleared -= n;
                    requests.unflushed = true;
                    self.pace.active_at = now;
                    self.totals.bytes_in += n as u64;
                    self.scribe.metrics.bytes_in.inc_by(n as u64);
                }
            }
        }
        if requests.unflushed && Pin::new(&mut self.upstream).poll_flush(cx).is_ready() {
            requests.unflushed = false;
        }
    }

    /// Reads the new bytes of the client as messages, and has them recorded.
    fn scan_requests(&mut self, now: Instant) {
        let requests = &mut self.requests;
        requests.idle_before = self.tracker.is_idle() && self.tracker.at_request_boundary();
        let new = &requests.buffer[requests.scanned..];
        let taken = self.tracker.sent(new, now, &mut self.facts);
        requests.look_again = 0 < taken && taken < new.len();
        requests.scanned += taken;
        if self.facts.is_empty() {
            requests.cleared = requests.scanned;
        } else {
            let batch = self.scribe.write(&mut self.facts, now);
            requests.pen.commit(batch, now.into_std());
            requests.waits = true;
        }
    }

    /// Upstream to client: write what there is, then read more.
    fn poll_replies(&mut self, cx: &mut Context<'_>, now: Instant) -> Step {
        self.forward_replies(cx, now)?;
        if let Some(notes) = &mut self.replies.notes {
            match notes.as_mut().poll(cx) {
                Poll::Pending => return ControlFlow::Continue(Next::Wait),
                Poll::Ready(Ok(())) => self.replies.notes = None,
                Poll::Ready(Err(batch)) => {
                    // Whoever closes the connection hands them in again.
                    self.replies.notes = Some(Box::pin(ready(Err(batch))));
                    let unavailable = Unavailable::Unwritable;
                    return ControlFlow::Break(CloseReason::AuditUnavailable(unavailable));
                }
            }
        }
        if !self.replies.buffer.is_empty() {
            return ControlFlow::Continue(Next::Wait);
        }
        let replies = &mut self.replies;
        let wanted = replies.read_size;
        match read(&mut self.upstream, &mut replies.buffer, wanted, cx) {
            Poll::Pending => return ControlFlow::Continue(Next::Wait),
            Poll::Ready(Ok(0) | Err(_)) if self.tracker.is_terminated() => {
                return ControlFlow::Break(CloseReason::ClientTerminated);
            }
            Poll::Ready(Ok(0) | Err(_)) => {
                return ControlFlow::Break(CloseReason::UpstreamClosed);
            }
            Poll::Ready(Ok(n)) => replies.read_size = next_read(n, wanted),
        }
        self.scan_replies(0, now)?;
        self.forward_replies(cx, now)?;
        ControlFlow::Continue(Next::Again)
    }

    /// Writes what there is; all of it is gone when the buffer is empty.
    fn forward_replies(&mut self, cx: &mut Context<'_>, now: Instant) -> ControlFlow<CloseReason> {
        let replies = &mut self.replies;
        while !replies.buffer.is_empty() {
            match Pin::new(&mut self.client).poll_write(cx, &replies.buffer) {
                Poll::Pending => return ControlFlow::Continue(()),
                Poll::Ready(Err(_) | Ok(0)) if self.tracker.is_terminated() => {
                    replies.buffer.clear();
                }
                Poll::Ready(Err(_) | Ok(0)) => {
                    return ControlFlow::Break(CloseReason::ClientGone);
                }
                Poll::Ready(Ok(n)) => {
                    replies.buffer.advance(n);
                    replies.unflushed = true;
                    self.pace.active_at = now;
                    self.totals.bytes_out += n as u64;
                    self.scribe.metrics.bytes_out.inc_by(n as u64);
                }
            }
        }
        if replies.unflushed && Pin::new(&mut self.client).poll_flush(cx).is_ready() {
            replies.unflushed = false;
        }
        ControlFlow::Continue(())
    }

    /// Reads the upstream's bytes from `from` on as messages, and notes what became of statements.
    fn scan_replies(&mut self, from: usize, now: Instant) -> ControlFlow<CloseReason> {
        let new = &self.replies.buffer[from..];
        match self.tracker.received(new, &mut self.facts) {
            Ok(Some(boundary)) => self.replies.after_boundary = new.len() - boundary,
            Ok(None) => self.replies.after_boundary += new.len(),
            Err(lost) => {
                // The client gets the whole messages before it.
                self.replies.buffer.truncate(from + lost.at);
                if lost.at > 0 {
                    self.replies.after_boundary = 0;
                }
                let what = format!("the upstream: {lost}");
                return ControlFlow::Break(CloseReason::ProtocolViolation(what));
            }
        }
        if !self.facts.is_empty() {
            self.replies.notes = self.scribe.note(&mut self.facts, now);
        }
        self.replies.put_notice();
        ControlFlow::Continue(())
    }

    /// Whether the upstream stands between two messages of the client, all of them forwarded.
    pub(super) fn at_request_boundary(&self) -> bool {
        self.tracker.at_request_boundary() && self.requests.scanned == 0
    }

    /// Whether the upstream has answered all that it was given, and waits for nothing.
    pub(super) fn is_upstream_idle(&self) -> bool {
        let requests = &self.requests;
        match requests.waits {
            // What waits for its record has not been given to it.
            true => requests.idle_before,
            false => self.at_request_boundary() && self.tracker.is_idle(),
        }
    }

    /// Says what is due, and ends a connection that has been idle for too long.
    fn poll_pace(&mut self, cx: &mut Context<'_>, now: Instant) -> Step {
        if self.pace.poll(cx, now).is_pending() {
            return ControlFlow::Continue(Next::Wait);
        }
        while let Some((_, notice)) = self.pace.notices.pop_if(|(at, _)| *at <= now) {
            self.replies.notice = Some(notice.encode());
            self.replies.put_notice();
        }
        if self.pace.is_idle(now) {
            if self.tracker.is_idle() {
                return ControlFlow::Break(CloseReason::IdleTimeout);
            }
            // A running query is not idle.
            self.pace.active_at = now;
        }
        self.pace.set();
        // Write what was put in, and arm the timer.
        ControlFlow::Continue(Next::Again)
    }

    /// An idle connection holds no buffers.
    fn release_idle_buffers(&mut self) {
        self.facts.shrink_to(16);
        buffers::give_back(&mut self.requests.buffer);
        buffers::give_back(&mut self.replies.buffer);
    }
}

impl Replies {
    /// Puts the notice that waits behind the last whole message, unless the client already has
    /// a piece of the next one.
    fn put_notice(&mut self) {
        if self.after_boundary <= self.buffer.len()
            && let Some(notice) = self.notice.take()
        {
            let begun = self
                .buffer
                .split_off(self.buffer.len() - self.after_boundary);
            self.buffer.extend_from_slice(&notice);
            self.buffer.unsplit(begun);
        }
    }
}

/// Reads once, at most `wanted` bytes or what room there is.
fn read<S: AsyncRead + Unpin>(
    io: &mut S,
    buffer: &mut BytesMut,
    wanted: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    buffers::make_room(buffer, wanted);
    poll_read_buf(Pin::new(io), cx, buffer)
}

/// Asks for more while reads come back full, for less when they do not.
fn next_read(got: usize, wanted: usize) -> usize {
    if got >= wanted {
        (wanted * 2).min(MAX_READ)
    } else {
        MIN_READ
    }
}

#[cfg(test)]
mod tests;
