//! People's clients, unchanged, through hallpass: each must see what it sees directly.

pub mod drivers;
mod dump;
mod pgbench;
mod psql;
mod tokio_postgres;

use std::process::Output;

use crate::support::hallpass::{Grant, Setup};
use crate::support::login::{Login, said};
use crate::support::postgres::Cluster;
use crate::support::process::Process;

/// One server, and two ways to it as the same role.
struct Ways {
    cluster: Cluster,
    hallpass: Process,
    grant: Grant,
    direct: Login,
}

impl Ways {
    /// Both ways as `orders_admin`, with TLS on all legs.
    async fn open() -> Self {
        let cluster = Cluster::options().tls().start();
        let hallpass = Process::start(Setup::new(&cluster)).await;
        let grant = hallpass.grant("maya", "orders-admin", "10m").await;
        let direct = cluster.login("orders_admin", "orders");
        Self {
            cluster,
            hallpass,
            grant,
            direct,
        }
    }

    /// Through hallpass.
    fn through(&self) -> &Login {
        &self.grant.login
    }
}

/// What a program printed, which must have ended well.
pub fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}
