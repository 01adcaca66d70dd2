//! The end of a connection: nothing that either side does, or fails to do, delays it.
//!
//! The client gets the rest of the message that it has begun to read, a FATAL that says why, and
//! the end of the stream; at the same time `ending` sees to the upstream.

use std::future::ready;
use std::time::Duration;

use bytes::BytesMut;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::dial::{Dial, Io};
use super::ending::{Backend, Ender, Running};
use super::refusal::audit_unavailable;
use super::relay::{Notes, Relay, Replies};
use crate::access::Ending;
use crate::admission::Permit;
use crate::audit::Unavailable;
use crate::pg::statements::Fact;
use crate::pg::{ErrorReply, SqlState};
use crate::tls::MaybeTls;

/// How long the upstream may take for the rest of a message that the client has begun to read.
const FINISH_MESSAGE: Duration = Duration::from_millis(100);
/// How long the client may take to take its farewell.
const FAREWELL: Duration = Duration::from_millis(250);
/// How long the client's last words are overheard, so that ours are not lost to a reset.
const LINGER: Duration = Duration::from_millis(250);
/// Why a connection ended. A value, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said goodbye.
    ClientTerminated,
    /// The client's stream ended, or failed.
    ClientGone,
    /// The upstream's stream ended, or failed.
    UpstreamClosed,
    /// Time ended the session.
    SessionExpired,
    /// A person ended the session.
    SessionRevoked {
        /// Who.
        by: String,
        /// Why, if they said.
        reason: String,
    },
    /// Nothing happened for longer than the target allows.
    IdleTimeout,
    /// A record could not be made.
    AuditUnavailable(Unavailable),
    /// Somebody did not speak PostgreSQL's protocol; what was wrong.
    ProtocolViolation(String),
    /// hallpass is stopping.
    ShuttingDown,
}

impl From<Ending> for CloseReason {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Expired => Self::SessionExpired,
            Ending::Revoked { by, reason } => Self::SessionRevoked {
                by: by.to_string(),
                reason,
            },
        }
    }
}

impl CloseReason {
    /// A short name for the audit and for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::ClientTerminated => "client_terminated",
            Self::ClientGone => "client_gone",
            Self::UpstreamClosed => "upstream_closed",
            Self::SessionExpired => "session_expired",
            Self::SessionRevoked { .. } => "session_revoked",
            Self::IdleTimeout => "idle_timeout",
            Self::AuditUnavailable(_) => "audit_unavailable",
            Self::ProtocolViolation(_) => "protocol_violation",
            Self::ShuttingDown => "shutting_down",
        }
    }

    /// What the client is told; `None`: it is not there to hear it, or has been told.
    pub(super) fn reply(&self, permit: Option<&Permit>) -> Option<ErrorReply> {
        let shutdown = |message: String| ErrorReply::new(SqlState::ADMIN_SHUTDOWN, message);
        Some(match self {
            Self::ClientTerminated | Self::ClientGone | Self::UpstreamClosed => return None,
            Self::SessionExpired => {
                let reply = shutdown(format!("hallpass: {} has expired", session(permit)));
                again(reply, permit)
            }
            Self::SessionRevoked { by, reason } => {
                let mut message = format!("hallpass: {} was revoked by {by}", session(permit));
                if !reason.is_empty() {
                    message = format!("{message}: {reason}");
                }
                again(shutdown(message), permit)
            }
            Self::IdleTimeout => ErrorReply::new(
                SqlState::IDLE_SESSION_TIMEOUT,
                "hallpass: the connection was idle for too long",
            )
            .hint("The session goes on: connect again."),
            Self::AuditUnavailable(why) => audit_unavailable(*why),
            Self::ProtocolViolation(what) => {
                ErrorReply::new(SqlState::PROTOCOL_VIOLATION, format!("hallpass: {what}"))
            }
            Self::ShuttingDown => shutdown("hallpass: the proxy is shutting down".into())
                .hint("The session goes on: connect again when it is back."),
        })
    }
}

fn session(permit: Option<&Permit>) -> String {
    permit.map_or_else(
        || "the session".to_owned(),
        |permit| format!("session {}", permit.connection().session),
    )
}

/// Adds whose session it was and how to get another.
fn again(reply: ErrorReply, permit: Option<&Permit>) -> ErrorReply {
    let Some(permit) = permit else { return reply };
    let connection = permit.connection();
    let until = Timestamp::from_second(permit.expires_at().as_second()).unwrap_or_default();
    reply
        .detail(format!(
            "It was granted to {} for {} until {until}.",
            connection.principal, connection.target
        ))
        .hint(format!(
            "Ask for access again with: hallpass request {} --for 30m --reason \"...\"",
            connection.target
        ))
}

/// What became of statements in the meantime, and when the client's side was closed.
pub(super) struct Closed {
    pub(super) facts: Vec<Fact>,
    /// Outcomes that come before those, and are not queued yet.
    pub(super) notes: Option<Notes>,
    pub(super) closed_at: Instant,
    /// What became of the upstream's backend.
    pub(super) backend: Backend,
}

/// Closes both sides.
pub(super) async fn close<S: Io, D: Dial>(
    mut relay: Relay<MaybeTls<S>, MaybeTls<D::Io>>,
    reason: &CloseReason,
    permit: &Permit,
    ender: Ender<'_, D>,
) -> Closed {
    let mut facts = std::mem::take(&mut relay.facts);
    let reply = reason.reply(Some(permit)).map(|reply| reply.encode());
    if reply.is_some() {
        finish_message(&mut relay, &mut facts).await;
    }
    let notes = relay.replies.notes.take();
    let running = Running {
        idle: relay.is_upstream_idle(),
        at_boundary: relay.at_request_boundary(),
        gone: *reason == CloseReason::UpstreamClosed,
        courtesy: reply.is_some(),
    };
    let Relay {
        client,
        upstream,
        mut tracker,
        replies,
        ..
    } = relay;
    let (closed_at, backend, notes) = tokio::join!(
        farewell(client, replies, reply),
        ender.end(upstream, &mut tracker, running, &mut facts),
        // Outcomes that were on their way to the audit must not be lost with the relay.
        hurry(notes)
    );
    tracker.abandon(&mut facts);
    Closed {
        facts,
        notes,
        closed_at,
        backend,
    }
}

/// Queues what can be queued at once; what is left is for when both sides are closed.
async fn hurry(notes: Option<Notes>) -> Option<Notes> {
    let mut notes = notes?;
    match timeout(FAREWELL, &mut notes).await {
        Ok(Ok(())) => None,
        Ok(Err(batch)) => Some(Box::pin(ready(Err(batch)))),
        Err(_) => Some(notes),
    }
}

/// Fetches the rest of a message of which the client has a piece already.
async fn finish_message<S: Io, U: Io>(relay: &mut Relay<S, U>, facts: &mut Vec<Fact>) {
    let fetch = async {
        while relay.replies.after_boundary > relay.replies.buffer.len() {
            let from = relay.replies.buffer.len();
            if !matches!(
                relay.upstream.read_buf(&mut relay.replies.buffer).await,
                Ok(1..)
            ) {
                return;
            }
            let new = &relay.replies.buffer[from..];
            match relay.tracker.received(new, facts) {
                Ok(Some(boundary)) => relay.replies.after_boundary = new.len() - boundary,
                Ok(None) => relay.replies.after_boundary += new.len(),
                Err(_) => return,
            }
            if relay.replies.after_boundary <= relay.replies.buffer.len() {
                return;
            }
            // A message of gigabytes is not worth its memory.
            let sent = relay.client.write_buf(&mut relay.replies.buffer).await;
            if !matches!(sent, Ok(1..)) {
                return;
            }
        }
    };
    let _ = timeout(FINISH_MESSAGE, fetch).await;
}

/// Gives the client what it has begun to read and the reason, and closes. Returns when.
async fn farewell<S: Io>(mut client: S, replies: Replies, reply: Option<BytesMut>) -> Instant {
    let mut rest = replies.buffer;
    let whole = rest.len().checked_sub(replies.after_boundary);
    if let Some(whole) = whole {
        rest.truncate(whole);
    }
    // A FATAL inside a half-sent message would be read as a piece of it: then it is left out.
    if let (Some(_), Some(reply)) = (whole, reply) {
        rest.extend_from_slice(&reply);
    }
    let words = async {
        client.write_all(&rest).await?;
        client.shutdown().await
    };
    let said = timeout(FAREWELL, words).await;
    let closed_at = Instant::now();
    if matches!(said, Ok(Ok(()))) {
        linger(client).await;
    }
    closed_at
}

/// Reads what the client still sends, for a moment: closing a socket with bytes unread would reset
/// it, and a reset may overtake our last words.
async fn linger<S: Io>(mut client: S) {
    let mut scratch = [0; 4096];
    let drain = async { while matches!(client.read(&mut scratch).await, Ok(1..)) {} };
    let _ = timeout(LINGER, drain).await;
}
