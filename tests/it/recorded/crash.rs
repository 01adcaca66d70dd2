//! hallpass killed in the middle of load: what PostgreSQL executed is on record all the same.

use std::process::{Child, Stdio};
use std::time::Duration;

use hallpass::audit::Outcome;

use super::Witnessed;
use crate::clients::drivers::python;
use crate::support::login::said;
use crate::support::wait;

/// How often hallpass is killed, unless `HALLPASS_TEST_KILLS` says otherwise.
const KILLS: u64 = 5;

fn kills() -> u64 {
    let chosen = std::env::var_os("HALLPASS_TEST_KILLS");
    chosen.map_or(KILLS, |n| n.to_str().unwrap().parse().unwrap())
}

impl Witnessed {
    /// pgbench in each protocol, a pipeline, COPY and psycopg, all at once and without end.
    fn load(&self, script: &std::path::Path) -> Vec<Child> {
        let bench = |protocol: &str, own: bool| {
            let mut pgbench = self.login.database("analytics").command("pgbench");
            pgbench.args(["-n", "-c2", "-T60", "-M", protocol]);
            if own {
                pgbench.arg("-f").arg(script);
            }
            pgbench
        };
        let mut copies = self.login.psql();
        let copy = "copy (select * from orders) to stdout \\; insert into noted values (1);\n";
        copies
            .arg("-f")
            .arg(self.script(script, "copies.sql", &copy.repeat(10_000)));
        let loads = [
            bench("simple", false),
            bench("extended", false),
            bench("prepared", false),
            bench("prepared", true),
            copies,
            python(&self.login, "psycopg_load.py"),
        ];
        let start = |mut load: std::process::Command| {
            load.stdout(Stdio::null()).stderr(Stdio::null()).spawn()
        };
        loads.into_iter().map(|load| start(load).unwrap()).collect()
    }

    fn script(&self, beside: &std::path::Path, name: &str, text: &str) -> std::path::PathBuf {
        let path = beside.with_file_name(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

#[tokio::test]
async fn kills_in_the_middle_of_load_leave_nothing_unrecorded_in_write() {
    killed_under_load("write").await;
}

#[tokio::test]
async fn kills_in_the_middle_of_load_leave_nothing_unrecorded_in_fsync() {
    killed_under_load("fsync").await;
}

async fn killed_under_load(durability: &str) {
    // Small segments, so that some kills come while one is being closed, sealed or opened.
    let audit = format!("[audit]\ndurability = \"{durability}\"\nsegment_size = \"256KiB\"");
    let mut world = Witnessed::with(|setup| setup.section(&audit)).await;
    let folder = tempfile::tempdir().unwrap();
    let queries = "select abalance from pgbench_accounts where aid = :aid;\n".repeat(20);
    let pipeline = format!("\\set aid random(1, 1000)\n\\startpipeline\n{queries}\\endpipeline\n");
    let script = folder.path().join("pipeline.sql");
    std::fs::write(&script, pipeline).unwrap();
    world.login.ask("create table noted (id int)");
    let mut init = world.login.database("analytics").command("pgbench");
    let init = init.args(["-i", "-q"]).output().unwrap();
    assert!(init.status.success(), "{}", said(&init));

    let mut statements = 0;
    for round in 1..=kills() {
        let load = world.load(&script);
        // At least so much, then at no particular moment.
        let records = "hallpass_audit_records_total";
        let busy = || async { world.hallpass.metric(records).await > 500.0 };
        wait::until("a load is on", Duration::from_secs(30), busy).await;
        tokio::time::sleep(Duration::from_millis(37 * (round % 10))).await;
        world.hallpass.kill();
        for mut client in load {
            client.wait().unwrap();
        }
        world.cluster.no_backends(Duration::from_secs(20)).await;
        world.hallpass.start_again().await;
        statements += 300;
        assert_eq!(world.login.ask("select 'again'"), "again");
    }
    world.hallpass.exit_in_order().await;
    // What the kills left open is closed: every statement has one outcome.
    let ledger = world.check(statements).await;
    ledger.check_outcomes();
    let by_psycopg = |text: &str| ledger.statements.iter().any(|s| s.sql == text);
    assert!(by_psycopg("insert into noted values ($1)"));
    let unknown = |outcomes: &&Vec<Outcome>| outcomes.contains(&Outcome::Unknown);
    let unknown = ledger.outcomes.values().filter(unknown).count();
    eprintln!(
        "{durability}: {} kills, {unknown} statements whose end nobody knows",
        kills()
    );
    assert!(unknown > 0, "no kill came in the middle of anything");
}
