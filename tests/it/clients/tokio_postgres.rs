//! tokio-postgres: binary parameters and results, pipelining, COPY, cancel, notifications.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt, future, stream};
use tokio_postgres::AsyncMessage;
use tokio_postgres::error::SqlState;

use super::Ways;

#[tokio::test]
async fn parameters_and_prepared_statements_work() {
    let ways = Ways::open().await;
    let client = ways.through().connect().await;
    let statement = client
        .prepare("select $1::int4 + 1, $2::text, $3::bytea, $4::int8 is null, $5::float8")
        .await
        .unwrap();
    for i in 0..20 {
        let row = client
            .query_one(
                &statement,
                &[&i, &"é世", &&b"\0\xff"[..], &None::<i64>, &1.5],
            )
            .await
            .unwrap();
        assert_eq!(row.get::<_, i32>(0), i + 1);
        assert_eq!(row.get::<_, &str>(1), "é世");
        assert_eq!(row.get::<_, &[u8]>(2), b"\0\xff");
        assert!(row.get::<_, bool>(3));
    }
}

#[tokio::test]
async fn pipelined_queries_are_answered_in_order() {
    let ways = Ways::open().await;
    let client = ways.through().connect().await;
    let statement = client.prepare("select $1::int4 * 2").await.unwrap();
    let queries = (0..500).map(|i| {
        let (client, statement) = (&client, &statement);
        async move { client.query_one(statement, &[&i]).await.unwrap().get(0) }
    });
    let doubled: Vec<i32> = future::join_all(queries).await;
    assert!(doubled.iter().zip(0..).all(|(d, i)| *d == i * 2));

    let (before, failed, after) = future::join3(
        client.query_one("select 1", &[]),
        client.query_one("select 1 / (select 0)", &[]),
        client.query_one("select 2", &[]),
    )
    .await;
    assert!(before.is_ok() && after.is_ok());
    assert_eq!(
        failed.unwrap_err().code(),
        Some(&SqlState::DIVISION_BY_ZERO)
    );
}

#[tokio::test]
async fn copy_works_both_ways_and_can_be_broken_off() {
    let ways = Ways::open().await;
    let client = ways.through().connect().await;
    client
        .batch_execute("create temp table copied (id int, label text)")
        .await
        .unwrap();
    let mut sink = pin!(client.copy_in("copy copied from stdin").await.unwrap());
    let lines = (0..10_000).map(|i| Ok(Bytes::from(format!("{i}\trow {i}\n"))));
    sink.send_all(&mut stream::iter(lines)).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), 10_000);

    let mut given_up = Box::pin(client.copy_in("copy copied from stdin").await.unwrap());
    given_up.send(Bytes::from("1\tx\n")).await.unwrap();
    drop(given_up);

    let out = client.copy_out("copy copied to stdout").await.unwrap();
    let chunks: Vec<Bytes> = pin!(out).try_collect().await.unwrap();
    let bytes: usize = chunks.iter().map(Bytes::len).sum();
    assert_eq!(chunks.len(), 10_000);
    let sent = (0..10_000).map(|i| format!("{i}\trow {i}\n").len());
    assert_eq!(bytes, sent.sum::<usize>());
}

#[tokio::test]
async fn a_cancel_token_cancels() {
    let ways = Ways::open().await;
    let client = ways.through().connect().await;
    let token = client.cancel_token();
    let canceller = async {
        ways.cluster.running("pg_sleep(60)").await;
        token.cancel_query(ways.through().tls()).await.unwrap();
    };
    let (slept, ()) = future::join(client.execute("select pg_sleep(60)", &[]), canceller).await;
    assert_eq!(slept.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    assert!(client.query_one("select 1", &[]).await.is_ok());
}

#[tokio::test]
async fn notifications_reach_an_idle_client() {
    let ways = Ways::open().await;
    let login = ways.through();
    let (client, mut connection) = login.config().connect(login.tls()).await.unwrap();
    let (sender, mut heard) = tokio::sync::mpsc::channel(10);
    tokio::spawn(async move {
        while let Some(Ok(message)) = future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(notification) = message {
                sender
                    .send(notification.payload().to_owned())
                    .await
                    .unwrap();
            }
        }
    });
    client.batch_execute("listen news").await.unwrap();
    let other = login.connect().await;
    other.batch_execute("notify news, 'item'").await.unwrap();
    let payload = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await;
    assert_eq!(payload.unwrap().unwrap(), "item");
}
