//! What becomes of connections, and facts of the wire, as events of the audit.

use std::sync::Arc;

use tokio::time::Instant;

use super::connection::Arrival;
use super::handshake::Client;
use super::refusal::Refusal;
use super::relay::Notes;
use super::targets::ProxyTarget;
use super::values::Values;
use super::{Proxy, upstream};
use crate::admission::Permit;
use crate::audit::{
    Batch, CommandResult, Event, Origin, Outcome, Recorder, StatementKind, Submitted, Text,
};
use crate::pg::statements::{self as pg, Fact};
use crate::telemetry::TargetMetrics;

/// Bytes of a claim that are recorded: names are shorter, and strangers make claims.
const CLAIM: usize = 128;

/// A connection whose opening is in the audit, or on its way there.
pub(super) struct Opened {
    pub(super) origin: Arc<Origin>,
    pub(super) record: Submitted,
}

/// Queues the record that a client was admitted; the upstream is not dialled before it is durable.
pub(super) async fn opening<S, D>(
    proxy: &Proxy<D>,
    client: &Client<S>,
    permit: &Permit,
) -> Result<Opened, Refusal> {
    let connection = permit.connection();
    let origin = Arc::new(Origin::new(
        connection.id,
        connection.session,
        connection.principal.clone(),
        connection.target.clone(),
        connection.database.clone(),
    ));
    let startup = upstream::passed_on(&client.startup);
    let event = Event::ConnectionOpened {
        origin: Arc::clone(&origin),
        peer: connection.peer.to_string(),
        application_name: Text::from(connection.application_name.as_str()),
        startup: startup
            .map(|(name, value)| (Text(name.clone()), Text(value.clone())))
            .collect(),
        tls: client.tls.as_ref().map(|tls| tls.description.clone()),
    };
    let mut batch = proxy.recorder.batch();
    batch.push(&event);
    let record = proxy.recorder.submit(&batch).await?;
    Ok(Opened { origin, record })
}

/// Records that the upstream accepted it.
pub(super) async fn established<D>(
    proxy: &Proxy<D>,
    origin: &Arc<Origin>,
    target: &ProxyTarget,
    upstream_pid: i32,
) -> Result<(), Refusal> {
    let event = Event::ConnectionEstablished {
        origin: Arc::clone(origin),
        upstream_pid,
        role: target.endpoint.role.clone(),
    };
    let recorded = proxy.recorder.record(&event).await;
    recorded.map_err(Refusal::Audit)
}

/// Records that a connection that was opened came to nothing. Its opening may be made although
/// nobody waits for it any more: so this waits until that is certain.
pub(super) async fn unopened<D>(proxy: &Proxy<D>, opened: Opened, refusal: &Refusal) {
    let Opened { origin, mut record } = opened;
    if record.settled().await.is_err() {
        // It is not in the log: a close would be one of a connection that never was.
        return;
    }
    let mut batch = proxy.recorder.batch();
    batch.push(&Event::ConnectionClosed {
        origin,
        reason: refusal.label().to_owned(),
        statements: 0,
        bytes_in: 0,
        bytes_out: 0,
    });
    if proxy.recorder.insist(&batch).await.is_err() {
        tracing::error!("the end of the connection could not be recorded");
    }
}

/// Sees to it that outcomes are queued that were on their way, however long it takes.
pub(super) async fn outcomes(recorder: &Recorder, notes: Option<Notes>) {
    let Some(notes) = notes else { return };
    if let Err(batch) = notes.await
        && recorder.insist(&batch).await.is_err()
    {
        tracing::error!("outcomes could not be recorded");
    }
}

/// Records that a client that said who it is was turned away.
pub(super) async fn refusal<S, D>(
    proxy: &Proxy<D>,
    client: &Client<S>,
    refusal: &Refusal,
    arrival: Arrival,
) {
    // It went before it proved anything; or there is no record to be had; or there are too many.
    if matches!(refusal, Refusal::Stream(_) | Refusal::Audit(_))
        || !proxy.denials.count(arrival.peer.ip())
    {
        return;
    }
    let claim = |name| {
        let value = client.startup.parameter(name).cloned().unwrap_or_default();
        Text(value.slice(..value.len().min(CLAIM)))
    };
    let event = Event::ConnectionDenied {
        connection: arrival.id,
        peer: arrival.peer.to_string(),
        user: claim("user"),
        database: claim("database"),
        reason: refusal.to_string(),
    };
    if proxy.recorder.record(&event).await.is_err() {
        tracing::error!("a denial could not be recorded");
    }
}

/// Writes down what one connection does.
#[derive(Clone)]
pub(super) struct Scribe {
    pub(super) recorder: Recorder,
    /// Room for the records of one look, kept for the next.
    pub(super) batch: Batch,
    pub(super) origin: Arc<Origin>,
    pub(super) metrics: TargetMetrics,
    /// What its target lets be recorded of values.
    pub(super) values: Values,
}

impl Scribe {
    /// The facts as one batch, which empties them. Counts what finished.
    pub(super) fn write(&mut self, facts: &mut Vec<Fact>, now: Instant) -> &mut Batch {
        self.recorder.begin_anew(&mut self.batch);
        for fact in facts.drain(..) {
            let event = self.event(fact, now);
            self.batch.push(&event);
        }
        &mut self.batch
    }

    /// Queues outcomes; how to wait for a place where there is none.
    pub(super) fn note(&mut self, facts: &mut Vec<Fact>, now: Instant) -> Option<Notes> {
        self.write(facts, now);
        if self.recorder.note_now(&self.batch) {
            return None;
        }
        let (recorder, batch) = (self.recorder.clone(), self.batch.clone());
        Some(Box::pin(async move {
            let noted = recorder.note(&batch).await;
            noted.map_err(|_| batch)
        }))
    }

    fn event(&mut self, fact: Fact, now: Instant) -> Event {
        let origin = Arc::clone(&self.origin);
        match fact {
            Fact::Prepared {
                statement,
                source,
                parts,
            } => Event::StatementPrepared {
                origin,
                statement,
                name: named(source.name),
                types: source.types,
                sql: source.sql.map(Text),
                parts,
            },
            Fact::Bound {
                statement,
                source,
                portal,
                parameters,
                parts,
            } => Event::PortalBound {
                origin,
                statement,
                name: named(source.name),
                portal: named(portal),
                types: source.types,
                sql: source.sql.map(Text),
                prepared: source.prepared,
                parameters: self.values.parameters(parameters),
                parts,
            },
            Fact::Started(started) => self.started(started),
            Fact::Part(part) => self.values.part(origin, part),
            Fact::Results {
                statement,
                tags,
                copies,
            } => Event::StatementResults {
                origin,
                statement,
                results: results(tags),
                copies: self.values.copies(&copies),
            },
            Fact::Finished(finished) => self.finished(finished, now),
            Fact::CommitFailed {
                statement,
                sqlstate,
            } => Event::CommitFailed {
                origin,
                statement,
                sqlstate: code(sqlstate),
            },
        }
    }

    fn started(&self, started: pg::Started) -> Event {
        Event::StatementStarted {
            origin: Arc::clone(&self.origin),
            statement: started.statement,
            kind: match started.kind {
                pg::Kind::Simple => StatementKind::Simple,
                pg::Kind::Extended => StatementKind::Extended,
                pg::Kind::FunctionCall => StatementKind::FunctionCall,
            },
            name: named(started.source.name),
            portal: named(started.portal),
            types: started.source.types,
            sql: started.source.sql.map(Text),
            prepared: started.source.prepared,
            bound: started.bound,
            parameters: self.values.parameters(started.parameters),
            function: started.function,
            parts: started.parts,
        }
    }

    fn finished(&self, finished: pg::Finished, now: Instant) -> Event {
        let outcome = match finished.outcome {
            pg::Outcome::Completed => Outcome::Completed,
            pg::Outcome::Suspended => Outcome::Suspended,
            pg::Outcome::Failed => Outcome::Failed,
            pg::Outcome::Skipped => Outcome::Skipped,
            pg::Outcome::Unknown => Outcome::Unknown,
        };
        let took = now.saturating_duration_since(finished.started);
        self.metrics.statement(outcome.label());
        self.metrics.statement_duration.observe(took.as_secs_f64());
        let tally = finished.tally;
        Event::StatementFinished {
            origin: Arc::clone(&self.origin),
            statement: finished.statement,
            outcome,
            results: results(tally.tags),
            sqlstate: tally.sqlstate.map(code),
            rows: tally.rows,
            bytes: tally.bytes,
            copies: self.values.copies(&tally.copies),
            microseconds: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

/// A name, unless it is the unnamed one.
fn named(name: bytes::Bytes) -> Option<Text> {
    (!name.is_empty()).then_some(Text(name))
}

fn code(sqlstate: [u8; 5]) -> String {
    String::from_utf8_lossy(&sqlstate).into_owned()
}

fn results(tags: Vec<bytes::Bytes>) -> Vec<CommandResult> {
    tags.into_iter()
        .map(|tag| CommandResult { tag: Text(tag) })
        .collect()
}
