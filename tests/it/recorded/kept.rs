//! How long the record is kept: what is too much goes, what an auditor holds stays, and the log
//! verifies all the while.

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use hallpass::access::SessionId;
use hallpass::audit::{Event, reader};

use crate::support::hallpass::{Setup, token, verified};
use crate::support::login::{Login, said};
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::wait;

/// Small segments, few of them.
const AUDIT: &str = "[audit]\nsegment_size = \"4KiB\"\nkeep_size = \"16KiB\"";
const DELETED: &str = "hallpass_audit_segments_deleted_total{reason=\"size\"}";

struct World {
    hallpass: Process,
    _cluster: Cluster,
}

impl World {
    async fn start() -> Self {
        let cluster = Cluster::start();
        let setup = Setup::new(&cluster).proxy("tls = \"off\"").section(AUDIT);
        let hallpass = Process::start(setup).await;
        Self {
            hallpass,
            _cluster: cluster,
        }
    }

    fn folder(&self) -> PathBuf {
        self.hallpass.folder().join("data/audit")
    }

    /// hallpass's command line, as `who`.
    fn run(&self, who: &str, args: &[&str]) -> Output {
        let mut command = Process::command();
        command
            .args(args)
            .current_dir(self.hallpass.folder())
            .env("HALLPASS_URL", format!("http://{}", self.hallpass.api))
            .env("HALLPASS_TOKEN", token(who));
        command.output().unwrap()
    }

    fn must(&self, who: &str, args: &[&str]) -> String {
        let output = self.run(who, args);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The records that are about the session.
    fn events(&self, session: SessionId) -> Vec<Event> {
        let folder = self.folder();
        // What is deleted just now cannot be read any more.
        let records = reader::records(&folder).unwrap().flatten();
        let of_it = records.filter(|record| record.event.about().session == Some(session));
        of_it.map(|record| record.event).collect()
    }

    fn has(&self, session: SessionId) -> bool {
        !self.events(session).is_empty()
    }

    /// Runs enough to be some segments.
    fn load(&self, login: &Login) {
        let script = self.hallpass.folder().join("load.sql");
        let statement = |n| format!("select {n} /* {} */;\n", "x".repeat(200));
        fs::write(&script, (0..200).map(statement).collect::<String>()).unwrap();
        let loaded = login.psql().arg("-qf").arg(&script).output().unwrap();
        assert!(loaded.status.success(), "{}", said(&loaded));
    }

    /// Runs enough that what was before is too much, and waits until it is gone.
    async fn fill(&self, login: &Login) {
        let before = self.hallpass.metric(DELETED).await;
        self.load(login);
        let enough = || async { self.hallpass.metric(DELETED).await >= before + 10.0 };
        wait::until("old segments are gone", Duration::from_secs(20), enough).await;
    }
}

#[tokio::test]
async fn what_is_too_much_goes_what_is_held_stays_and_the_log_verifies() {
    let mut world = World::start().await;
    let filler = world.hallpass.grant("noor", "orders-ro", "1h").await.login;
    let first = world.hallpass.grant("maya", "orders-ro", "1h").await;
    first.login.ask("select 'the first'");
    world.hallpass.revoke(first.session).await;
    world.load(&filler);
    let held = world.hallpass.grant("maya", "orders-ro", "1h").await;
    held.login.ask("select 'to be held'");
    world.hallpass.revoke(held.session).await;
    let id = held.session.to_string();

    let refused = world.run("maya", &["audit", "hold", &id, "--reason", "x"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(
        said(&refused).contains("only auditors"),
        "{}",
        said(&refused)
    );
    let hold = ["audit", "hold", &id, "--reason", "case 118"];
    assert!(world.must("dana", &hold).contains("Held"));
    let again = world.run("dana", &hold);
    assert!(said(&again).contains("held already, by dana"));
    let unknown = ["audit", "hold", "ses-000000000000", "--reason", "x"];
    let unknown = world.run("dana", &unknown);
    assert!(said(&unknown).contains("no such session"));
    assert!(world.must("dana", &["audit", "holds"]).contains("case 118"));

    world.fill(&filler).await;
    assert!(world.has(held.session) && !world.has(first.session));
    assert!(!verified(&world.folder()).deleted.is_empty());

    // kill -9 changes nothing about what is held.
    world.hallpass.kill();
    world.hallpass.start_again().await;
    world.fill(&filler).await;
    assert!(world.has(held.session));
    let report = verified(&world.folder());
    assert_eq!(report.deleted.len(), 2, "{:?}", report.deleted);

    let release = ["audit", "release", &id, "--reason", "closed"];
    assert!(world.must("dana", &release).contains("Released"));
    let nothing = world.must("dana", &["audit", "holds"]);
    assert!(nothing.contains("No session's records are held"));
    world.fill(&filler).await;
    let statements = |event: &Event| matches!(event, Event::StatementStarted { .. });
    assert!(!world.events(held.session).iter().any(statements));

    world.hallpass.exit_in_order().await;
    let report = verified(&world.folder());
    assert_eq!(report.deleted.len(), 1, "{:?}", report.deleted);
    let verify = ["audit", "verify", "--from", "data/audit", "--closed"];
    world.must("dana", &verify);
}

#[tokio::test]
async fn auditors_search_through_the_server_and_find_what_a_search_of_the_folder_finds() {
    let world = World::start().await;
    let grant = world.hallpass.grant("maya", "orders-ro", "1h").await;
    grant.login.ask("select 'needle', 1");
    grant.login.ask("select 'hay'");
    let failed = grant.login.psql().args(["-c", "select needle"]).output();
    assert!(!failed.unwrap().status.success());

    for filters in [
        &["needle"][..],
        &["needle", "--outcome", "failed"],
        &["--tag", "select", "--reverse", "--rows", "1"],
        &["--sqlstate", "42*", "--session", &grant.session.to_string()],
        &["--table", "orders"],
    ] {
        let args = |more: &[&'static str]| {
            let words = ["audit", "search", "--output", "json"].iter().chain(more);
            let words = words.chain(filters).copied();
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        let run = |args: Vec<String>| {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let output = world.run("dana", &args);
            let text = String::from_utf8(output.stdout).unwrap();
            (output.status.code(), text)
        };
        let by_server = run(args(&["--server"]));
        assert_eq!(
            by_server,
            run(args(&["--from", "data/audit"])),
            "{filters:?}"
        );
    }
    let refused = world.run("maya", &["audit", "search", "--server", "needle"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("only auditors may read the audit"));
    let folder = world.folder();
    let read = |event: Event| match event {
        Event::AuditRead { by, refused, .. } => Some((by.to_string(), refused)),
        _ => None,
    };
    let records = reader::records(&folder).unwrap().flatten();
    let reads: Vec<_> = records.filter_map(|record| read(record.event)).collect();
    assert_eq!(reads.len(), 6);
    assert_eq!(reads[0], ("dana".to_owned(), false));
    assert_eq!(reads[5], ("maya".to_owned(), true));
}
