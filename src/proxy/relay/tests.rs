//! What a relay does where its records find no place.

use std::future::ready;
use std::sync::Arc;

use tokio::io::{DuplexStream, duplex};

use super::super::values::Values;
use super::*;
use crate::access::{ConnectionId, SessionId};
use crate::audit::{Origin, Recorder, Redaction, Settings, SigningKey};
use crate::clock::Clock;
use crate::telemetry::Metrics;

fn scribe(folder: &std::path::Path) -> Scribe {
    let metrics = Arc::new(Metrics::new());
    let settings = Settings::new(folder.to_owned(), SigningKey::generate());
    let (recorder, _) = Recorder::start(&settings, Clock::system(), metrics.clone()).unwrap();
    let origin = Origin::new(
        ConnectionId::from_random(1),
        SessionId::from_random(1),
        "maya".parse().unwrap(),
        "orders-ro".parse().unwrap(),
        "orders".to_owned(),
    );
    Scribe {
        recorder,
        origin: Arc::new(origin),
        metrics: metrics.target("orders-ro"),
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
async fn outcomes_that_find_no_place_end_the_connection_and_are_not_waited_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut relay, _peers) = relay(scribe(dir.path()));
    relay.replies.notes = Some(Box::pin(ready(Err(Unavailable::Unwritable))));
    let reason = relay.run().await;
    assert_eq!(
        reason,
        CloseReason::AuditUnavailable(Unavailable::Unwritable)
    );
    assert!(relay.replies.notes.is_none(), "it has ended");
}
