//! What a relay does where its records find no place, and what a frame costs.

use std::future::ready;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
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

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

/// Has one statement answered with so many rows, and returns the allocations that it took.
async fn allocations(
    relay: &mut Relay<DuplexStream, DuplexStream>,
    [client, upstream]: &mut [DuplexStream; 2],
    rows: usize,
) -> u64 {
    let query = message(b'Q', b"select * from t\0");
    let row = message(b'D', &[0, 1, 0, 0, 0, 3, b'a', b'b', b'c']);
    let end = [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat();
    let mut seen = vec![0; 16 * 1024];
    let mut talk = async || {
        client.write_all(&query).await.unwrap();
        upstream.read_exact(&mut seen[..query.len()]).await.unwrap();
        for _ in 0..rows {
            upstream.write_all(&row).await.unwrap();
            client.read_exact(&mut seen[..row.len()]).await.unwrap();
        }
        upstream.write_all(&end).await.unwrap();
        client.read_exact(&mut seen[..end.len()]).await.unwrap();
    };
    let mut talk = std::pin::pin!(talk());
    let mut count = 0;
    poll_fn(|cx| {
        let measured = allocation_counter::measure(|| {
            assert!(std::pin::pin!(relay.run()).poll(cx).is_pending());
        });
        count += measured.count_total;
        talk.as_mut().poll(cx)
    })
    .await;
    count
}

#[tokio::test]
async fn a_frame_that_is_forwarded_allocates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, _writer) = recorder(dir.path());
    let (mut relay, mut peers) = relay(scribe(recorder));
    // Room is made at first.
    allocations(&mut relay, &mut peers, 1000).await;
    let few = allocations(&mut relay, &mut peers, 10).await;
    let many = allocations(&mut relay, &mut peers, 1000).await;
    assert!(many <= few, "990 frames more, and {few} became {many}");
    // What is kept of a statement's text, and what is expected of it.
    assert!(few <= 8, "a statement allocates {few} times");
}
