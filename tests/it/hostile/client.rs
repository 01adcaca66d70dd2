//! A client that has logged in and then does not keep to the protocol.

use std::time::Duration;

use futures_util::future::join_all;
use hallpass::audit::Event;
use tokio::net::TcpStream;

use crate::support::hallpass::Setup;
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::stage::Stage;
use crate::support::wait;
use crate::support::wire::{self, Wire, header, message, text};

/// More than one record holds.
const LONG: usize = 64 * 1024 + 1;

fn parse(name: &str, sql: &str, types: &[u8]) -> Vec<u8> {
    message(b'P', &[&text(&[name, sql])[..], types].concat())
}

fn bind(rest: &[u8]) -> Vec<u8> {
    message(b'B', &[&text(&["", ""])[..], rest].concat())
}

/// What is no message, each holding `smuggled` where it holds anything.
fn malformed() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [0, b'R', b'p', b'z', b'W', 0x16, 0xff]
        .map(|tag| message(tag, b"smuggled\0"))
        .to_vec();
    for tag in *b"QPBFd" {
        all.extend([3, 0, -1, i32::MIN, i32::MAX, 0x3fff_ffff].map(|len| header(tag, len)));
    }
    for tag in *b"EDCHSXcf" {
        all.extend([3, -1, 10_001, i32::MAX].map(|len| header(tag, len)));
    }
    all.extend([
        message(b'Q', b""),
        message(b'Q', b"select 'smuggled'"),
        message(b'Q', b"select 1\0select 'smuggled'\0"),
        message(b'Q', b"select 'smuggled'\0\0"),
        message(b'P', b""),
        message(b'P', &text(&["smuggled"])),
        parse("", "select 'smuggled'", b""),
        parse("", "select 'smuggled'", b"\0\x01"),
        parse("", "select 'smuggled'", b"\xff\xff\0\0"),
        parse("", "select 'smuggled'", b"\0\0more"),
        message(b'P', &vec![b'x'; LONG]),
        message(b'B', &text(&["smuggled"])),
        message(b'B', &vec![b'x'; LONG]),
        bind(b"\0\0\0\x01\x7f\xff\xff\xff\0\0"),
        bind(b"\0\0\0\x01\xff\xff\xff\xfe\0\0"),
        bind(b"\0\0\0\x01\0\0\0\x05abc\0\0"),
        bind(b"\0\x01\0\x02\0\0\0\0"),
        bind(b"\0\x02\0\0\0\0\0\x01\0\0\0\x01a\0\0"),
        bind(b"\0\0\0\0\0\x01"),
        bind(b"\0\0\0\0\0\0more"),
        message(b'E', b"\0"),
        message(b'E', b"smuggled\0\0\0"),
        message(b'D', b"Xname\0"),
        message(b'D', b""),
        message(b'C', b"Pname"),
        message(b'F', b"\0\0\x04"),
        message(b'F', b"\0\0\x04\0\0\0\0\x01\0\0\0\x09abc\0\0"),
        message(b'S', b"x"),
        message(b'H', b"x"),
        message(b'X', b"x"),
        message(b'c', b"x"),
    ]);
    all
}

#[tokio::test]
async fn a_malformed_message_is_08p01_and_the_upstream_sees_nothing_of_it() {
    let stage = Stage::new();
    let attempt = async |bytes: &Vec<u8>| {
        // Which upstream is whose does not matter: all of them must see the same.
        let (mut client, mut upstream, _) = stage.connection().await;
        client.send(bytes).await;
        let error = client.refused().await;
        assert_eq!(error[&'C'], "08P01", "{bytes:.40?}");
        let goodbye = upstream.rest().await;
        assert_eq!(goodbye, message(b'X', b""), "beside {bytes:.40?}");
    };
    for some in malformed().chunks(20) {
        join_all(some.iter().map(attempt)).await;
    }
}

#[tokio::test]
async fn what_came_before_a_malformed_message_is_recorded_with_its_end() {
    let stage = Stage::new();
    let (mut client, mut upstream, _) = stage.connection().await;
    let good = wire::query("select 'good'");
    let bad = message(b'Q', b"select 'smuggled'");
    client.send(&[&good[..], &bad, &good].concat()).await;
    assert_eq!(upstream.frame().await.body, "select 'good'\0");
    upstream.send(&wire::done("SELECT 1")).await;

    let closed = |event: &Event| matches!(event, Event::ConnectionClosed { .. });
    let is_closed = || async { stage.records().iter().any(|r| closed(&r.event)) };
    let ended = wait::until("the end is recorded", Duration::from_secs(10), is_closed);
    tokio::select! {
        () = ended => {},
        () = stage.ignore_cancels() => {},
    }
    let error = client.until(b'E').await.pop().unwrap().error();
    assert_eq!(error[&'C'], "08P01");
    assert_eq!(client.next().await, None);
    let (mut started, mut finished) = (Vec::new(), Vec::new());
    for record in stage.records() {
        match record.event {
            Event::StatementStarted { statement, .. } => started.push(statement),
            Event::StatementFinished { statement, .. } => finished.push(statement),
            _ => {}
        }
    }
    assert_eq!((&started, &finished), (&vec![1], &vec![1]));
}

#[tokio::test]
async fn the_end_of_a_statement_is_recorded_though_its_client_goes_when_the_answer_comes() {
    let stage = Stage::new();
    let (mut client, mut upstream, _) = stage.connection().await;
    client.send(&wire::query("select 1")).await;
    upstream.frame().await;
    upstream.send(&wire::done("SELECT 1")).await;
    drop(client);
    upstream.rest().await;
    let finished = |event: &Event| matches!(event, Event::StatementFinished { .. });
    let is_finished = || async { stage.records().iter().any(|r| finished(&r.event)) };
    wait::until("the end is recorded", Duration::from_secs(5), is_finished).await;
}

#[tokio::test]
async fn a_frame_that_never_ends_never_begins_at_the_upstream() {
    let stage = Stage::new();
    for whole in [
        wire::query("select 'smuggled'"),
        parse("", "select 'smuggled'", b"\0\0"),
    ] {
        for cut in [1, 3, 5, whole.len() - 1] {
            let (mut client, mut upstream, _) = stage.connection().await;
            client.send(&whole[..cut]).await;
            client.finish().await;
            assert_eq!(upstream.rest().await, message(b'X', b""));
        }
    }
}

#[tokio::test]
async fn a_long_frame_that_never_ends_is_cut_and_nothing_put_behind_it() {
    let stage = Stage::new();
    let (mut client, mut upstream, _) = stage.connection().await;
    let whole = wire::query(&format!("select '{}'", "x".repeat(10 * LONG)));
    let half = &whole[..5 * LONG];
    let send = async {
        client.send(half).await;
        client.finish().await;
    };
    let ((), seen) = tokio::join!(send, upstream.rest());
    assert!(
        seen.len() > LONG && half.starts_with(&seen),
        "{}",
        seen.len()
    );
}

#[tokio::test]
async fn frames_byte_by_byte_are_frames() {
    let stage = Stage::new();
    let (mut client, mut upstream, _) = stage.connection().await;
    let stream = [
        parse("s", "select $1", b"\0\x01\0\0\0\x19"),
        message(
            b'B',
            &[&text(&["", "s"])[..], b"\0\0\0\x01\0\0\0\x01a\0\0"].concat(),
        ),
        message(b'D', b"P\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'H', b""),
        message(b'S', b""),
        wire::query(""),
    ]
    .concat();
    client.dribble(&stream).await;
    assert_eq!(upstream.exactly(stream.len()).await, stream);
}

#[tokio::test]
async fn statements_sent_before_the_login_ends_wait_for_it_and_are_recorded() {
    let stage = Stage::new();
    let mut client = stage.client();
    let secret = stage.secret();
    let mut scram = postgres_protocol::authentication::sasl::ScramSha256::new(
        secret.as_bytes(),
        postgres_protocol::authentication::sasl::ChannelBinding::unsupported(),
    );
    let user = crate::support::stage::USER;
    client.send(&wire::startup(3, 0, &[("user", user)])).await;
    client.frame().await;
    let initial = wire::initial_response("SCRAM-SHA-256", scram.message());
    client.send(&message(b'p', &initial)).await;
    scram.update(&client.frame().await.body[4..]).unwrap();
    let early = wire::query("select 'early'");
    client
        .send(&[message(b'p', scram.message()), early.clone()].concat())
        .await;
    let mut upstream = stage.upstream().await;
    upstream.welcome(1, b"abcd").await;
    client.until(b'Z').await;
    assert_eq!(upstream.frame().await.body, early[5..]);
    let is_early = |event: &Event| matches!(event, Event::StatementStarted { .. });
    assert!(stage.records().iter().any(|r| is_early(&r.event)));
}

#[tokio::test]
async fn a_real_server_never_sees_what_was_malformed_and_others_work_on() {
    let cluster = Cluster::options().log_statements().start();
    let setup = Setup::new(&cluster).proxy("tls = \"off\"").target(
        "trusted",
        "orders_trust",
        "databases = [\"orders\"]",
    );
    let hallpass = Process::start(setup).await;
    let login = hallpass.grant("maya", "trusted", "10m").await.login;
    let enter = async || {
        let mut client = Wire::new(TcpStream::connect(hallpass.proxy).await.unwrap());
        let greeting = client.login(&login.user, "orders", &login.password).await;
        assert_eq!(greeting.unwrap().status, b'I');
        client
    };
    for bytes in [
        message(b'z', b"select 'smuggled'\0"),
        header(b'Q', -1),
        message(b'Q', b"select 1\0select 'smuggled'\0"),
        parse("", "select 'smuggled'", b"\xff\xff\0\0"),
        bind(b"\0\0\0\x01\x7f\xff\xff\xff\0\0"),
        // 2^32 + 14: whoever counts in 32 bits reads 14 bytes and then another message.
        [&header(b'Q', -1)[..], &wire::query("select 'smuggled'")].concat(),
    ] {
        let mut client = enter().await;
        client.send(&bytes).await;
        assert_eq!(client.refused().await[&'C'], "08P01", "{bytes:.40?}");
        let answer = enter().await.query("select 'works'").await;
        assert_eq!(answer.len(), 4, "{answer:?}");
    }
    let seen = cluster.statements().await;
    let works = seen.iter().filter(|it| it.sql == "select 'works'").count();
    assert_eq!(works, 6);
    let log = cluster.log()
        + &std::fs::read_to_string(cluster.folder().join("data/log/server.csv")).unwrap();
    for word in ["smuggled", "invalid message", "protocol"] {
        assert!(!log.contains(word), "{log}");
    }
}
