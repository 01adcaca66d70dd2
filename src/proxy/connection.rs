//! One connection's life, top to bottom.
//!
//! ```text
//! handshake     what does the client want            -> Client, or a CancelRequest
//! authenticate  who is it                            -> Identity
//!   (asking)    or who, and may it come in: waits    -> Identity
//! admit         is there a live session              -> Permit
//! connect       dial and log in                      -> Upstream
//! greet         tell the client
//! relay         until one side, or the session, ends -> CloseReason
//! close         cancel, farewell, record
//! ```

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use super::admit::admit;
use super::asking;
use super::authenticate::{Identity, authenticate};
use super::cancel::{Registration, cancel};
use super::closing::{Closed, close};
use super::dial::{Dial, Io};
use super::ending::{Backend, Ender};
use super::greet::greet;
use super::handshake::{Client, Opening, handshake};
use super::listener::Unauthenticated;
use super::notices::{fresh_notices, notices};
use super::quiet::Quiet;
use super::record::{self, Opened, Scribe};
use super::refusal::Refusal;
use super::relay::Relay;
use super::targets::{Claim, ProxyTarget};
use super::upstream::{self, Upstream};
use super::values::Values;
use super::wish::Wish;
use super::{CloseReason, Proxy};
use crate::access::ConnectionId;
use crate::admission::Permit;
use crate::audit::{Event, Origin};
use crate::pg::Stream;
use crate::secret;
use crate::tls::MaybeTls;

/// Serves one client from its first byte to its last. `place` counts it among the sockets that have
/// not authenticated, until it has.
pub async fn serve<S: Io, D: Dial>(
    proxy: Arc<Proxy<D>>,
    socket: S,
    peer: SocketAddr,
    place: Unauthenticated,
) {
    let arrival = Arrival {
        peer,
        id: ConnectionId::from_random(u64::from_ne_bytes(secret::random())),
        deadline: Instant::now() + proxy.settings.handshake_timeout,
    };
    let span = tracing::info_span!("connection", connection_id = %arrival.id, %peer);
    // Boxed, as its end is: what they take on their way is not kept while the connection is idle.
    let opening = Box::pin(open(&proxy, socket, arrival, place));
    let Some(mut connection) = opening.instrument(span.clone()).await else {
        return;
    };
    // The hot path: it logs nothing, and so it carries no span.
    let reason = relay(&proxy, &mut connection).await;
    let end = Box::pin(end(&proxy, connection, reason));
    end.instrument(span).await;
}

/// Until one side, or the session, ends; the session's end may move meanwhile.
async fn relay<S: Io, D: Dial>(
    proxy: &Proxy<D>,
    connection: &mut Ready<'_, S, D::Io>,
) -> CloseReason {
    loop {
        let term = pin!(term(proxy, &connection.permit));
        let turned = tokio::select! {
            biased;
            turned = Quiet::new(term) => turned,
            reason = connection.relay.run() => return reason,
        };
        if let Turn::Ends(reason) = turned {
            return reason;
        }
        let notices = fresh_notices(proxy, &connection.permit);
        connection.relay.set_notices(notices);
    }
}

/// What becomes of a connection's time.
enum Turn {
    /// It is over.
    Ends(CloseReason),
    /// There is more of it.
    GoesOn,
}

/// Returns when the connection's time is over, or when it has got more.
async fn term<D>(proxy: &Proxy<D>, permit: &Permit) -> Turn {
    let deadline = permit.deadline();
    tokio::select! {
        biased;
        ending = permit.ended() => Turn::Ends(ending.into()),
        () = proxy.shutdown.cancelled() => Turn::Ends(CloseReason::ShuttingDown),
        () = permit.extended(deadline) => Turn::GoesOn,
    }
}

/// A connection that is ready for its first query.
struct Connection<'a, C, U> {
    relay: Relay<C, U>,
    permit: Permit,
    target: Arc<ProxyTarget>,
    registration: Registration<'a>,
}

/// A connection of these sockets, each with or without TLS.
type Ready<'a, S, U> = Connection<'a, MaybeTls<S>, MaybeTls<U>>;

/// From the first byte to a connection that is ready, or that came to nothing.
async fn open<S: Io, D: Dial>(
    proxy: &Proxy<D>,
    socket: S,
    arrival: Arrival,
    place: Unauthenticated,
) -> Option<Ready<'_, S, D::Io>> {
    let handshake = timeout_at(arrival.deadline, handshake(socket, proxy.tls.as_deref()));
    match proxy.shutdown.run_until_cancelled(handshake).await? {
        Ok(Ok(Opening::Startup(client))) => return session(proxy, client, arrival, place).await,
        Ok(Ok(Opening::Cancel(key))) => {
            drop(place);
            cancel(proxy, &key, arrival.peer).await;
        }
        Ok(Err(refused)) => {
            let stream = refused.stream.map(|stream| *stream);
            refuse(proxy, &refused.refusal, stream).await;
        }
        Err(_) => refuse::<S, D>(proxy, &Refusal::Timeout, None).await,
    }
    None
}

/// What is known of a connection before it says anything.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    pub(super) peer: SocketAddr,
    pub(super) id: ConnectionId,
    /// When it must be ready for its first query.
    deadline: Instant,
}

/// Everything after the startup message.
async fn session<S: Io, D: Dial>(
    proxy: &Proxy<D>,
    mut client: Client<S>,
    arrival: Arrival,
    place: Unauthenticated,
) -> Option<Ready<'_, S, D::Io>> {
    let mut opened = None;
    let establish = establish(proxy, &mut client, arrival, place, &mut opened);
    let established = tokio::select! {
        biased;
        () = proxy.shutdown.cancelled() => Err(Refusal::Ended(CloseReason::ShuttingDown)),
        established = establish => established,
    };
    match established {
        Ok(established) => Some(begin(proxy, client.stream, established)),
        Err(refusal) => {
            record::refusal(proxy, &client, &refusal, arrival).await;
            let unopened = async {
                if let Some(opened) = opened {
                    record::unopened(proxy, opened, &refusal).await;
                }
            };
            // The client is told while the record may still wait for its disk.
            tokio::join!(unopened, refuse(proxy, &refusal, Some(client.stream)));
            None
        }
    }
}

/// An upstream that is ready, and the right to it.
struct Established<'a, U> {
    permit: Permit,
    target: Arc<ProxyTarget>,
    upstream: Upstream<U>,
    registration: Registration<'a>,
    origin: Arc<Origin>,
}

/// From the startup message to ReadyForQuery. `opened` is set once the audit may know of it.
async fn establish<'a, S: Io, D: Dial>(
    proxy: &'a Proxy<D>,
    client: &mut Client<S>,
    arrival: Arrival,
    place: Unauthenticated,
    opened: &mut Option<Opened>,
) -> Result<Established<'a, D::Io>, Refusal> {
    let (identity, deadline) = identity(proxy, client, arrival, place).await?;
    let permit = admit(proxy, client, &identity, arrival)?;
    let ready = ready(proxy, client, &permit, &identity.target, deadline, opened);
    let ready = tokio::select! {
        biased;
        ending = permit.ended() => Err(Refusal::Ended(ending.into())),
        ready = within(deadline, ready) => ready,
    };
    let (origin, upstream, registration) = ready?;
    Ok(Established {
        permit,
        target: identity.target,
        upstream,
        registration,
        origin,
    })
}

/// Who the client is, and until when it must be ready for its first query. One that asks for its
/// session first may take as long as people take to decide.
async fn identity<S: Io, D: Dial>(
    proxy: &Proxy<D>,
    client: &mut Client<S>,
    arrival: Arrival,
    place: Unauthenticated,
) -> Result<(Identity, Instant), Refusal> {
    let claim = claim(proxy, client);
    let Some(wish) = Wish::take(&mut client.startup).map_err(Refusal::Wish)? else {
        let known = authenticate(client, &claim, &proxy.targets, &proxy.admission);
        return Ok((within(arrival.deadline, known).await?, arrival.deadline));
    };
    let asking = asking::identify(proxy, client, &claim, wish, arrival.peer);
    let asking = within(arrival.deadline, asking).await?;
    drop(place);
    let identity = asking::session(proxy, client, &claim, asking).await?;
    Ok((identity, Instant::now() + proxy.settings.handshake_timeout))
}

/// Runs a step that has to be done by then.
async fn within<T>(
    deadline: Instant,
    step: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let done = timeout_at(deadline, step).await;
    done.unwrap_or(Err(Refusal::Timeout))
}

/// Records, connects and greets, under the permit.
async fn ready<'a, S: Io, D: Dial>(
    proxy: &'a Proxy<D>,
    client: &mut Client<S>,
    permit: &Permit,
    target: &Arc<ProxyTarget>,
    deadline: Instant,
    opened: &mut Option<Opened>,
) -> Result<(Arc<Origin>, Upstream<D::Io>, Registration<'a>), Refusal> {
    let opened = opened.insert(record::opening(proxy, client, permit).await?);
    opened.record.durable().await?;
    let origin = Arc::clone(&opened.origin);
    let upstream = connect(proxy, permit, target, client, deadline).await?;
    record::established(proxy, &origin, target, upstream.key.process_id).await?;
    let registration = proxy.cancels.register(
        upstream.key.clone(),
        Arc::clone(target),
        Arc::clone(&origin),
        client.startup.minor >= 2,
    );
    greet(
        client,
        &upstream.parameters,
        registration.key(),
        upstream.status,
    )
    .await?;
    Ok((origin, upstream, registration))
}

fn claim<S: Io, D: Dial>(proxy: &Proxy<D>, client: &Client<S>) -> Claim {
    let server_name = client
        .tls
        .as_ref()
        .and_then(|tls| tls.server_name.as_deref());
    let suffix = proxy.settings.sni_suffix.as_deref();
    Claim::read(&client.startup, server_name, suffix)
}

async fn connect<S: Io, D: Dial>(
    proxy: &Proxy<D>,
    permit: &Permit,
    target: &ProxyTarget,
    client: &Client<S>,
    deadline: Instant,
) -> Result<Upstream<D::Io>, Refusal> {
    let name = target.target.name.as_str();
    let began = Instant::now();
    // Whichever limit comes first, it is the upstream that was too slow.
    let until = deadline.min(began + proxy.settings.connect_timeout);
    match upstream::connect(permit, &proxy.dialer, target, &client.startup, until).await {
        Ok(upstream) => {
            proxy.metrics.upstream_connected(name, began.elapsed());
            Ok(upstream)
        }
        Err(error) => {
            proxy.metrics.upstream_failed(name, error.label());
            tracing::warn!(target = name, %error, "connecting to the upstream");
            Err(error.into())
        }
    }
}

/// Puts client and upstream together.
fn begin<'a, S: Io, D: Dial>(
    proxy: &Proxy<D>,
    client: Stream<MaybeTls<S>>,
    established: Established<'a, D::Io>,
) -> Ready<'a, S, D::Io> {
    let Established {
        permit,
        target,
        upstream,
        registration,
        origin,
    } = established;
    tracing::info!(
        session_id = %origin.session,
        principal = %origin.principal,
        target = %origin.target,
        "connection is ready"
    );
    let scribe = Scribe {
        batch: proxy.recorder.batch(),
        recorder: proxy.recorder.clone(),
        metrics: proxy.metrics.target(origin.target.as_str()),
        values: Values::new(target.redaction.clone()),
        origin,
    };
    let relay = Relay::new(
        client.into_parts(),
        (upstream.io, upstream.unread),
        scribe,
        target.target.idle_timeout,
        notices(proxy, &permit),
    );
    Connection {
        relay,
        permit,
        target,
        registration,
    }
}

/// Closes both sides, and records how it ended.
async fn end<S: Io, D: Dial>(
    proxy: &Proxy<D>,
    connection: Ready<'_, S, D::Io>,
    reason: CloseReason,
) {
    let Connection {
        relay,
        permit,
        target,
        registration,
    } = connection;
    let totals = relay.totals;
    let statements = relay.tracker.statements();
    let mut scribe = relay.scribe.clone();
    let ender = Ender {
        dialer: &proxy.dialer,
        target: &target,
        key: registration.upstream_key(),
        permit: &permit,
    };
    let Closed {
        mut facts,
        notes,
        closed_at,
        backend,
    } = close(relay, &reason, &permit, ender).await;

    if matches!(reason, CloseReason::SessionExpired) {
        let lag = closed_at.saturating_duration_since(permit.deadline());
        proxy.metrics.expiry_lag(lag);
    }
    let name = scribe.origin.target.as_str();
    proxy.metrics.closed(name, reason.label());
    let origin = Arc::clone(&scribe.origin);
    let batch = scribe.write(&mut facts, Instant::now());
    let upstream_pid = registration.upstream_key().process_id;
    match backend {
        Backend::Ended => {}
        Backend::Terminated => batch.push(&Event::BackendTerminated {
            origin: Arc::clone(&origin),
            upstream_pid,
        }),
        Backend::Left => batch.push(&Event::BackendLeft {
            origin: Arc::clone(&origin),
            upstream_pid,
        }),
    }
    batch.push(&Event::ConnectionClosed {
        origin,
        reason: reason.label().to_owned(),
        statements,
        bytes_in: totals.bytes_in,
        bytes_out: totals.bytes_out,
    });
    // Its place is free, however long the audit takes to queue how it ended.
    drop((permit, registration));
    record::outcomes(&proxy.recorder, notes).await;
    if proxy.recorder.insist(batch).await.is_err() {
        tracing::error!("the end of the connection could not be recorded");
    }
    tracing::info!(
        session_id = %scribe.origin.session,
        reason = reason.label(),
        "connection is closed"
    );
}

/// Tells the client why it is not let in, as far as it may know, and closes.
async fn refuse<S: Io, D: Dial>(
    proxy: &Proxy<D>,
    refusal: &Refusal,
    stream: Option<Stream<MaybeTls<S>>>,
) {
    proxy.metrics.denied(refusal.label());
    tracing::info!(reason = %refusal, "connection refused");
    let Some(mut stream) = stream else { return };
    if let Refusal::Upstream(error) = refusal
        && let Some(frame) = error.passed_on()
    {
        stream.queue_bytes(frame);
    } else if let Some(reply) = refusal.reply() {
        stream.queue_bytes(&reply.encode());
    }
    let _ = timeout(proxy.settings.handshake_timeout, stream.close()).await;
}
