//! An upstream that has logged hallpass in, and then breaks.

use std::time::Duration;

use hallpass::audit::Event;

use crate::support::stage::Stage;
use crate::support::wait;
use crate::support::wire::{self, Wire};

#[tokio::test]
async fn a_fatal_in_mid_query_is_the_upstreams_own_and_then_the_end() {
    let stage = Stage::new();
    let (mut client, mut upstream, _) = stage.connection().await;
    client.send(&wire::query("select 1")).await;
    upstream.frame().await;
    let fields = [
        ('S', "FATAL"),
        ('V', "FATAL"),
        ('C', "57P02"),
        ('M', "crash of another process"),
    ];
    upstream.send(&wire::error(&fields)).await;
    drop(upstream);
    assert_eq!(client.refused().await[&'C'], "57P02");
}

#[tokio::test]
async fn a_close_in_mid_message_is_a_close_in_mid_message() {
    let stage = Stage::new();
    let (mut client, mut upstream, _) = stage.connection().await;
    client.send(&wire::query("select 1")).await;
    upstream.frame().await;
    let half = [&wire::header(b'D', 1000)[..], b"half"].concat();
    upstream.send(&half).await;
    drop(upstream);
    assert_eq!(client.rest().await, half);
}

/// What the client gets when the upstream answers a query with these pieces, read one by one.
async fn answers(pieces: &[&[u8]]) -> (Stage, Vec<u8>) {
    let stage = Stage::new();
    let (mut client, mut upstream, _) = stage.connection().await;
    client.send(&wire::query("select 1")).await;
    upstream.frame().await;
    let mut seen = Vec::new();
    for piece in pieces {
        upstream.send(piece).await;
        if *piece != pieces[pieces.len() - 1] {
            for _ in *piece {
                seen.push(client.byte().await);
            }
        }
    }
    upstream.finish().await;
    seen.extend(client.rest().await);
    (stage, seen)
}

#[tokio::test]
async fn a_broken_frame_of_the_upstream_is_not_forwarded_and_the_client_is_told() {
    let row = wire::message(b'D', b"\0\0");
    for len in [0, 3, -1, i32::MIN] {
        let broken = [&row[..], &wire::header(b'D', len), b"more"].concat();
        let (_, seen) = answers(&[&broken]).await;
        let told = seen
            .strip_prefix(&row[..])
            .expect("the whole message before it");
        let mut wire = Wire::new(std::io::Cursor::new(told.to_vec()));
        let error = wire.refused().await;
        assert_eq!(error[&'C'], "08P01", "{len}");
    }
}

#[tokio::test]
async fn a_client_that_has_a_piece_of_a_broken_frame_gets_no_error_inside_it() {
    let row = wire::message(b'D', b"\0\0");
    let piece = [&row[..], b"D\xff"].concat();
    let (_, seen) = answers(&[&piece, b"\xff\xff\xffmore"]).await;
    assert_eq!(seen, piece);
}

#[tokio::test]
async fn answers_that_nobody_asked_for_do_no_harm() {
    let stage = Stage::new();
    let (mut client, mut upstream, _) = stage.connection().await;
    for unasked in [
        wire::message(b'1', b""),
        wire::message(b'C', b""),
        wire::message(b'C', b"SELECT 1"),
        wire::message(b'E', b""),
        wire::message(b'Z', b""),
        wire::message(b'G', b""),
        wire::message(b'c', b""),
        wire::message(b'd', b"data"),
        wire::message(b'?', b"what"),
        wire::ready(),
    ] {
        upstream.send(&unasked).await;
        assert_eq!(client.frame().await.tag, unasked[0]);
    }
    client.send(&wire::query("select 1")).await;
    assert_eq!(upstream.frame().await.tag, b'Q');
    upstream.send(&wire::done("SELECT 1")).await;
    assert_eq!(client.until(b'Z').await.len(), 2);
    let finished = |event: &Event| matches!(event, Event::StatementFinished { .. });
    let ends = || {
        stage
            .records()
            .iter()
            .filter(|r| finished(&r.event))
            .count()
    };
    wait::until("its end is recorded", Duration::from_secs(5), || async {
        ends() == 1
    })
    .await;
}
