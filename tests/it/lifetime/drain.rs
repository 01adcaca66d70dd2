//! Stopping: what is open gets its grace, then the reason.

use std::process::Stdio;
use std::time::{Duration, Instant};

use hallpass::audit::Event;
use nix::sys::signal::Signal;
use tokio::net::TcpStream;

use super::{World, farewell};
use crate::support::ledger::Ledger;
use crate::support::postgres::Cluster;
use crate::support::raw_client::{RawClient, query};
use crate::support::wait;

async fn world_with_grace(grace: &str) -> World {
    let line = format!("drain_grace = {grace:?}");
    World::new(Cluster::start(), |setup| setup.proxy(&line)).await
}

fn stopped(world: &World) -> usize {
    let records = world.hallpass.records();
    let stopped = records.iter().filter(|r| matches!(r.event, Event::Stopped));
    stopped.count()
}

#[tokio::test]
async fn a_drain_lets_work_finish_then_ends_the_rest_and_exits_well() {
    let mut world = world_with_grace("2s").await;
    let grant = world.grant("10m").await;
    let mut short = RawClient::login(&grant.login).await;
    let mut long = RawClient::login(&grant.login).await;
    let idle = RawClient::login(&grant.login).await;
    short.send(&query("select pg_sleep(1)")).await;
    long.send(&query("select pg_sleep(600)")).await;
    world.cluster.running("pg_sleep(600)").await;

    world.hallpass.signal(Signal::SIGTERM);
    let started = Instant::now();
    let address = world.hallpass.proxy;
    let closed = || async { TcpStream::connect(address).await.is_err() };
    wait::until("no new clients", Duration::from_secs(2), closed).await;
    assert_eq!(world.hallpass.ops("/readyz").await.0, 503);
    short.until(b'Z').await;
    assert!(
        started.elapsed() < Duration::from_millis(1900),
        "within the grace"
    );
    for wire in [short, long, idle] {
        let said = farewell(wire).await;
        assert_eq!((&*said.severity, &*said.code), ("FATAL", "57P01"));
        assert!(said.message.contains("shutting down"), "{said:?}");
        assert!(said.hint.contains("connect again"), "{said:?}");
    }
    assert!(
        started.elapsed() >= Duration::from_millis(1900),
        "the whole grace"
    );
    let status = world.hallpass.exit(Duration::from_secs(10)).await;
    eprintln!("it ended after {:?}", started.elapsed());
    assert!(status.success(), "{status}");
    world.gone(grant.session).await;
    assert_eq!(world.closed(&grant, 3).await, ["shutting_down"; 3]);
    assert_eq!(stopped(&world), 1);
}

#[tokio::test]
async fn a_drain_ends_with_the_last_connection() {
    let mut world = world_with_grace("60s").await;
    let grant = world.grant("10m").await;
    let mut wire = RawClient::login(&grant.login).await;
    world.hallpass.signal(Signal::SIGTERM);
    wire.query("select 1").await;
    let terminate = b"X\0\0\0\x04";
    wire.send(terminate).await;
    let status = world.hallpass.exit(Duration::from_secs(5)).await;
    assert!(status.success(), "{status}");
    assert_eq!(world.closed(&grant, 1).await, ["client_terminated"]);
    assert_eq!(stopped(&world), 1);
}

#[tokio::test]
async fn a_second_signal_ends_the_drain_at_once() {
    let mut world = world_with_grace("60s").await;
    let grant = world.grant("10m").await;
    let mut wire = RawClient::login(&grant.login).await;
    wire.send(&query("select pg_sleep(600)")).await;
    world.cluster.running("pg_sleep(600)").await;
    world.hallpass.signal(Signal::SIGTERM);
    let draining = || async { world.hallpass.ops("/readyz").await.0 == 503 };
    wait::until("it drains", Duration::from_secs(5), draining).await;
    world.hallpass.signal(Signal::SIGTERM);
    let started = Instant::now();
    assert_eq!(farewell(wire).await.code, "57P01");
    let status = world.hallpass.exit(Duration::from_secs(5)).await;
    eprintln!("it ended after {:?}", started.elapsed());
    assert!(status.success(), "{status}");
    world.gone(grant.session).await;
    assert_eq!(world.closed(&grant, 1).await, ["shutting_down"]);
    assert_eq!(stopped(&world), 1);
}

#[tokio::test]
async fn a_drain_under_load_leaves_nothing_open() {
    let mut world = world_with_grace("1s").await;
    let grant = world.grant("10m").await;
    let mut load = grant.login.command("pgbench");
    load.args(["-n", "-c8", "-j2", "-T60", "-M", "prepared", "-f"]);
    let script = world.hallpass.folder().join("load.sql");
    std::fs::write(&script, "select count(*) from orders;\n").unwrap();
    load.arg(script).stdout(Stdio::null()).stderr(Stdio::null());
    let mut load = load.spawn().unwrap();
    let records = "hallpass_audit_records_total";
    let busy = || async { world.hallpass.metric(records).await > 500.0 };
    wait::until("a load is on", Duration::from_secs(30), busy).await;
    for _ in 0..100 {
        world.hallpass.signal(Signal::SIGHUP);
    }
    world.hallpass.signal(Signal::SIGTERM);
    let status = world.hallpass.exit(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}");
    load.wait().unwrap();
    world.gone(grant.session).await;
    let records = world.hallpass.records();
    let ledger = Ledger::read(&records);
    ledger.check_outcomes();
    // pgbench looks at the server first, by a connection of its own.
    let mut closed = world.closed(&grant, 9).await;
    closed.sort();
    assert_eq!((&*closed[0], closed.len()), ("client_terminated", 9));
    assert!(closed[1..].iter().all(|reason| reason == "shutting_down"));
    let mut last = records.iter().filter(|it| !it.event.is_of_the_log());
    assert_eq!(last.next_back().unwrap().event, Event::Stopped);
}
