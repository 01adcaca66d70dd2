//! pg_dump and pg_restore: COPY both ways, large objects, many kinds of statements.

use super::{Ways, text};

#[tokio::test]
async fn a_dump_restores_to_the_same_database() {
    let ways = Ways::open().await;
    ways.direct
        .ask("select lo_from_bytea(4711, repeat('large object ', 100000)::bytea)");
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("orders.dump");

    let mut dump = ways.through().command("pg_dump");
    text(&dump.arg("-Fc").arg("-f").arg(&archive).output().unwrap());
    text(
        &ways
            .through()
            .command("createdb")
            .arg("restored")
            .output()
            .unwrap(),
    );
    let mut restore = ways.through().command("pg_restore");
    restore
        .args(["--exit-on-error", "-d", "restored"])
        .arg(&archive);
    text(&restore.output().unwrap());

    let plain = |database: &str| {
        let mut dump = ways.direct.database(database).command("pg_dump");
        let dumped = text(&dump.output().unwrap());
        // Each run has its own random word there, since the August 2025 releases.
        let lines = dumped.lines().filter(|line| !line.contains("restrict "));
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(plain("restored"), plain("orders"));
    let copied = ways.hallpass.statements();
    assert!(
        copied
            .iter()
            .any(|sql| sql.starts_with("COPY public.orders")),
        "{copied:?}"
    );
}

#[tokio::test]
async fn a_parallel_dump_and_restore_work() {
    let ways = Ways::open().await;
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("orders");
    let mut dump = ways.through().command("pg_dump");
    text(
        &dump
            .args(["-Fd", "-j4", "-f"])
            .arg(&archive)
            .output()
            .unwrap(),
    );
    let mut restore = ways.through().command("pg_restore");
    restore
        .args(["--exit-on-error", "-j4", "-d", "analytics"])
        .arg(&archive);
    text(&restore.output().unwrap());
    let count = "select count(*), sum(cents) from orders";
    let restored = ways.direct.database("analytics").ask(count);
    assert_eq!(restored, ways.direct.ask(count));
}
