//! Sealed segments in a bucket.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hallpass::audit::files::FileKind;

use super::lines;
use super::s3::S3;
use crate::support::hallpass::{Grant, Setup};
use crate::support::login::said;
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::wait;

const SMALL: &str = "[audit]\nsegment_size = \"16KiB\"\n";

/// Some statements, enough for a segment or two.
fn work(grant: &Grant, round: u32) {
    let one = format!("select {round}, '{}';\n", "x".repeat(500));
    let sql = one.repeat(40);
    let output = grant.login.psql().args(["-c", &sql]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The segments that are sealed here.
fn sealed(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names
        .filter(|name| matches!(FileKind::parse(name), Some((_, kind)) if kind != FileKind::Raw))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn every_segment_gets_there_through_kills_and_an_outage_and_is_put_once() {
    let s3 = S3::start();
    let cluster = Cluster::start();
    let setup = Setup::new(&cluster).proxy("tls = \"off\"");
    let setup = setup.section(SMALL).section(&s3.section("prod/a", ""));
    let mut hallpass = Process::start(setup).await;
    let audit = hallpass.folder().join("data/audit");
    let grant = hallpass.grant("maya", "orders-admin", "10m").await;
    for round in 0..6 {
        work(&grant, round);
        match round {
            // The store hangs: nobody waits for it.
            2 => s3.pause(),
            3 => s3.resume(),
            _ => {
                hallpass.kill();
                hallpass.start_again().await;
            }
        }
    }
    let there = tempfile::tempdir().unwrap();
    let all = || {
        let objects = s3.fetch(there.path());
        let has = |name: &String| objects.contains_key(&format!("prod/a/{name}"));
        let here = sealed(&audit);
        let complete = here.len() >= 10 && here.iter().all(has);
        async move { complete.then_some(objects) }
    };
    let objects = wait::until_some("all segments are there", Duration::from_secs(60), all).await;
    for name in sealed(&audit) {
        assert_eq!(
            fs::read(there.path().join(&name)).unwrap(),
            fs::read(audit.join(&name)).unwrap()
        );
        assert_eq!(objects[&format!("prod/a/{name}")].versions, 1, "{name}");
    }
    let (here, copy) = (lines(&audit), lines(there.path()));
    assert!(here.starts_with(&copy) && copy.len() > 16 * 1024);

    // Readable there as it is here, by who has the bucket and nothing else.
    let mut verify = s3.environment(Process::command());
    let verify = verify.args(["audit", "verify", "--from", "s3://audit/prod/a"]);
    let verified = verify.output().unwrap();
    assert!(verified.status.success(), "{}", said(&verified));
    let mut show = s3.environment(Process::command());
    let show = show.args(["audit", "show", "--last", "--from", "s3://audit/prod/a"]);
    let shown = show.output().unwrap();
    assert!(said(&shown).contains("maya"), "{}", said(&shown));

    let lag = "hallpass_audit_ship_lag_segments{destination=\"bucket\"}";
    let caught_up = || async { hallpass.metric(lag).await == 0.0 };
    wait::until("it has caught up", Duration::from_secs(10), caught_up).await;
    let last = "hallpass_audit_ship_last_success_timestamp_seconds{destination=\"bucket\"}";
    assert!(hallpass.metric(last).await > 1.7e9);
    assert!(!hallpass.log().contains("select"), "{}", hallpass.log());
}

#[tokio::test]
async fn segments_are_locked_and_the_head_is_not() {
    let s3 = S3::start();
    let cluster = Cluster::start();
    let lock = "object_lock = \"compliance\"\nretain = \"3650d\"";
    let setup = Setup::new(&cluster).proxy("tls = \"off\"");
    let setup = setup.section(SMALL).section(&s3.section("", lock));
    let mut hallpass = Process::start(setup).await;
    let grant = hallpass.grant("maya", "orders-admin", "10m").await;
    work(&grant, 0);
    work(&grant, 1);
    let there = tempfile::tempdir().unwrap();
    let some = || {
        let objects = s3.fetch(there.path());
        let enough = objects.len() >= 3 && objects.contains_key("HEAD");
        async move { enough.then_some(objects) }
    };
    let objects = wait::until_some("segments are there", Duration::from_secs(30), some).await;
    for (name, object) in &objects {
        match name.as_str() {
            "HEAD" | "HEAD.live" => assert_eq!(object.mode, None),
            _ => {
                assert_eq!(object.mode.as_deref(), Some("COMPLIANCE"), "{name}");
                let years = object.until.as_ref().unwrap()[..4].parse::<u32>().unwrap();
                assert!(years >= 2035, "{object:?}");
            }
        }
    }
    // What is locked there is not in the way of a hallpass that has forgotten what it shipped.
    hallpass.kill();
    fs::remove_dir_all(hallpass.folder().join("data/ship")).unwrap();
    hallpass.start_again().await;
    let next = hallpass.folder().join("data/ship/bucket.json");
    let done = || async { next.exists() };
    wait::until("it finds it all there", Duration::from_secs(30), done).await;
    let failures = "hallpass_audit_ship_failures_total{destination=\"bucket\",reason=\"conflict\"}";
    assert_eq!(hallpass.metric(failures).await, 0.0);
}

#[tokio::test]
async fn beyond_the_local_limit_nothing_is_forwarded_until_it_is_shipped() {
    let s3 = S3::start();
    let cluster = Cluster::options().log_statements().start();
    let setup = Setup::new(&cluster).proxy("tls = \"off\"");
    let audit = format!("{SMALL}local_limit = \"48KiB\"\n");
    let setup = setup.section(&audit).section(&s3.section("a", ""));
    let hallpass = Process::start(setup).await;
    let grant = hallpass.grant("maya", "orders-admin", "10m").await;
    s3.pause();
    // In the end it refuses.
    let refused = || async {
        let sql = format!("select '{}';\n", "y".repeat(500)).repeat(40);
        _ = grant.login.psql().args(["-c", &sql]).output().unwrap();
        hallpass.metric("hallpass_audit_withheld").await == 1.0
    };
    wait::until("it refuses", Duration::from_secs(60), refused).await;
    let mut psql = grant.login.psql();
    let output = psql.args(["-c", "select 'without room'"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("is not shipped yet"), "{said}");
    let (status, text) = hallpass.ops("/readyz").await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("local_limit"), "{text}");

    s3.resume();
    let ready = || async { hallpass.is_ready().await };
    wait::until("it heals", Duration::from_secs(60), ready).await;
    assert_eq!(grant.login.ask("select 'room again'"), "room again");
    let logged = cluster.statements().await;
    assert!(!logged.iter().any(|s| s.sql.contains("without room")));
}

/// Verifies a copy as whoever finds it would: a folder like any other.
fn verify(copy: &Path) {
    let mut verify = Process::command();
    verify.args(["audit", "verify", "--from"]).arg(copy);
    let verified = verify.output().unwrap();
    assert!(verified.status.success(), "{}", said(&verified));
}

#[tokio::test]
async fn a_copy_in_a_folder_verifies_while_hallpass_runs_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let cluster = Cluster::start();
    let ship = format!("[audit.ship]\nurl = \"file://{}\"\n", copy.display());
    let setup = Setup::new(&cluster).proxy("tls = \"off\"");
    let mut hallpass = Process::start(setup.section(SMALL).section(&ship)).await;
    let grant = hallpass.grant("maya", "orders-admin", "10m").await;
    let live = || std::future::ready(copy.join("HEAD.live").exists());
    for round in 0..4 {
        work(&grant, round);
        let lag = "hallpass_audit_ship_lag_segments{destination=\"bucket\"}";
        let caught_up =
            || async { copy.join("HEAD").exists() && hallpass.metric(lag).await == 0.0 };
        wait::until("it has caught up", Duration::from_secs(30), caught_up).await;
        wait::until("the head too", Duration::from_secs(30), live).await;
        verify(&copy);
    }
    hallpass.signal(nix::sys::signal::Signal::SIGTERM);
    hallpass.exit(Duration::from_secs(10)).await;
    verify(&copy);
    let ahead = fs::read(copy.join("HEAD.live")).unwrap();
    assert_eq!(
        ahead,
        fs::read(hallpass.folder().join("data/audit/HEAD")).unwrap()
    );
    assert_ne!(ahead, fs::read(copy.join("HEAD")).unwrap());
}
