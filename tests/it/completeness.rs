//! Whatever PostgreSQL's own log of statements shows is on record, in every protocol, also after
//! hallpass was killed in the middle of it.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use crate::support::hallpass::{Hallpass, Setup};
use crate::support::login::{Login, said};
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::wait;

/// How often each text occurs.
fn counted(texts: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    counts
}

/// What the server logged, as role `orders_admin`, and the audit lacks.
async fn unrecorded(cluster: &Cluster, hallpass: &Hallpass) -> Vec<String> {
    let recorded = counted(hallpass.statements());
    let logged = cluster.statements().await.into_iter();
    let logged = counted(logged.filter(|s| s.role == "orders_admin").map(|s| s.sql));
    assert!(logged.values().sum::<usize>() > 100, "{logged:?}");
    let lacks = |(sql, count): &(String, usize)| recorded.get(sql).unwrap_or(&0) < count;
    logged
        .into_iter()
        .filter(lacks)
        .map(|(sql, _)| sql)
        .collect()
}

async fn start() -> (Cluster, Process, Login) {
    let cluster = Cluster::options().log_statements().start();
    let hallpass = Process::start(Setup::new(&cluster)).await;
    let login = hallpass.grant("maya", "orders-admin", "10m").await.login;
    (cluster, hallpass, login)
}

fn pgbench(login: &Login, protocol: &str) -> std::process::Command {
    let mut pgbench = login.database("analytics").command("pgbench");
    pgbench.args(["-n", "-M", protocol, "-c4", "-j2"]);
    pgbench
}

fn prepare(login: &Login) {
    let mut init = login.database("analytics").command("pgbench");
    let output = init.args(["-i", "-s1", "-q"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[tokio::test]
async fn every_statement_that_the_server_logs_is_on_record() {
    let (cluster, hallpass, login) = start().await;
    prepare(&login);
    for protocol in ["simple", "extended", "prepared"] {
        let output = pgbench(&login, protocol).arg("-t50").output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    assert_eq!(unrecorded(&cluster, &hallpass).await, Vec::<String>::new());
}

#[tokio::test]
async fn every_statement_is_on_record_after_a_kill_in_the_middle() {
    for protocol in ["simple", "extended", "prepared"] {
        let (cluster, mut hallpass, login) = start().await;
        prepare(&login);
        let mut run = pgbench(&login, protocol);
        run.arg("-T60").stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = run.spawn().unwrap();
        let busy = || async { hallpass.metric("hallpass_audit_records_total").await > 4_000.0 };
        wait::until("a load is on", Duration::from_secs(30), busy).await;
        hallpass.kill();
        run.wait().unwrap();
        cluster.no_backends(Duration::from_secs(10)).await;
        assert_eq!(
            unrecorded(&cluster, &hallpass).await,
            Vec::<String>::new(),
            "{protocol}"
        );
        hallpass.start_again().await;
        assert_eq!(login.ask("select 'again'"), "again");
    }
}
