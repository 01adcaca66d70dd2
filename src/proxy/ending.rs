//! The end of an upstream: a statement does not go on running after its session.
//!
//! What runs is cancelled, again if need be, until everything is answered; then the backend is
//! told goodbye. SQL can catch a cancel (`exception when query_canceled`), and a backend in the
//! middle of a message hears none: what is left then is told to end by `pg_terminate_backend`, on
//! a connection of our own, which SQL cannot catch.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::dial::{Dial, Io};
use super::targets::ProxyTarget;
use super::upstream;
use crate::admission::Permit;
use crate::pg::startup::CancelKey;
use crate::pg::statements::{Fact, Tracker};
use crate::tls::MaybeTls;

/// How long a statement has to end after each cancel.
const CANCELS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(300)];
/// How long a backend that is told to end may take, and telling it.
const TERMINATE: Duration = Duration::from_secs(3);
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_millis(250);
/// How long a backend that runs nothing stays when the end was our doing: if many connections end
/// at once, their clients are told before the server's processes take the processor to exit.
const COURTESY: Duration = Duration::from_millis(200);

/// How things stand with an upstream that is to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    /// It has answered all that it was given.
    pub(super) idle: bool,
    /// It has all of every message that was begun.
    pub(super) at_boundary: bool,
    /// It has closed its side.
    pub(super) gone: bool,
    /// The end was our doing.
    pub(super) courtesy: bool,
}

/// What ending an upstream needs.
pub(super) struct Ender<'a, D> {
    pub(super) dialer: &'a D,
    pub(super) target: &'a ProxyTarget,
    pub(super) key: &'a CancelKey,
    pub(super) permit: &'a Permit,
}

/// What became of an upstream's backend, as far as one can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    /// It ended by itself.
    Ended,
    /// It ended when the server was told to end it.
    Terminated,
    /// It did not end in time.
    Left,
}

/// How waiting for answers ended.
#[derive(Debug, PartialEq, Eq)]
enum Answers {
    /// Everything is answered.
    Idle,
    /// The upstream has gone.
    Ended,
    /// Neither, in time.
    None,
}

impl<D: Dial> Ender<'_, D> {
    /// Ends it.
    pub(super) async fn end(
        &self,
        mut upstream: MaybeTls<D::Io>,
        tracker: &mut Tracker,
        running: Running,
        facts: &mut Vec<Fact>,
    ) -> Backend {
        if running.gone {
            return Backend::Ended;
        }
        if running.idle {
            if running.courtesy {
                sleep(COURTESY).await;
            }
            goodbye(upstream, tracker).await;
            return Backend::Ended;
        }
        for patience in CANCELS {
            let until = Instant::now() + patience;
            // A message that was begun keeps the backend listening: then it is idle and not done.
            let (_, answers) = tokio::join!(
                timeout_at(until, self.cancel()),
                answers(&mut upstream, tracker, facts, until)
            );
            match answers {
                Answers::Ended => return Backend::Ended,
                Answers::Idle if running.at_boundary => {
                    goodbye(upstream, tracker).await;
                    return Backend::Ended;
                }
                // It waits for the rest of a message, and runs nothing.
                Answers::Idle => {
                    self.dialer.abort(upstream.into_socket());
                    return Backend::Ended;
                }
                Answers::None => {}
            }
        }
        let gone = self.terminate(&mut upstream).await;
        self.dialer.abort(upstream.into_socket());
        match gone {
            true => Backend::Terminated,
            false => Backend::Left,
        }
    }

    async fn cancel(&self) {
        let endpoint = &self.target.endpoint;
        let sent = upstream::cancel(self.dialer, endpoint, self.key, TERMINATE).await;
        if let Err(error) = sent {
            tracing::warn!(target = %self.target.target.name, %error, "cancelling at the upstream");
        }
    }

    /// Has the server end the backend. Our side stays open until it has, so that its process id
    /// is nobody else's in the meantime.
    async fn terminate(&self, upstream: &mut MaybeTls<D::Io>) -> bool {
        let until = Instant::now() + TERMINATE;
        let process_id = self.key.process_id;
        let told =
            upstream::terminate(self.permit, self.dialer, self.target, process_id, TERMINATE);
        let (told, gone) = tokio::join!(told, timeout_at(until, ended(upstream)));
        let target = &self.target.target.name;
        if let Err(error) = told {
            tracing::error!(%target, %error, "ending the backend at the upstream");
        }
        if gone.is_err() {
            tracing::error!(%target, process_id, "the backend at the upstream did not end");
        }
        gone.is_ok()
    }
}

async fn goodbye<U: Io>(mut upstream: U, tracker: &Tracker) {
    const TERMINATE: &[u8] = b"X\0\0\0\x04";
    let goodbye = async {
        // A client that said it has had it forwarded.
        if !tracker.is_terminated() {
            upstream.write_all(TERMINATE).await?;
        }
        upstream.shutdown().await
    };
    let _ = timeout(GOODBYE, goodbye).await;
}

/// Reads answers until everything is answered, or until `until`.
async fn answers<U: Io>(
    upstream: &mut U,
    tracker: &mut Tracker,
    facts: &mut Vec<Fact>,
    until: Instant,
) -> Answers {
    let mut scratch = BytesMut::with_capacity(16 * 1024);
    let read = async {
        while !tracker.is_idle() {
            scratch.clear();
            if !matches!(upstream.read_buf(&mut scratch).await, Ok(1..))
                || tracker.received(&scratch, facts).is_err()
            {
                return Answers::Ended;
            }
        }
        Answers::Idle
    };
    timeout_at(until, read).await.unwrap_or(Answers::None)
}

/// Returns when the upstream has closed its side.
async fn ended<U: Io>(upstream: &mut U) {
    let mut scratch = BytesMut::with_capacity(16 * 1024);
    while matches!(upstream.read_buf(&mut scratch).await, Ok(1..)) {
        scratch.clear();
    }
}
