//! What a relay does where its records find no place.

use std::future::ready;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::super::record;
use super::super::values::Values;
use super::*;
use crate::access::{ConnectionId, SessionId};
use crate::audit::{Event, Origin, Recorder, Redaction, Settings, SigningKey, reader};
use crate::clock::Clock;
use crate::telemetry::Metrics;

fn recorder(folder: &Path) -> (Recorder, JoinHandle<()>) {
    let settings = Settings::new(folder.to_owned(), SigningKey::generate());
    Recorder::start(&settings, Clock::system(), Arc::new(Metrics::new())).unwrap()
}

fn scribe(recorder: Recorder) -> Scribe {
    let origin = Origin::new(
        ConnectionId::from_random(1),
        SessionId::from_random(1),
        "maya".parse().unwrap(),
        "orders-ro".parse().unwrap(),
        "orders".to_owned(),
    );
    Scribe {
        batch: recorder.batch(),
        recorder,
        origin: Arc::new(origin),
        metrics: Metrics::new().target("orders-ro"),
        values: Values::new(Redaction::None),
    }
}

fn relay(scribe: Scribe) -> (Relay<DuplexStream, DuplexStream>, [DuplexStream; 2]) {
    let ((client, ours), (upstream, theirs)) = (duplex(1024), duplex(1024));
    let nothing = BytesMut::new;
    let relay = Relay::new(
        (client, nothing()),
        (upstream, nothing()),
        scribe,
        None,
        vec![],
    );
    (relay, [ours, theirs])
}

#[tokio::test]
async fn outcomes_that_find_no_place_end_the_connection_and_are_handed_in_again() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = recorder(dir.path());
    let (mut relay, _peers) = relay(scribe(recorder.clone()));
    let mut batch = recorder.batch();
    batch.push(&Event::Stopped);
    relay.replies.notes = Some(Box::pin(ready(Err(batch))));
    let reason = relay.run().await;
    assert_eq!(
        reason,
        CloseReason::AuditUnavailable(Unavailable::Unwritable)
    );
    let notes = relay.replies.notes.take();
    record::outcomes(&recorder, notes).await;
    drop((relay, recorder));
    writer.await.unwrap();
    let mut records = reader::records(dir.path()).unwrap().map(Result::unwrap);
    assert!(records.any(|record| record.event == Event::Stopped));
}
