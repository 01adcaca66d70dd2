//! Many connections of one session, which all end at once.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::task::JoinSet;

use super::{World, since, until};
use crate::support::hallpass::Grant;
use crate::support::postgres::Cluster;
use crate::support::raw_client::{RawClient, Said, query};
use crate::support::wait;

const CONNECTIONS: usize = 500;
/// Logins at a time: hallpass counts those of one address that have not authenticated.
const AT_A_TIME: usize = 32;

/// A connection of the crowd: every other one runs a query, and each waits for its end. The reason
/// it was given, and how long after the session's end.
async fn member(mut client: RawClient, is_busy: bool, grant: Grant) -> (Said, Duration) {
    if is_busy {
        client.send(&query("select pg_sleep(600)")).await;
    }
    let (said, _) = client.end().await;
    (said.expect("a reason"), since(grant.secret.expires_at))
}

/// A session with all its connections, which wait for its end.
async fn crowd(world: &World) -> (Grant, JoinSet<(Said, Duration)>) {
    // As many logins take a while, and how long is not what is measured.
    for duration in ["8s", "16s", "60s"] {
        let grant = world.hallpass.grant("maya", "crowded", duration).await;
        let login = &grant.login;
        let logins = stream::iter(0..CONNECTIONS).map(|_| RawClient::try_login(login, &[]));
        let clients: Vec<_> = logins.buffered(AT_A_TIME).collect().await;
        let mut crowd = JoinSet::new();
        for (client, i) in clients.into_iter().flatten().zip(0..) {
            crowd.spawn(member(client, i % 2 == 0, grant.clone()));
        }
        if crowd.len() == CONNECTIONS && until(grant.secret.expires_at) > Duration::from_secs(1) {
            return (grant, crowd);
        }
        crowd.join_all().await;
    }
    panic!("{CONNECTIONS} logins take more than a minute");
}

#[tokio::test]
async fn five_hundred_connections_end_with_their_session_and_all_are_told() {
    let cluster = Cluster::options().setting("max_connections", "540").start();
    // The role needs no password: the server's share of 500 logins is not what is measured.
    let crowded = "databases = [\"orders\"]\nmax_connections = 500";
    let world = World::new(cluster, |setup| {
        setup.target("crowded", "orders_trust", crowded)
    })
    .await;
    let (grant, mut crowd) = crowd(&world).await;
    let left = until(grant.secret.expires_at);
    let mut lags = Vec::new();
    while let Some(ended) = crowd.join_next().await {
        let (said, lag) = ended.unwrap();
        assert_eq!(
            (&*said.severity, &*said.code),
            ("FATAL", "57P01"),
            "{said:?}"
        );
        lags.push(lag);
    }
    world.gone(grant.session).await;
    let gone = since(grant.secret.expires_at);
    lags.sort();
    eprintln!(
        "{left:?} to spare; told after {:?} (half), {:?} (99 of 100), {:?} (the last); gone after {gone:?}",
        lags[CONNECTIONS / 2],
        lags[CONNECTIONS * 99 / 100],
        lags[CONNECTIONS - 1],
    );
    assert!(lags[CONNECTIONS - 1] < Duration::from_secs(10), "{lags:?}");
    let reasons = world.closed(&grant, CONNECTIONS).await;
    assert!(reasons.iter().all(|reason| reason == "session_expired"));
    let count = world.hallpass.metric("hallpass_expiry_lag_seconds_count");
    let count = count.await;
    assert!(count >= CONNECTIONS as f64, "{count}");
    let sum = world
        .hallpass
        .metric("hallpass_expiry_lag_seconds_sum")
        .await;
    eprintln!("by its own measure {:?} on average", sum / count);
}

#[tokio::test]
async fn connecting_while_the_session_is_revoked_never_gets_in_afterwards() {
    let world = World::plain().await;
    let mut admitted = 0;
    for _ in 0..12 {
        let grant = world.grant("10m").await;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut clients = JoinSet::new();
        for _ in 0..6 {
            let (login, stopped) = (grant.login.clone(), stopped.clone());
            clients.spawn(async move {
                let mut let_in = 0;
                loop {
                    // Read before the attempt: what begins after the revocation must fail.
                    let over = *stopped.borrow();
                    match RawClient::try_login(&login, &[]).await {
                        Ok(_) if over => panic!("let in after the revocation"),
                        Ok(wire) => {
                            let_in += 1;
                            // Each stays, and must be ended.
                            tokio::spawn(wire.end());
                        }
                        Err(_) if over => return let_in,
                        Err(_) => {}
                    }
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
        world.hallpass.revoke(grant.session).await;
        stop.send(true).unwrap();
        admitted += clients.join_all().await.iter().sum::<usize>();
        world.gone(grant.session).await;
        // The server's side is gone first; ours follows when its end is written down.
        let none = || async { world.hallpass.connections().await.is_empty() };
        wait::until("no connection is left", super::GENEROUS, none).await;
    }
    eprintln!("{admitted} were let in before");
    assert!(admitted > 0);
}
