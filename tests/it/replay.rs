//! Sessions told, played back, and run again on another server.

mod against;
mod hang_up;
mod told;

use std::process::{Command, Output};
use std::time::Duration;

use hallpass::access::SessionId;
use hallpass::audit::Event;
use serde_json::Value;

use crate::support::hallpass::{Grant, Setup};
use crate::support::login::{Login, said};
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::wait;

/// A server, hallpass in front of it, and maya's session.
struct Recorded {
    _cluster: Cluster,
    hallpass: Process,
    grant: Grant,
}

impl Recorded {
    async fn start() -> Self {
        Self::with("").await
    }

    /// With `lines` in the targets' configuration.
    async fn with(lines: &str) -> Self {
        let cluster = Cluster::start();
        let setup = Setup::new(&cluster).proxy("tls = \"off\"").targets(lines);
        let hallpass = Process::start(setup).await;
        let grant = hallpass.grant("maya", "orders-admin", "10m").await;
        Self {
            _cluster: cluster,
            hallpass,
            grant,
        }
    }

    fn login(&self) -> &Login {
        &self.grant.login
    }

    fn session(&self) -> SessionId {
        self.grant.session
    }

    /// Waits until the end of every connection is on record.
    async fn settle(&self) {
        let settled = || async {
            let records = self.hallpass.records();
            let count = |is: fn(&Event) -> bool| records.iter().filter(|r| is(&r.event)).count();
            count(|event| matches!(event, Event::ConnectionOpened { .. }))
                == count(|event| matches!(event, Event::ConnectionClosed { .. }))
        };
        wait::until("all is closed", Duration::from_secs(10), settled).await;
    }

    /// `hallpass audit SUBCOMMAND` on its log.
    fn audit(&self, arguments: &[&str]) -> Command {
        let mut command = Process::command();
        let folder = self.hallpass.folder().join("data/audit");
        command
            .arg("audit")
            .args(arguments)
            .arg("--from")
            .arg(folder);
        command.env("TZ", "UTC").env("NO_COLOR", "1");
        command
    }

    /// What a subcommand about the session prints.
    fn told(&self, arguments: &[&str]) -> String {
        let session = self.session().to_string();
        let output = self.audit(arguments).arg(session).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The session, run again on `clone`.
    fn again(&self, clone: &Cluster, arguments: &[&str]) -> Again {
        let login = clone.login("orders_admin", "orders");
        let url = format!("postgres://{}@localhost:{}/orders", login.user, login.port);
        let output = self
            .audit(&["replay", "--output", "json", "--against", &url])
            .args(arguments)
            .arg(self.session().to_string())
            .env("PGPASSWORD", &login.password)
            .output()
            .unwrap();
        let report = serde_json::from_slice(&output.stdout);
        let report = report.unwrap_or_else(|_| panic!("{}", said(&output)));
        Again { output, report }
    }
}

/// What a session came to when it was run again.
struct Again {
    output: Output,
    report: Value,
}

impl Again {
    fn code(&self) -> i32 {
        self.output.status.code().unwrap()
    }

    /// The statements with this result.
    fn with_result(&self, result: &str) -> Vec<&Value> {
        let all = self.report["statements"].as_array().unwrap();
        all.iter().filter(|it| it["result"] == result).collect()
    }

    fn total(&self, name: &str) -> u64 {
        self.report["totals"][name].as_u64().unwrap()
    }
}
