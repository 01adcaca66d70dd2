//! What a stranger can hold on to, and for how long.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, advance};

use crate::support::hallpass::Setup;
use crate::support::postgres::free_port;
use crate::support::process::Process;
use crate::support::stage::{Plot, Stage, Still, USER};
use crate::support::wait;
use crate::support::wire::{self, SSL_REQUEST, Wire};

const TIMEOUT: Duration = Duration::from_secs(1);

fn stage(tls: bool) -> Stage {
    let plot = Plot {
        tls,
        handshake_timeout: TIMEOUT,
        ..Plot::default()
    };
    plot.stage()
}

/// Lets everything that can happen now happen.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_closed_at_the_timeout() {
    for tls in [false, true] {
        let started = Instant::now();
        let stage = stage(tls);
        stage.client().closed().await;
        assert_eq!(started.elapsed().as_millis(), TIMEOUT.as_millis());
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_tls_handshake_is_closed_at_the_timeout() {
    let started = Instant::now();
    let stage = stage(true);
    let mut client = stage.client();
    client.send(SSL_REQUEST).await;
    assert_eq!(client.byte().await, b'S');
    // A record of 512 bytes, of which one comes.
    client.send(&[0x16, 3, 1, 2, 0, 1]).await;
    client.rest().await;
    assert_eq!(started.elapsed().as_millis(), TIMEOUT.as_millis());
}

#[tokio::test(start_paused = true)]
async fn a_startup_that_never_ends_is_closed_at_the_timeout() {
    let started = Instant::now();
    let stage = stage(false);
    let mut client = stage.client();
    client.send(&9_000_u32.to_be_bytes()).await;
    let dribble = async {
        loop {
            tokio::time::sleep(Duration::from_millis(90)).await;
            if client.try_send(b"x").await.is_err() {
                return;
            }
        }
    };
    dribble.await;
    let took = started.elapsed();
    assert!(took < TIMEOUT + Duration::from_millis(200), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn there_is_one_deadline_over_handshake_and_authentication() {
    let _still = Still::hold();
    let stage = stage(false);
    let started = Instant::now();
    let mut client = stage.client();
    settle().await;
    advance(TIMEOUT * 6 / 10).await;
    client.send(&wire::startup(3, 0, &[("user", USER)])).await;
    assert_eq!(client.frame().await.tag, b'R');
    advance(TIMEOUT * 5 / 10).await;
    let error = client.refused().await;
    assert_eq!(error[&'C'], "08P01");
    assert_eq!(started.elapsed(), TIMEOUT * 11 / 10);
}

#[tokio::test(start_paused = true)]
async fn a_client_in_time_is_not_closed_at_the_timeout() {
    let _still = Still::hold();
    let stage = stage(false);
    let (mut client, mut upstream, _) = stage.connection().await;
    advance(TIMEOUT * 3).await;
    settle().await;
    client.send(&wire::query("select 1")).await;
    assert_eq!(upstream.frame().await.tag, b'Q');
}

#[tokio::test]
async fn an_address_has_so_many_places_before_it_has_authenticated() {
    let setup = Setup::in_front_of(free_port())
        .proxy("unauthenticated_per_address = 3")
        .proxy("handshake_timeout = \"60s\"");
    let hallpass = Process::start(setup).await;
    let dial = async || Wire::new(TcpStream::connect(hallpass.proxy).await.unwrap());

    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut client = dial().await;
        client.send(SSL_REQUEST).await;
        assert_eq!(client.byte().await, b'S');
        waiting.push(client);
    }
    dial().await.closed().await;
    let denied = "hallpass_denials_total{reason=\"too_many_unauthenticated\"}";
    assert!(hallpass.metric(denied).await >= 1.0);

    waiting.pop();
    let one_left = || async {
        hallpass
            .metric("hallpass_connections_unauthenticated")
            .await
            < 3.0
    };
    wait::until("a place is free", Duration::from_secs(10), one_left).await;
    let mut client = dial().await;
    client.send(SSL_REQUEST).await;
    assert_eq!(client.byte().await, b'S', "a place that was given back");
}
