//! A real log, tampered with in every way that we could think of: each is found, at its place.

mod kinds;
mod log;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hallpass::audit::PublicKey;
use hallpass::audit::SigningKey;
use hallpass::audit::files::FileKind;
use hallpass::audit::verify::Demands;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Witnessed;
use crate::support::login::said;
use crate::support::process::Process;
use crate::support::wait;
use log::{Log, Signer};

/// A log that a hallpass made under load, over a crash and a restart, and its key.
struct Made {
    log: Log,
    key: Signer,
    /// What an auditor has of it.
    public: PublicKey,
    world: Witnessed,
}

impl Made {
    fn key_file(world: &Witnessed) -> PathBuf {
        world.hallpass.folder().join("data/audit.key")
    }

    fn folder(&self) -> PathBuf {
        self.world.hallpass.folder().join("data/audit")
    }

    /// Makes one: sealed segments and a raw one, statements of every kind, one in parts.
    async fn new() -> Self {
        let audit = "[audit]\nsegment_size = \"24KiB\"\ncheckpoint_records = 40";
        let mut world = Witnessed::with(|setup| setup.section(audit)).await;
        let mut init = world.login.database("analytics").command("pgbench");
        let init = init.args(["-i", "-q"]).output().unwrap();
        assert!(init.status.success(), "{}", said(&init));
        load(&world);
        let long = format!("select length('{}')", "é".repeat(60_000));
        assert_eq!(world.login.ask(&long), "60000");
        // In the middle of a statement, so that something is left open.
        let mut sleeper = world.login.psql();
        let mut sleeper = sleeper
            .args(["-Xc", "select pg_sleep(60)"])
            .spawn()
            .unwrap();
        world.cluster.running("pg_sleep(60)").await;
        world.hallpass.kill();
        sleeper.wait().unwrap();
        world.hallpass.start_again().await;
        load(&world);
        let folder = world.hallpass.folder().join("data/audit");
        let sealed = || async { raw_segments(&folder) <= 1 };
        wait::until(
            "what is complete is sealed",
            Duration::from_secs(10),
            sealed,
        )
        .await;
        world.hallpass.exit_in_order().await;
        let key_file = Self::key_file(&world);
        Self {
            log: Log::load(&folder),
            key: Signer::load(&key_file),
            public: SigningKey::load(&key_file).unwrap().public(),
            world,
        }
    }

    fn demands(&self) -> Demands {
        Demands {
            keys: vec![self.public],
            ..Demands::default()
        }
    }
}

fn load(world: &Witnessed) {
    for protocol in ["simple", "prepared"] {
        let mut bench = world.login.database("analytics").command("pgbench");
        let bench = bench.args(["-n", "-c2", "-t4", "-M", protocol]).output();
        let bench = bench.unwrap();
        assert!(bench.status.success(), "{}", said(&bench));
    }
}

fn raw_segments(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
    let raw = |name: &String| matches!(FileKind::parse(name), Some((_, FileKind::Raw)));
    names.filter(raw).count()
}

#[tokio::test]
async fn every_kind_of_tampering_is_found_at_its_place() {
    let made = Made::new().await;
    let report = made.log.verify(&Demands {
        closed: true,
        heads: vec![made.log.head(7), made.log.head(made.log.last())],
        ..made.demands()
    });
    assert!(report.sound, "{:#?}", report.faults);
    // The crash leaves what it could not sign, and nothing else is odd.
    let odd = |note: &&String| !note.contains("not signed when hallpass started next");
    assert_eq!(report.notes.iter().find(odd), None);
    assert_eq!(report.notes.len() as u64, report.taken_over);
    eprintln!("{} segments, {} records", report.segments, report.records);
    assert!(report.segments > 4 && report.crashed_connections > 0);
    for kind in kinds::all() {
        kind.check(&made);
    }
    any_changed_byte_is_found(&made);
    a_verifier_of_forty_lines_agrees(&made);
}

/// 300 bytes anywhere, each changed by itself.
fn any_changed_byte_is_found(made: &Made) {
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let is_of_the_log = |name: &String| FileKind::parse(name).is_some() || name == "HEAD";
    let sizes: Vec<(&String, usize)> = made
        .log
        .0
        .iter()
        .filter(|(name, _)| is_of_the_log(name))
        .map(|(name, bytes)| (name, bytes.len()))
        .collect();
    for _ in 0..300 {
        // Every file alike: small ones matter no less.
        let (name, len) = sizes[random.random_range(0..sizes.len())];
        let place = random.random_range(0..len);
        let change: u8 = random.random_range(1..=255);
        let mut log = made.log.clone();
        log.0.get_mut(name).unwrap()[place] ^= change;
        let report = log.verify(&made.demands());
        assert!(
            !report.sound,
            "byte {place} of {name}, changed by {change}, seed {seed}: {:?}",
            report.notes
        );
    }
}

/// The format is described well enough for somebody else to write a verifier: here is one.
fn a_verifier_of_forty_lines_agrees(made: &Made) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/recorded/verify.py");
    let python = |folder: &Path| {
        let mut command = std::process::Command::new("python3");
        command.arg(script).arg(folder).arg(made.public.to_string());
        command.output().unwrap()
    };
    let sound = python(&made.folder());
    assert!(sound.status.success(), "{}", said(&sound));
    let text = String::from_utf8(sound.stdout).unwrap();
    assert!(
        text.contains(&made.log.head(made.log.last()).to_string()),
        "{text}"
    );
    for kind in kinds::all().iter().filter(|kind| kind.is_of_the_chain) {
        let folder = tempfile::tempdir().unwrap();
        let mut log = made.log.clone();
        (kind.tamper)(&mut log, made);
        log.store(folder.path());
        let found = python(folder.path());
        assert!(!found.status.success(), "{}: not found", kind.name);
    }
}

/// Used by what tampers: a log of the same key that is another's.
fn another_log(made: &Made) -> Log {
    let folder = tempfile::tempdir().unwrap();
    let mut log = made.log.clone();
    let first = log.segments()[0];
    let mut lines = log.lines(first);
    let place = lines.len() / 2;
    lines[place] = lines[place].replace("maya", "noor");
    log.replace(first, &lines);
    log.rechain(first.0 + place as u64, &made.key);
    log.store(folder.path());
    Log::load(folder.path())
}

#[tokio::test]
async fn the_command_says_what_is_wrong_and_ends_with_1() {
    let made = Made::new().await;
    let folder = tempfile::tempdir().unwrap();
    let mut log = made.log.clone();
    let bad = log.find(30, "\"sql\":");
    log.edit(bad, |line| {
        line.replacen("\"sql\":\"", "\"sql\":\"\\u001b[2J", 1)
    });
    log.store(folder.path());
    let run = |arguments: &[&str], from: &Path| {
        let mut command = Process::command();
        command
            .args(["audit", "verify", "--from"])
            .arg(from)
            .args(arguments);
        command.output().unwrap()
    };
    let key = made.public.to_string();
    let sound = run(&["--key", &key, "--closed"], &made.folder());
    assert_eq!(sound.status.code(), Some(0), "{}", said(&sound));
    let found = run(&["--key", &key], folder.path());
    assert_eq!(found.status.code(), Some(1));
    let text = String::from_utf8(found.stdout).unwrap();
    assert!(
        text.contains("NOT sound") && text.contains(&format!("record {bad} ")),
        "{text}"
    );
    let json = run(&["-o", "json"], folder.path());
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["faults"][0]["seq"], bad);
    let nowhere = run(&[], &folder.path().join("nowhere"));
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(
        said(&nowhere).contains("cannot be read"),
        "{}",
        said(&nowhere)
    );
    assert_eq!(run(&["--head", "7"], folder.path()).status.code(), Some(2));
}
