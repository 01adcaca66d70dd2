//! How a session ends: on time, whatever its clients do, and nothing of it goes on.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use futures_util::{StreamExt, future, stream};
use hallpass::clock::Clock;

use crate::support::hallpass::Setup;
use crate::support::in_process::InProcess;
use crate::support::login::{Login, said};
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::wait;

/// How long a server process may outlive its session.
const GONE: Duration = Duration::from_secs(1);

/// psql in the middle of a statement that would take ten minutes.
async fn sleeper(cluster: &Cluster, login: &Login) -> std::process::Child {
    let mut psql = login.psql();
    psql.args(["-c", "select pg_sleep(600)"]);
    psql.stdout(Stdio::piped()).stderr(Stdio::piped());
    let psql = psql.spawn().unwrap();
    cluster.running("pg_sleep(600)").await;
    psql
}

#[tokio::test]
async fn a_revoked_session_ends_its_running_statement_within_a_second() {
    let cluster = Cluster::start();
    let hallpass = Process::start(Setup::new(&cluster)).await;
    let grant = hallpass.grant("maya", "orders-ro", "10m").await;
    let psql = sleeper(&cluster, &grant.login).await;
    hallpass.revoke(grant.session).await;
    cluster.no_backends(GONE).await;
    let printed = said(&psql.wait_with_output().unwrap());
    for word in [
        "FATAL:",
        &grant.session.to_string(),
        "dana",
        "the incident is over",
    ] {
        assert!(printed.contains(word), "{word} is missing from:\n{printed}");
    }
    assert!(grant.login.try_connect().await.is_err());
    assert!(hallpass.connections().await.is_empty());
}

#[tokio::test]
async fn an_expired_session_ends_its_running_statement_within_a_second() {
    let cluster = Cluster::start();
    let hallpass = Process::start(Setup::new(&cluster)).await;
    let grant = hallpass.grant("maya", "orders-ro", "3s").await;
    let psql = sleeper(&cluster, &grant.login).await;
    let printed = said(&psql.wait_with_output().unwrap());
    let late = Clock::system()
        .now()
        .duration_since(grant.secret.expires_at);
    assert!(
        !late.is_negative() && late.as_secs() < 1,
        "{late:?}\n{printed}"
    );
    cluster.no_backends(GONE).await;
    assert!(
        printed.contains("FATAL:") && printed.contains("expired"),
        "{printed}"
    );
    assert!(grant.login.try_connect().await.is_err());
}

#[tokio::test]
async fn a_client_that_reads_nothing_does_not_delay_the_end() {
    let cluster = Cluster::start();
    let hallpass = Process::start(Setup::new(&cluster).proxy("tls = \"off\"")).await;
    let grant = hallpass.grant("maya", "orders-ro", "10m").await;
    // Stopped by the kernel in the middle of a result that never ends.
    let mut psql = grant.login.psql();
    let flood = "select repeat('x', 1000), generate_series(1, 100000000)";
    psql.args([
        "--set",
        "FETCH_COUNT=0",
        "-c",
        &format!("copy ({flood}) to stdout"),
    ]);
    let mut psql = psql.stdout(Stdio::piped()).spawn().unwrap();
    let waiting = || async {
        let activity = cluster.admin("postgres").await;
        let sql = "select from pg_stat_activity where wait_event = 'ClientWrite'";
        !activity.query(sql, &[]).await.unwrap().is_empty()
    };
    wait::until("the server waits", Duration::from_secs(20), waiting).await;
    hallpass.revoke(grant.session).await;
    cluster.no_backends(GONE).await;
    psql.kill().unwrap();
    psql.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_connections_are_closed_within_a_quarter_second() {
    let cluster = Cluster::options().setting("max_connections", "520").start();
    let setup = Setup::new(&cluster).targets("max_connections = 500");
    let setup = setup.target("orders-trust", "orders_trust", "databases = [\"orders\"]");
    let hallpass = Process::start(setup.proxy("unauthenticated_per_address = 1000")).await;
    let grant = hallpass.grant("maya", "orders-trust", "20s").await;
    let login = &grant.login;
    let connect = |_| async { login.config().connect(login.tls()).await.unwrap() };
    let connections: Vec<_> = stream::iter(0..500)
        .map(connect)
        .buffered(8)
        .collect()
        .await;
    let left = grant
        .secret
        .expires_at
        .duration_since(Clock::system().now());
    assert!(left.is_positive(), "connecting took {left:?} too long");
    let ends = connections.into_iter().map(|(client, connection)| async {
        let end = tokio::spawn(connection).await.unwrap();
        drop(client);
        end.unwrap_err()
    });
    for error in future::join_all(ends).await {
        assert_eq!(
            error.code().map(|code| code.code()),
            Some("57P01"),
            "{error:?}"
        );
    }
    let lag = "hallpass_expiry_lag_seconds";
    let all = || async { hallpass.metric(&format!("{lag}_count")).await == 500.0 };
    wait::until("all are counted", Duration::from_secs(5), all).await;
    let in_time = hallpass
        .metric(&format!("{lag}_bucket{{le=\"0.25\"}}"))
        .await;
    assert_eq!(in_time, 500.0, "{}", hallpass.ops("/metrics").await.1);
}

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
    cluster.no_backends(GONE).await;
    psql.wait().unwrap();
    let direct = cluster.login("orders_admin", "orders");
    assert_eq!(direct.ask("select count(*) from orders"), "1000");
}

#[tokio::test]
async fn an_idle_connection_is_told_and_closed() {
    let cluster = Cluster::start();
    let setup = Setup::new(&cluster).targets("idle_timeout = \"1s\"");
    let hallpass = InProcess::start(setup).await;
    let grant = hallpass.grant("maya", "orders-ro", "10m").await;
    let (client, connection) = grant
        .login
        .config()
        .connect(grant.login.tls())
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute("select pg_sleep(1.5)").await.unwrap();
    let error = connection.await.unwrap().unwrap_err();
    assert_eq!(error.code().unwrap().code(), "57P05");
}

#[tokio::test]
async fn a_drain_gives_connections_their_grace_and_then_ends_them() {
    let cluster = Cluster::start();
    let setup = Setup::new(&cluster).proxy("drain_grace = \"2s\"");
    let mut hallpass = Process::start(setup).await;
    let grant = hallpass.grant("maya", "orders-ro", "10m").await;
    let (client, connection) = grant
        .login
        .config()
        .connect(grant.login.tls())
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    hallpass.signal(nix::sys::signal::Signal::SIGTERM);
    let refused = || async { grant.login.try_connect().await.is_err() };
    wait::until("new clients are refused", Duration::from_secs(5), refused).await;
    client
        .batch_execute("select 'within the grace'")
        .await
        .unwrap();
    let error = connection.await.unwrap().unwrap_err();
    assert_eq!(error.code().unwrap().code(), "57P01");
    assert!(
        hallpass.exit(Duration::from_secs(10)).await.success(),
        "{}",
        hallpass.log()
    );
    hallpass.start_again().await;
    assert_eq!(grant.login.ask("select 'same session'"), "same session");
}
