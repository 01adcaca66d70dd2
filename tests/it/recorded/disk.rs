//! A full disk: nothing is forwarded, everybody is told, and it heals by itself.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::hallpass::{Setup, verified};
use crate::support::ledger::Ledger;
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::raw_client::{RawClient, Said, query};
use crate::support::wait;

/// A small file system of its own.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None`, and a word about it, where this account may not mount one.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder)),
            _ => {
                eprintln!("skipped: a small file system cannot be mounted by this account");
                None
            }
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
    }
}

fn assert_unavailable(said: &Said) {
    assert_eq!(
        (&*said.severity, &*said.code),
        ("FATAL", "58030"),
        "{said:?}"
    );
    assert!(said.message.contains("audit"), "{said:?}");
}

#[tokio::test]
async fn with_a_full_disk_nothing_is_forwarded_until_there_is_room_again() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let cluster = Cluster::options().log_statements().start();
    let audit = disk.path().join("audit");
    let setup = Setup::new(&cluster).proxy("tls = \"off\"");
    let hallpass = Process::start(setup.section(&format!("[audit]\nfolder = {audit:?}"))).await;
    let grant = hallpass.grant("maya", "orders-admin", "10m").await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(RawClient::login(&grant.login).await);
    }
    clients[0].query("select 'with room'").await;
    // What runs already is not affected; its outcome is kept until it can be recorded.
    let mut running = RawClient::login(&grant.login).await;
    running.send(&query("select pg_sleep(1.5)")).await;
    cluster.running("pg_sleep").await;

    disk.fill();
    let started = Instant::now();
    for mut client in clients {
        // More than what the segment's last page may still take.
        let text = format!("select 'without room' -- {}", "x".repeat(8192));
        client.send(&query(&text)).await;
        let (said, _) = client.end().await;
        assert_unavailable(&said.expect("a reason"));
    }
    let long = "x".repeat(8192);
    let refused = RawClient::try_login(&grant.login, &[("search_path", &long)]).await;
    assert_unavailable(&refused.err().expect("nobody is let in"));
    eprintln!("all were told after {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(10));
    let (status, text) = hallpass.ops("/readyz").await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("audit log cannot be written"), "{text}");
    running.until(b'Z').await;
    assert!(hallpass.ops("/healthz").await.0 == 200, "it lives");

    disk.make_room();
    let ready = || async { hallpass.is_ready().await };
    let room = Instant::now();
    wait::until("it heals", Duration::from_secs(10), ready).await;
    eprintln!("healed after {:?}", room.elapsed());
    running.query("select 'room again'").await;
    assert_eq!(grant.login.ask("select 'let in again'"), "let in again");

    let logged = cluster.statements().await;
    assert!(
        !logged.iter().any(|s| s.sql.contains("without room")),
        "{logged:?}"
    );
    verified(&audit);
    let records = hallpass::audit::reader::records(&audit).unwrap();
    let records: Vec<_> = records.map(Result::unwrap).collect();
    let ledger = Ledger::read(&records);
    assert_eq!(ledger.lacks(&logged), Vec::<String>::new());
    let sleep = ledger
        .statements
        .iter()
        .find(|s| s.sql.contains("pg_sleep"))
        .unwrap();
    assert_eq!(
        ledger.outcomes[&sleep.place],
        [hallpass::audit::Outcome::Completed]
    );
}

#[tokio::test]
async fn with_a_full_disk_a_session_still_ends() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let cluster = Cluster::start();
    let audit = disk.path().join("audit");
    let setup = Setup::new(&cluster).proxy("tls = \"off\"");
    let hallpass = Process::start(setup.section(&format!("[audit]\nfolder = {audit:?}"))).await;
    let expiring = hallpass.grant("maya", "orders-admin", "3s").await;
    let revoked = hallpass.grant("noor", "orders-admin", "10m").await;
    let mut sleepers = Vec::new();
    for grant in [&expiring, &revoked] {
        let mut client = RawClient::login(&grant.login).await;
        client.send(&query("select pg_sleep(600)")).await;
        sleepers.push(client);
    }
    cluster.running("pg_sleep(600)").await;
    disk.fill();
    hallpass.revoke(revoked.session).await;
    for client in sleepers {
        assert_eq!(client.end().await.0.expect("a reason").code, "57P01");
    }
    cluster.no_backends(Duration::from_secs(3)).await;
    disk.make_room();
    // What happened meanwhile is on record when there is room.
    let ended = || async {
        let records = hallpass::audit::reader::records(&audit).unwrap();
        let records: Vec<_> = records.map(Result::unwrap).collect();
        let of = |name: &str| {
            let kind = format!("{name} {{");
            records
                .iter()
                .filter(|r| format!("{:?}", r.event).starts_with(&kind))
                .count()
        };
        (
            of("SessionRevoked"),
            of("SessionExpired"),
            of("ConnectionClosed"),
        ) == (1, 1, 2)
    };
    wait::until("the ends are on record", Duration::from_secs(10), ended).await;
}
