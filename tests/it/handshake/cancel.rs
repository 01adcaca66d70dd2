//! CancelRequests: acted on or not, never answered.

use tokio::io::DuplexStream;

use crate::support::stage::{PROCESS_ID, SECRET, Stage, USER};
use crate::support::wire::{self, Wire};

/// What the upstream must be told when the cancel is acted on.
fn upstream_request() -> Vec<u8> {
    let request = wire::cancel_request(&[&PROCESS_ID.to_be_bytes(), SECRET].concat());
    request[4..].to_vec()
}

async fn is_cancelled(stage: &Stage) {
    let mut upstream = stage.upstream().await;
    assert_eq!(upstream.packet().await, upstream_request());
}

/// A connection under TLS: its key, and what keeps it open.
async fn tls_connection(stage: &Stage) -> (Vec<u8>, impl Sized) {
    let mut client = stage.client().ask_for_tls("localhost").await;
    let secret = stage.secret();
    let (greeting, upstream) = tokio::join!(client.login(USER, "orders", &secret), async {
        let mut upstream = stage.upstream().await;
        upstream.welcome(PROCESS_ID, SECRET).await;
        upstream
    });
    (greeting.unwrap().key.to_vec(), (client, upstream))
}

#[tokio::test]
async fn a_cancel_reaches_the_upstream_with_the_upstreams_own_secret() {
    let stage = Stage::new();
    let (_client, _upstream, greeting) = stage.connection().await;
    assert_ne!(&greeting.key[4..], SECRET);
    let mut sender = stage.client();
    sender.send(&wire::cancel_request(&greeting.key)).await;
    is_cancelled(&stage).await;
    sender.closed().await;
}

#[tokio::test]
async fn a_cancel_is_taken_before_tls_and_inside_it() {
    let stage = Stage::with_tls();
    let (key, _open) = tls_connection(&stage).await;
    let mut before = stage.client();
    before.send(&wire::cancel_request(&key)).await;
    is_cancelled(&stage).await;
    before.closed().await;

    let mut inside = stage.client().ask_for_tls("localhost").await;
    inside.send(&wire::cancel_request(&key)).await;
    is_cancelled(&stage).await;
    inside.closed().await;
}

#[tokio::test]
async fn a_cancel_is_acted_on_although_its_sender_has_gone() {
    let stage = Stage::with_tls();
    let (key, _open) = tls_connection(&stage).await;
    for _ in 0..20 {
        let mut before = stage.client();
        before.send(&wire::cancel_request(&key)).await;
        drop(before);
        is_cancelled(&stage).await;

        let mut inside = stage.client().ask_for_tls("localhost").await;
        inside.send(&wire::cancel_request(&key)).await;
        drop(inside);
        is_cancelled(&stage).await;
    }
}

/// A key that is like `key` and is not.
fn wrong_keys(key: &[u8]) -> Vec<Vec<u8>> {
    let flipped = |at: usize| {
        let mut wrong = key.to_vec();
        wrong[at] ^= 1;
        wrong
    };
    let upstreams = [&key[..4], SECRET].concat();
    let longer = [key, b"more"].concat();
    vec![flipped(3), flipped(4), flipped(7), upstreams, longer]
}

#[tokio::test]
async fn a_wrong_key_is_met_with_silence() {
    let stage = Stage::new();
    let (_client, _upstream, greeting) = stage.connection().await;
    for key in wrong_keys(&greeting.key) {
        let mut sender = stage.client();
        sender.send(&wire::cancel_request(&key)).await;
        sender.closed().await;
    }
    assert!(!stage.has_dialled().await);
}

#[tokio::test]
async fn a_cancel_of_a_connection_that_ended_is_met_with_silence() {
    let stage = Stage::new();
    let (client, mut upstream, greeting) = stage.connection().await;
    drop(client);
    assert_eq!(upstream.frame().await.tag, b'X');
    upstream.closed().await;
    let mut sender: Wire<DuplexStream> = stage.client();
    sender.send(&wire::cancel_request(&greeting.key)).await;
    sender.closed().await;
    assert!(!stage.has_dialled().await);
}

#[tokio::test]
async fn guesses_are_limited_and_the_limit_is_for_that_connection_alone() {
    let stage = Stage::new();
    let (_client, _upstream, greeting) = stage.connection().await;
    let mut wrong = greeting.key.to_vec();
    wrong[5] ^= 0x55;
    for _ in 0..100 {
        let mut sender = stage.client();
        sender.send(&wire::cancel_request(&wrong)).await;
        sender.closed().await;
    }
    // From here on even the right one is not looked at, for a while.
    let mut sender = stage.client();
    sender.send(&wire::cancel_request(&greeting.key)).await;
    sender.closed().await;
    assert!(!stage.has_dialled().await);
}
