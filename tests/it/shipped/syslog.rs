//! Every record at a real syslog daemon, rsyslog, by TLS.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use super::lines;
use crate::support::certificates::Authority;
use crate::support::hallpass::Setup;
use crate::support::postgres::{Cluster, free_port};
use crate::support::process::Process;
use crate::support::wait;

/// An rsyslog that writes what it gets to a file. Dropping it kills it.
struct Rsyslog {
    child: Child,
    folder: PathBuf,
}

impl Rsyslog {
    /// What it is told, with its certificates, in `folder`.
    fn configure(folder: &Path, port: u16) -> Authority {
        let authority = Authority::new(folder);
        let (certificate, key) = authority.issue("logs", &["127.0.0.1", "localhost"]);
        let ca = authority.certificate();
        let text = format!(
            r#"global(workDirectory="{folder}" maxMessageSize="1m" parser.escapeControlCharactersOnReceive="off"
  defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{ca}"
  defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
template(name="all" type="string" string="%syslogfacility-text% %app-name% %msgid% %structured-data% %msg%\n")
ruleset(name="keep") {{ action(type="omfile" file="{folder}/arrived" template="all") }}
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="keep")
"#,
            folder = folder.display(),
            ca = ca.display(),
            certificate = certificate.display(),
            key = key.display(),
        );
        fs::write(folder.join("rsyslog.conf"), text).unwrap();
        authority
    }

    fn start(folder: &Path) -> Self {
        let child = Command::new("/usr/sbin/rsyslogd")
            .args(["-n", "-iNONE", "-f"])
            .arg(folder.join("rsyslog.conf"))
            .spawn()
            .expect("rsyslog is installed (scripts/install-deps test)");
        let folder = folder.to_owned();
        Self { child, folder }
    }

    /// The lines that arrived, by their sequence, and how many came twice.
    fn arrived(&self) -> (BTreeMap<u64, String>, usize) {
        let text = fs::read_to_string(self.folder.join("arrived")).unwrap_or_default();
        let (mut lines, mut twice) = (BTreeMap::new(), 0);
        for message in text.split_inclusive('\n').filter(|it| it.ends_with('\n')) {
            let (header, line) = message.split_once("\"] ").unwrap();
            let line = line.trim_start();
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let (seq, kind) = (record["seq"].as_u64().unwrap(), &record["type"]);
            let kind = kind.as_str().unwrap();
            let expected = format!("local3 hallpass {kind} [hallpass@32473 seq=\"{seq}");
            assert_eq!(header, expected);
            let before = lines.insert(seq, line.to_owned());
            twice += usize::from(before.is_some_and(|before| before == line));
        }
        (lines, twice)
    }

    fn text(&self) -> String {
        self.arrived().0.into_values().collect()
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn rsyslog_gets_every_record_by_tls_also_those_of_its_absence() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let authority = Rsyslog::configure(folder.path(), port);
    let rsyslog = Rsyslog::start(folder.path());
    let cluster = Cluster::start();
    let feed = format!(
        "[audit]\nsegment_size = \"64KiB\"\n[audit.feeds.logs]\n\
         url = \"syslog+tls://127.0.0.1:{port}\"\nca = {:?}\nfacility = \"local3\"\n",
        authority.certificate()
    );
    let setup = Setup::new(&cluster).proxy("tls = \"off\"").section(&feed);
    let mut hallpass = Process::start(setup).await;
    let audit = hallpass.folder().join("data/audit");
    let grant = hallpass.grant("maya", "orders-admin", "10m").await;
    let work = |round: u32| {
        let one = format!(
            "select {round}, 'läuft \u{202e} \x1b[31m', '{}';\n",
            "x".repeat(900)
        );
        let big = format!("select length('{}');\n", "z".repeat(300_000));
        let file = folder.path().join("work.sql");
        fs::write(&file, one.repeat(100) + &big).unwrap();
        let output = grant.login.psql().arg("-f").arg(&file).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    work(1);
    let all = |rsyslog: &Rsyslog| rsyslog.text().as_bytes() == lines(&audit);
    let limit = Duration::from_secs(60);
    wait::until("it has all", limit, || std::future::ready(all(&rsyslog))).await;

    // Killed in the middle, away for a while, and back; hallpass is killed meanwhile.
    work(2);
    drop(rsyslog);
    work(3);
    hallpass.kill();
    hallpass.start_again().await;
    work(4);
    let failures =
        "hallpass_audit_ship_failures_total{destination=\"logs\",reason=\"unreachable\"}";
    assert!(hallpass.metric(failures).await > 0.0);
    let rsyslog = Rsyslog::start(folder.path());
    wait::until("it has all again", limit, || {
        std::future::ready(all(&rsyslog))
    })
    .await;

    // hallpass says goodbye, and its last words are among what arrives.
    hallpass.signal(nix::sys::signal::Signal::SIGTERM);
    hallpass.exit(Duration::from_secs(10)).await;
    let (arrived, twice) = rsyslog.arrived();
    wait::until("the end too", limit, || std::future::ready(all(&rsyslog))).await;
    let kinds: Vec<&str> = arrived.values().map(String::as_str).collect();
    assert!(
        kinds
            .iter()
            .any(|line| line.contains("\"type\":\"stopped\""))
    );
    hallpass.start_again().await;
    let more = || std::future::ready(rsyslog.arrived().0.len() > arrived.len());
    wait::until("it goes on", limit, more).await;
    assert_eq!(
        rsyslog.arrived().1,
        twice,
        "nothing is sent twice after a goodbye"
    );
}
