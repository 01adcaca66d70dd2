//! pgbench in each of its protocols.

use std::fs;

use super::{Ways, text};

const TRANSACTIONS: usize = 50;
const CLIENTS: usize = 4;

/// Runs pgbench's own scripts; every transaction must get through, and be on record.
async fn bench(protocol: &str) {
    let ways = Ways::open().await;
    let mut init = ways.through().database("analytics").command("pgbench");
    text(&init.args(["-i", "-s1", "-q"]).output().unwrap());
    let mut run = ways.through().database("analytics").command("pgbench");
    run.args([
        "-n",
        "-M",
        protocol,
        "-b",
        "tpcb-like@1",
        "-b",
        "select-only@1",
    ]);
    run.args([
        format!("-c{CLIENTS}"),
        "-j2".into(),
        format!("-t{TRANSACTIONS}"),
    ]);
    let report = text(&run.output().unwrap());
    let all = CLIENTS * TRANSACTIONS;
    assert!(
        report.contains(&format!("actually processed: {all}/{all}")),
        "{report}"
    );
    let selects = ways.hallpass.statements();
    let selects = selects
        .iter()
        .filter(|sql| sql.starts_with("SELECT abalance"));
    assert_eq!(selects.count(), all);
}

#[tokio::test]
async fn pgbench_works_with_simple_queries() {
    bench("simple").await;
}

#[tokio::test]
async fn pgbench_works_with_extended_queries() {
    bench("extended").await;
}

#[tokio::test]
async fn pgbench_works_with_prepared_statements() {
    bench("prepared").await;
}

#[tokio::test]
async fn pgbench_works_with_pipelines() {
    let ways = Ways::open().await;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("pipeline.sql");
    let queries = "SELECT cents FROM orders WHERE id = :id;\n".repeat(20);
    let text_of = format!("\\set id random(1, 1000)\n\\startpipeline\n{queries}\\endpipeline\n");
    fs::write(&script, text_of).unwrap();
    for protocol in ["extended", "prepared"] {
        let mut run = ways.through().command("pgbench");
        run.args(["-n", "-M", protocol, "-c4", "-j2", "-t25", "-f"])
            .arg(&script);
        let report = text(&run.output().unwrap());
        assert!(report.contains("actually processed: 100/100"), "{report}");
    }
    let recorded = ways.hallpass.statements();
    let recorded = recorded
        .iter()
        .filter(|sql| sql.starts_with("SELECT cents"));
    assert_eq!(recorded.count(), 2 * 100 * 20);
}
