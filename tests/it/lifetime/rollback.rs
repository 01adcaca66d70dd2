//! What was not committed when a session ends never was.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use crate::support::hallpass::Setup;
use crate::support::postgres::Cluster;
use crate::support::process::Process;

#[tokio::test]
async fn an_open_transaction_is_rolled_back_at_the_end() {
    let cluster = Cluster::start();
    let hallpass = Process::start(Setup::new(&cluster)).await;
    let grant = hallpass.grant("maya", "orders-admin", "10m").await;
    let mut psql = grant.login.psql();
    let mut psql = psql
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut keyboard = psql.stdin.take().unwrap();
    keyboard
        .write_all(b"begin;\ndelete from orders;\nselect pg_sleep(600);\n")
        .unwrap();
    cluster.running("pg_sleep(600)").await;
    hallpass.revoke(grant.session).await;
    cluster.no_backends(Duration::from_secs(10)).await;
    psql.wait().unwrap();
    let direct = cluster.login("orders_admin", "orders");
    assert_eq!(direct.ask("select count(*) from orders"), "1000");
}

/// A statement that catches its cancel, and would go on to write.
const STUBBORN: &str = "do $$ begin
  for i in 1..600 loop
    begin perform pg_sleep(1); exception when query_canceled then null; end;
  end loop;
  delete from orders;
end $$";

#[tokio::test]
async fn a_statement_that_catches_its_cancel_ends_with_its_session_all_the_same() {
    let cluster = Cluster::start();
    let hallpass = Process::start(Setup::new(&cluster)).await;
    let grant = hallpass.grant("maya", "orders-admin", "10m").await;
    let mut psql = grant.login.psql();
    let mut psql = psql
        .args(["-c", STUBBORN])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    cluster.running("query_canceled").await;
    hallpass.revoke(grant.session).await;
    cluster.no_backends(Duration::from_secs(10)).await;
    psql.wait().unwrap();
    let direct = cluster.login("orders_admin", "orders");
    assert_eq!(direct.ask("select count(*) from orders"), "1000");
}
