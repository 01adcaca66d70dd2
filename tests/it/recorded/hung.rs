//! A disk that hangs: nothing is forwarded and everybody is told, sessions end all the same, and it
//! heals by itself.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use hallpass::audit::Event;
use hallpass::audit::source::Directory;
use hallpass::audit::verify::{Demands, verify};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::hallpass::{Setup, verified};
use crate::support::ledger::Ledger;
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::raw_client::{RawClient, query};
use crate::support::wait;

/// A file system whose writes block while it is frozen: ext4 on a loop device.
struct Freezable {
    folder: TempDir,
    /// Thaws it should this process be killed: nothing that waits for it can be.
    safety: Option<Child>,
}

fn run(program: &str, args: &[&str]) -> bool {
    let output = Command::new(program).args(args).output();
    output.is_ok_and(|output| output.status.success())
}

impl Freezable {
    /// `None`, and a word about it, where this account may not mount one.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        std::fs::File::create(&image)
            .unwrap()
            .set_len(32 << 20)
            .unwrap();
        let disk = folder.path().join("disk");
        std::fs::create_dir(&disk).unwrap();
        let (image, at) = (image.to_str().unwrap(), disk.to_str().unwrap());
        let mounted = run("mkfs.ext4", &["-q", image]) && run("mount", &["-o", "loop", image, at]);
        if !mounted {
            eprintln!("skipped: a file system cannot be mounted by this account");
            return None;
        }
        Some(Self {
            folder,
            safety: None,
        })
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("disk")
    }

    fn freeze(&mut self) {
        let at = self.path();
        let thaw = "sleep 60; exec fsfreeze --unfreeze \"$0\"";
        let safety = Command::new("sh").args(["-c", thaw]).arg(&at).spawn();
        self.safety = Some(safety.unwrap());
        assert!(run("fsfreeze", &["--freeze", at.to_str().unwrap()]));
    }

    fn thaw(&mut self) {
        run("fsfreeze", &["--unfreeze", self.path().to_str().unwrap()]);
        if let Some(mut safety) = self.safety.take() {
            let _ = safety.kill();
            let _ = safety.wait();
        }
    }
}

impl Drop for Freezable {
    fn drop(&mut self) {
        self.thaw();
        run("umount", &["--lazy", self.path().to_str().unwrap()]);
    }
}

async fn a_hung_disk(durability: &str) {
    let Some(mut disk) = Freezable::mount() else {
        return;
    };
    let cluster = Cluster::options().log_statements().start();
    let audit = disk.path().join("audit");
    let setup = Setup::new(&cluster).proxy("tls = \"off\"");
    let section =
        format!("[audit]\nfolder = {audit:?}\ntimeout = \"2s\"\ndurability = \"{durability}\"");
    let mut hallpass = Process::start(setup.section(&section)).await;
    let grant = hallpass.grant("maya", "orders-admin", "10m").await;
    let other = hallpass.grant("noor", "orders-admin", "10m").await;
    let mut client = RawClient::login(&grant.login).await;
    client.query("select 'before'").await;
    let mut running = RawClient::login(&other.login).await;
    running.send(&query("select pg_sleep(600)")).await;
    cluster.running("pg_sleep(600)").await;

    disk.freeze();
    let frozen = Instant::now();
    client.send(&query("select 'while it hangs'")).await;
    let (said, _) = client.end().await;
    let said = said.expect("a reason");
    assert_eq!(
        (&*said.severity, &*said.code),
        ("FATAL", "58030"),
        "{said:?}"
    );
    eprintln!("{durability}: told after {:?}", frozen.elapsed());
    assert_eq!(hallpass.ops("/healthz").await.0, 200, "it lives");
    let unready = || async { hallpass.ops("/readyz").await.0 == 503 };
    wait::until("it says so", Duration::from_secs(5), unready).await;
    // Who holds a session loses it all the same, and nobody gets in.
    hallpass.revoke(other.session).await;
    assert_eq!(running.end().await.0.expect("a reason").code, "57P01");
    cluster.no_backends(Duration::from_secs(3)).await;
    let refused = RawClient::try_login(&grant.login, &[]).await;
    assert_eq!(refused.err().expect("nobody is let in").code, "58030");

    disk.thaw();
    let thawed = Instant::now();
    let ready = || async { hallpass.is_ready().await };
    wait::until("it heals", Duration::from_secs(10), ready).await;
    eprintln!("{durability}: healed after {:?}", thawed.elapsed());
    assert_eq!(grant.login.ask("select 'let in again'"), "let in again");
    // What ended meanwhile is recorded when the next patrol tries again.
    let recorded = || async { revocations(&audit) == 1 };
    wait::until("the end is on record", Duration::from_secs(10), recorded).await;
    check(&cluster, &audit).await;
    // Who was refused while it hung is on record after all, and closed like everybody else.
    hallpass.exit_in_order().await;
    let demands = Demands {
        closed: true,
        ..Demands::default()
    };
    let report = verify(Box::new(Directory(audit)), &demands, &mut |_| {}).unwrap();
    assert!(report.sound, "{:#?}", report.faults);
}

fn revocations(audit: &Path) -> usize {
    let records = hallpass::audit::reader::records(audit).unwrap();
    let revoked = |event: &Event| matches!(event, Event::SessionRevoked { .. });
    records
        .filter(|it| it.as_ref().is_ok_and(|it| revoked(&it.event)))
        .count()
}

/// Nothing went to the server unrecorded.
async fn check(cluster: &Cluster, audit: &Path) {
    let logged = cluster.statements().await;
    let refused = logged.iter().any(|s| s.sql.contains("while it hangs"));
    assert!(!refused, "{logged:?}");
    verified(audit);
    let records = hallpass::audit::reader::records(audit).unwrap();
    let records: Vec<_> = records.map(Result::unwrap).collect();
    assert_eq!(Ledger::read(&records).lacks(&logged), Vec::<String>::new());
}

#[tokio::test]
async fn with_a_disk_that_hangs_hallpass_ends_all_the_same_and_says_that_it_is_not_on_record() {
    let Some(mut disk) = Freezable::mount() else {
        return;
    };
    let cluster = Cluster::start();
    let audit = disk.path().join("audit");
    let section = format!("[audit]\nfolder = {audit:?}\ntimeout = \"1s\"");
    let setup = Setup::new(&cluster).proxy("tls = \"off\"");
    let mut hallpass = Process::start(setup.section(&section)).await;
    disk.freeze();
    hallpass.signal(Signal::SIGTERM);
    let told = || async { hallpass.log().contains("the audit has no end") };
    wait::until("it says so", Duration::from_secs(20), told).await;
    // No process ends while the kernel holds one of its threads.
    disk.thaw();
    let status = hallpass.exit(Duration::from_secs(10)).await;
    assert_eq!(status.code(), Some(1), "{}", hallpass.log());
    hallpass.start_again().await;
    hallpass.exit_in_order().await;
    verified(&audit);
}

#[tokio::test]
async fn with_a_disk_that_hangs_in_write_nothing_is_forwarded_and_sessions_end() {
    a_hung_disk("write").await;
}

#[tokio::test]
async fn with_a_disk_that_hangs_in_fsync_nothing_is_forwarded_and_sessions_end() {
    a_hung_disk("fsync").await;
}
