//! Sessions across restarts and crashes: the same end, never a later one, and none revived.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{GENEROUS, World, assert_ended, farewell, since, until};
use crate::support::postgres::Cluster;
use crate::support::raw_client::{RawClient, query};

#[tokio::test]
async fn a_session_survives_a_restart_and_a_crash_with_the_same_end() {
    let mut world = World::new(Cluster::start(), |setup| {
        setup.proxy("drain_grace = \"100ms\"")
    })
    .await;
    let grant = world.grant("8s").await;
    let revoked = world.hallpass.grant("noor", "orders-admin", "10m").await;
    let brief = world.hallpass.grant("noor", "orders-ro", "2s").await;
    world.hallpass.revoke(revoked.session).await;
    let before = RawClient::login(&grant.login).await;

    world.hallpass.signal(Signal::SIGTERM);
    let status = world.hallpass.exit(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}");
    assert_eq!(farewell(before).await.code, "57P01");
    world.hallpass.start_again().await;
    let mut cut = RawClient::login(&grant.login).await;
    cut.query("select 'before the crash'").await;

    world.hallpass.kill();
    world.gone(grant.session).await;
    tokio::time::sleep(until(brief.secret.expires_at)).await;
    world.hallpass.start_again().await;
    for over in [&revoked, &brief] {
        let said = RawClient::try_login(&over.login, &[])
            .await
            .err()
            .expect("it is over");
        assert_eq!(said.code, "28000", "{said:?}");
    }
    let mut wire = RawClient::login(&grant.login).await;
    wire.send(&query("select pg_sleep(600)")).await;
    let again = world.hallpass.login("maya", grant.session).await;
    assert_eq!(again.secret.expires_at, grant.secret.expires_at);
    assert_eq!(again.secret.password, grant.secret.password);
    assert_ended(&farewell(wire).await, "has expired");
    world.gone(grant.session).await;
    let late = since(grant.secret.expires_at);
    eprintln!("expired and gone after {late:?}");
    assert!(late < GENEROUS, "{late:?}");
}
