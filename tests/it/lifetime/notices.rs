//! What a client is told before its end, and how long it may be idle.

use std::time::{Duration, Instant};

use futures_util::future::poll_fn;
use tokio_postgres::AsyncMessage;

use super::{World, farewell};
use crate::support::login::said;
use crate::support::postgres::Cluster;
use crate::support::raw_client::{RawClient, Said, query};
use crate::support::wait;

#[tokio::test]
async fn an_idle_client_and_a_busy_psql_hear_of_the_end_beforehand() {
    let world = World::new(Cluster::start(), |setup| {
        setup.proxy("notices = [\"3s\", \"1s\"]")
    })
    .await;
    let grant = world.grant("5s").await;
    let psql = {
        let mut psql = grant.login.psql();
        psql.args(["-c", "select pg_sleep(600)"]);
        tokio::task::spawn_blocking(move || psql.output().unwrap())
    };
    let login = &grant.login;
    let (client, mut connection) = login.config().connect(login.tls()).await.unwrap();
    let mut heard = Vec::new();
    while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
        if let AsyncMessage::Notice(notice) = message {
            heard.push(notice.message().to_owned());
        }
    }
    drop(client);
    let words = |left: &str| format!("hallpass: session {} ends in {left}", grant.session);
    assert_eq!(heard, [words("3s"), words("1s")]);
    let printed = said(&psql.await.unwrap());
    for left in ["3s", "1s"] {
        assert!(
            printed.contains(&format!("NOTICE:  {}", words(left))),
            "{printed}"
        );
    }
    assert!(printed.contains("has expired"), "{printed}");
}

#[tokio::test]
async fn a_notice_comes_between_rows_and_never_inside_one() {
    let world = World::new(Cluster::start(), |setup| {
        setup.proxy("notices = [\"1s\", \"900ms\", \"800ms\", \"700ms\", \"600ms\", \"500ms\"]")
    })
    .await;
    let grant = world.grant("3s").await;
    let mut wire = RawClient::login(&grant.login).await;
    let sql = "select repeat('x', 20000) from generate_series(1, 100000000)";
    wire.send(&query(sql)).await;
    let mut notices = 0;
    let last = loop {
        let frame = wire.frame().await.expect("the reason");
        match frame.tag {
            b'D' => assert_eq!(frame.body.len(), 6 + 20_000),
            b'N' => {
                assert!(Said::read(&frame.body).message.contains("ends in"));
                notices += 1;
            }
            b'E' => break Said::read(&frame.body),
            tag => assert_eq!(tag, b'T'),
        }
    };
    assert_eq!(last.code, "57P01");
    assert_eq!(notices, 6);
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_running_query_is_not_idle() {
    let world = World::new(Cluster::start(), |setup| {
        setup.targets("idle_timeout = \"1s\"")
    })
    .await;
    let grant = world.grant("10m").await;
    let mut busy = RawClient::login(&grant.login).await;
    let mut in_transaction = RawClient::login(&grant.login).await;
    in_transaction
        .query("begin; create table held (id int)")
        .await;
    let idle = RawClient::login(&grant.login).await;
    let started = Instant::now();
    busy.send(&query("select pg_sleep(2.5)")).await;
    let slept = tokio::spawn(async move {
        busy.until(b'Z').await;
        let slept = started.elapsed();
        (slept, farewell(busy).await, started.elapsed())
    });
    for wire in [idle, in_transaction] {
        let said = farewell(wire).await;
        assert_eq!((&*said.severity, &*said.code), ("FATAL", "57P05"));
        assert!(said.hint.contains("connect again"), "{said:?}");
    }
    assert!(started.elapsed() >= Duration::from_millis(900));
    let (slept, said, ended) = slept.await.unwrap();
    assert!(slept >= Duration::from_millis(2400), "{slept:?}");
    assert_eq!(said.code, "57P05");
    let idle = ended - slept;
    assert!(
        idle >= Duration::from_millis(400),
        "counted from {idle:?} before"
    );
    let none = || async { world.backends_of(grant.session).await == 0 };
    wait::until("no backend is left", Duration::from_secs(5), none).await;
    // The session goes on.
    assert_eq!(grant.login.ask("select 1"), "1");
}
