//! What is recorded: everything that PostgreSQL executed, whole, before it did; and no secret.

mod canary;
mod crash;
mod disk;
mod hung;
mod kept;
mod redacted;
mod search;
mod tamper;
mod whole;
mod witness;

use crate::support::hallpass::Setup;
use crate::support::ledger::Ledger;
use crate::support::login::Login;
use crate::support::postgres::Cluster;
use crate::support::process::Process;

/// A server that logs every statement, hallpass in front of it, and maya's way in.
struct Witnessed {
    cluster: Cluster,
    hallpass: Process,
    login: Login,
}

impl Witnessed {
    async fn start() -> Self {
        Self::with(|setup| setup).await
    }

    async fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let cluster = Cluster::options().log_statements().start();
        let setup = change(Setup::new(&cluster).proxy("tls = \"off\""));
        let hallpass = Process::start(setup).await;
        let login = hallpass.grant("maya", "orders-admin", "1h").await.login;
        Self {
            cluster,
            hallpass,
            login,
        }
    }

    /// Checks that whatever the server logged is on record; what is there.
    async fn check(&self, at_least: usize) -> Ledger {
        let ledger = Ledger::read(&self.hallpass.records());
        let log = self.cluster.statements().await;
        let seen = log.iter().filter(|s| s.role.starts_with("orders_")).count();
        eprintln!("{seen} logged, {} recorded", ledger.statements.len());
        assert!(seen >= at_least, "the server logged {seen}");
        assert_eq!(ledger.lacks(&log), Vec::<String>::new());
        ledger
    }
}
