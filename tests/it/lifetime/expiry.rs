//! Expiry and revocation, whatever the connection is doing.

use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::{GENEROUS, World, assert_ended, farewell};
use crate::support::hallpass::{Grant, Setup};
use crate::support::login::said;
use crate::support::postgres::Cluster;
use crate::support::raw_client::{RawClient, SYNC, Said, execute, query};

/// psql, which runs a statement of ten minutes.
async fn sleeper(world: &World, grant: &Grant) -> std::process::Child {
    let mut psql = grant.login.psql();
    psql.args(["-v", "VERBOSITY=verbose", "-c", "select pg_sleep(600)"]);
    let psql = psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    world.cluster.running("pg_sleep(600)").await;
    psql.unwrap()
}

/// With TLS on all legs, as people have it.
async fn encrypted() -> World {
    let cluster = Cluster::options().tls().start();
    let setup = Setup::new(&cluster);
    World::start(cluster, setup).await
}

#[tokio::test]
async fn a_running_query_ends_with_its_session_and_psql_says_why() {
    let world = encrypted().await;
    let grant = world.grant("3s").await;
    let psql = sleeper(&world, &grant).await;
    let late = world.expired_and_gone(&grant).await;
    let printed = said(&psql.wait_with_output().unwrap());
    let reason = format!(
        "FATAL:  57P01: hallpass: session {} has expired",
        grant.session
    );
    assert!(printed.contains(&reason), "{printed}");
    assert!(printed.contains("HINT:  Ask for access again"), "{printed}");
    assert!(late < GENEROUS, "{late:?}");
    assert_eq!(world.closed(&grant, 1).await, ["session_expired"]);
}

#[tokio::test]
async fn a_running_query_ends_when_its_session_is_revoked_and_psql_says_by_whom() {
    let world = encrypted().await;
    let grant = world.grant("10m").await;
    let psql = sleeper(&world, &grant).await;
    let took = world.revoked_and_gone(grant.session).await;
    let printed = said(&psql.wait_with_output().unwrap());
    for words in [
        "FATAL:  57P01: hallpass: session",
        "revoked by dana: the incident is over",
    ] {
        assert!(printed.contains(words), "{printed}");
    }
    assert!(took < GENEROUS, "{took:?}");
    assert_eq!(world.closed(&grant, 1).await, ["session_revoked"]);
}

/// One connection in every state that there is, none of them reading.
async fn every_state(grant: &Grant) -> Vec<(&'static str, RawClient)> {
    let states: [(&str, &str); 6] = [
        ("idle", "select 1"),
        ("in a transaction", "begin; create table held (id int)"),
        ("in a failed transaction", "begin; select 1/0"),
        ("listening", "listen news"),
        (
            "with a cursor",
            "begin; declare c cursor for select generate_series(1, 10)",
        ),
        ("with a lock", "begin; lock table customers"),
    ];
    let mut wires = Vec::new();
    for (state, sql) in states {
        let mut wire = RawClient::login(&grant.login).await;
        wire.query(sql).await;
        wires.push((state, wire));
    }
    let mut copying = RawClient::login(&grant.login).await;
    copying.send(&query("copy orders from stdin")).await;
    copying.until(b'G').await;
    wires.push(("in COPY in", copying));

    let endless = "copy (select generate_series(1, 1000000000)) to stdout";
    let mut halfway = query("select 'never whole'");
    halfway.truncate(10);
    let sleep = execute("select pg_sleep(600)", &[]);
    let sleeps: BytesMut = (0..100).flat_map(|_| [&sleep, SYNC].concat()).collect();
    for (state, bytes) in [
        ("in COPY out", query(endless)),
        ("in half a message", halfway),
        ("in a query", query("select pg_sleep(600)")),
        ("before a Sync", execute("select pg_sleep(600)", &[])),
        ("in a pipeline", sleeps),
    ] {
        let mut wire = RawClient::login(&grant.login).await;
        wire.send(&bytes).await;
        wires.push((state, wire));
    }
    wires
}

/// How many sleeps the server's log shows.
async fn sleeps_begun(world: &World) -> usize {
    let statements = world.cluster.statements().await;
    let sleeps = statements.iter().filter(|s| s.sql.contains("pg_sleep"));
    sleeps.count()
}

#[tokio::test]
async fn whatever_a_connection_is_doing_it_gets_the_reason_and_its_backend_ends() {
    let world = World::new(Cluster::options().log_statements().start(), |setup| setup).await;
    let grant = world.grant("10m").await;
    let wires = every_state(&grant).await;
    let count = wires.len();
    world.cluster.running("generate_series").await;
    world.cluster.running("pg_sleep").await;
    let before = sleeps_begun(&world).await;
    assert!(before >= 3, "{before} began");

    let took = world.revoked_and_gone(grant.session).await;
    for (state, wire) in wires {
        eprintln!("{state}");
        if state == "in COPY out" {
            // It may have been cut inside a message; then it was told nothing.
            let (said, cut) = wire.end().await;
            assert!(said.is_none() || cut.is_empty(), "{said:?} {cut:?}");
        } else {
            assert_ended(&farewell(wire).await, "was revoked by dana");
        }
    }
    assert!(took < GENEROUS, "{took:?}");
    assert_eq!(
        world.closed(&grant, count).await,
        vec!["session_revoked"; count]
    );
    // Of the hundred in the pipeline a cancel ends one and the next begins, a few times at most.
    let began = sleeps_begun(&world).await - before;
    assert!(began < 10, "{began} more began");
    let held = "select count(*) from pg_class where relname = 'held'";
    assert_eq!(world.cluster.login("orders_admin", "orders").ask(held), "0");
}

/// Of a row that was cut, what follows its head is the row, and not the reason; the reason itself
/// may be cut too.
fn assert_whole_or_cut(cut: &[u8]) {
    match cut {
        [b'D', ..] => assert!(cut.iter().skip(11).all(|&byte| byte == b'x')),
        _ => assert!(cut.is_empty() || cut.starts_with(b"E"), "{cut:?}"),
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_delays_nothing_and_reads_whole_messages_later() {
    let world = World::plain().await;
    let grant = world.grant("10m").await;
    let mut wires = Vec::new();
    for len in [10, 1_000, 30_000, 1_000_000, 20_000_000] {
        let mut wire = RawClient::login(&grant.login).await;
        let sql = format!("select repeat('x', {len}) from generate_series(1, 1000000)");
        wire.send(&query(&sql)).await;
        wire.until(b'T').await;
        wires.push((len, wire));
    }
    let took = world.revoked_and_gone(grant.session).await;
    let mut told = 0;
    for (len, wire) in wires {
        let (said, cut) = wire.end().await;
        eprintln!("rows of {len}: {} bytes of a cut one, {said:?}", cut.len());
        let was_told = said.is_some();
        match said {
            Some(said) => assert_ended(&said, "was revoked by dana"),
            None => assert_whole_or_cut(&cut),
        }
        told += usize::from(was_told);
    }
    eprintln!("{told} were told why");
    assert!(took < GENEROUS, "{took:?}");
    world.closed(&grant, 5).await;
}

/// Reads rows of `len` bytes, not too fast, to the end: the reason, if it came.
async fn reader(mut client: RawClient, len: usize) -> Option<Said> {
    let mut read = 0;
    while let Some(frame) = client.frame().await {
        if frame.tag == b'E' {
            assert_eq!(client.frame().await, None);
            return Some(Said::read(&frame.body));
        }
        assert!(frame.tag == b'T' || frame.body.len() == 6 + len);
        read += frame.body.len();
        if read > 200_000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            read = 0;
        }
    }
    assert_whole_or_cut(&client.end().await.1);
    None
}

#[tokio::test]
async fn clients_that_read_slowly_get_the_reason_behind_a_whole_message() {
    let world = World::plain().await;
    let grant = world.grant("10m").await;
    let mut readers = tokio::task::JoinSet::new();
    for len in [100, 700, 20_000, 100_000] {
        let mut client = RawClient::login(&grant.login).await;
        let sql = format!("select repeat('x', {len}) from generate_series(1, 1000000)");
        client.send(&query(&sql)).await;
        readers.spawn(reader(client, len));
    }
    world.cluster.running("generate_series").await;
    let started = Instant::now();
    world.hallpass.revoke(grant.session).await;
    let said: Vec<Said> = readers.join_all().await.into_iter().flatten().collect();
    eprintln!(
        "{} of 4 were told, after {:?}",
        said.len(),
        started.elapsed()
    );
    // One that falls behind by more than its grace is cut instead.
    assert!(!said.is_empty());
    for said in said {
        assert_ended(&said, "was revoked by dana");
    }
    world.gone(grant.session).await;
}
