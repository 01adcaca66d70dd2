//! hallpass killed in the middle of load: what PostgreSQL executed is on record all the same.

use std::process::{Child, Stdio};
use std::time::Duration;

use super::Witnessed;
use crate::support::login::said;
use crate::support::wait;

const ROUNDS: u64 = 5;

impl Witnessed {
    /// pgbench in each protocol, a pipeline, and COPY, all at once and without end.
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
async fn a_kill_in_the_middle_of_load_leaves_nothing_unrecorded() {
    let mut world = Witnessed::start().await;
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
    for round in 1..=ROUNDS {
        let load = world.load(&script);
        // At least so much, then at no particular moment.
        let records = "hallpass_audit_records_total";
        let busy = || async { world.hallpass.metric(records).await > 500.0 };
        wait::until("a load is on", Duration::from_secs(30), busy).await;
        tokio::time::sleep(Duration::from_millis(37 * round)).await;
        world.hallpass.kill();
        for mut client in load {
            client.wait().unwrap();
        }
        world.cluster.no_backends(Duration::from_secs(20)).await;
        world.hallpass.start_again().await;
        statements += 400;
        assert_eq!(world.login.ask("select 'again'"), "again");
    }
    let ledger = world.check(statements).await;
    let twice = ledger
        .outcomes
        .values()
        .filter(|outcomes| outcomes.len() > 1);
    assert_eq!(twice.count(), 0);
}
