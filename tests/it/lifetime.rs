//! How connections end: on time, whatever the client does, with the reason, and for good.

mod admission;
mod drain;
mod expiry;
mod extension;
mod load;
mod notices;
mod restart;
mod rollback;

use std::time::{Duration, Instant};

use hallpass::access::SessionId;
use hallpass::clock::Clock;
use jiff::Timestamp;

use crate::support::hallpass::{Grant, Setup};
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::raw_client::{RawClient, Said};
use crate::support::wait;

/// What a test asserts where hallpass promises a second: this machine may be busy with others.
const GENEROUS: Duration = Duration::from_secs(3);

/// A server and a hallpass in front of it, with TLS nowhere, so that tests see every byte.
struct World {
    cluster: Cluster,
    hallpass: Process,
    admin: tokio_postgres::Client,
}

impl World {
    async fn plain() -> Self {
        Self::new(Cluster::start(), |setup| setup).await
    }

    async fn new(cluster: Cluster, change: impl FnOnce(Setup) -> Setup) -> Self {
        let setup = change(Setup::new(&cluster).proxy("tls = \"off\""));
        Self::start(cluster, setup).await
    }

    async fn start(cluster: Cluster, setup: Setup) -> Self {
        let hallpass = Process::start(setup).await;
        let admin = cluster.admin("postgres").await;
        Self {
            cluster,
            hallpass,
            admin,
        }
    }

    /// maya's session for `orders-admin`.
    async fn grant(&self, duration: &str) -> Grant {
        self.hallpass.grant("maya", "orders-admin", duration).await
    }

    /// How many server processes a session has.
    async fn backends_of(&self, session: SessionId) -> i64 {
        let sql = "select count(*) from pg_stat_activity where application_name like $1";
        let label = format!("%{session}%");
        let row = self.admin.query_one(sql, &[&label]).await.unwrap();
        row.get(0)
    }

    /// Waits until PostgreSQL runs nothing more for a session.
    async fn gone(&self, session: SessionId) {
        let none = || async { self.backends_of(session).await == 0 };
        wait::until("its backends are gone", Duration::from_secs(30), none).await;
    }

    /// Revokes a session, and waits until its backends are gone: how long that took.
    async fn revoked_and_gone(&self, session: SessionId) -> Duration {
        let started = Instant::now();
        self.hallpass.revoke(session).await;
        self.gone(session).await;
        let took = started.elapsed();
        eprintln!("revoked and gone after {took:?}");
        took
    }

    /// Waits for a session's end and until its backends are gone: how much later that was.
    async fn expired_and_gone(&self, grant: &Grant) -> Duration {
        let left = until(grant.secret.expires_at);
        tokio::time::sleep(left.saturating_sub(Duration::from_millis(50))).await;
        let left = self.backends_of(grant.session).await;
        let is_over = since(grant.secret.expires_at) > Duration::ZERO;
        assert!(left > 0 || is_over, "it ended early");
        self.gone(grant.session).await;
        let late = since(grant.secret.expires_at);
        eprintln!("expired and gone after {late:?}");
        late
    }

    /// The close reasons that a session's connections are on record with.
    async fn closed(&self, grant: &Grant, count: usize) -> Vec<String> {
        let reasons = || async {
            let records = self.hallpass.records();
            let closed: Vec<_> = records
                .into_iter()
                .filter_map(|record| match record.event {
                    hallpass::audit::Event::ConnectionClosed { origin, reason, .. }
                        if origin.session == grant.session =>
                    {
                        Some(reason)
                    }
                    _ => None,
                })
                .collect();
            (closed.len() >= count).then_some(closed)
        };
        wait::until_some("every end is on record", Duration::from_secs(10), reasons).await
    }
}

/// How long until `at`; nothing if that has passed.
fn until(at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(Clock::system().now())).unwrap_or_default()
}

/// How long since `at`.
fn since(at: Timestamp) -> Duration {
    Duration::try_from(Clock::system().now().duration_since(at)).unwrap_or_default()
}

/// The FATAL that a connection ends with.
async fn farewell(wire: RawClient) -> Said {
    let end = tokio::time::timeout(Duration::from_secs(20), wire.end()).await;
    let (said, cut) = end.expect("the connection ends");
    assert!(cut.is_empty(), "cut in the middle of a message");
    said.expect("a reason is given")
}

/// Checks that it is the reason of a session's end.
fn assert_ended(said: &Said, words: &str) {
    assert_eq!((&*said.severity, &*said.code), ("FATAL", "57P01"));
    assert!(said.message.contains(words), "{said:?}");
    assert!(
        said.hint.contains("hallpass request orders-admin"),
        "{said:?}"
    );
}
