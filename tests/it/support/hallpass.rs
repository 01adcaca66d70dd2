//! A hallpass for one test, in front of a [`Cluster`]: its configuration, its API, its records.
//!
//! The built-in policies are in force. Principals: `maya` and `noor` (engineers, who ask) and `dana`
//! (leads, who approve; also security, who read the audit); the token of each is `<name>-token`. Targets: `orders-ro` (database `orders`) and `orders-admin` (all).

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hallpass::access::SessionId;
use hallpass::audit::source::Directory;
use hallpass::audit::verify::{Demands, Report, verify};
use hallpass::audit::{self, Event, Record};
use hallpass::http::types::{Approved, ConnectionView, Problem, RequestView, SessionSecret};
use hallpass::secret::{hex, sha256};
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tempfile::TempDir;

use super::login::Login;
use super::postgres::Cluster;
use super::wait;

/// The log in `folder`, verified.
///
/// # Panics
/// If it is not sound.
pub fn verified(folder: &Path) -> Report {
    let source = Box::new(Directory(folder.to_owned()));
    let report = verify(source, &Demands::default(), &mut |_| {}).unwrap();
    assert!(report.sound, "{:#?}", report.faults);
    report
}

/// A hallpass to be.
pub struct Setup {
    folder: TempDir,
    upstream: String,
    proxy: String,
    targets: String,
    sections: String,
}

impl Setup {
    /// In front of `cluster`, with TLS wherever the cluster has it.
    pub fn new(cluster: &Cluster) -> Self {
        let upstream = match cluster.has_tls() {
            true => format!("ca = {:?}", cluster.authority().certificate()),
            false => "tls = \"off\"".to_owned(),
        };
        Self {
            folder: tempfile::Builder::new().prefix("hp-").tempdir().unwrap(),
            upstream: format!(
                "host = \"127.0.0.1\"\nport = {}\n{upstream}",
                cluster.port()
            ),
            proxy: String::new(),
            targets: String::new(),
            sections: String::new(),
        }
    }

    /// In front of whatever listens on this port of 127.0.0.1, without TLS.
    pub fn in_front_of(port: u16) -> Self {
        Self {
            folder: tempfile::Builder::new().prefix("hp-").tempdir().unwrap(),
            upstream: format!("host = \"127.0.0.1\"\nport = {port}\ntls = \"off\""),
            proxy: String::new(),
            targets: String::new(),
            sections: String::new(),
        }
    }

    /// A line more in `[proxy]`.
    pub fn proxy(mut self, line: &str) -> Self {
        self.proxy += &format!("{line}\n");
        self
    }

    /// A line more in each target.
    pub fn targets(mut self, line: &str) -> Self {
        self.targets += &format!("{line}\n");
        self
    }

    /// Whole sections more.
    pub fn section(mut self, toml: &str) -> Self {
        self.sections += &format!("{toml}\n");
        self
    }

    /// Where configuration, secrets and data are.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Another target, reached as `role`, with `lines` in its table.
    pub fn target(self, name: &str, role: &str, lines: &str) -> Self {
        let target = self.target_toml(name, role, lines);
        self.section(&target)
    }

    fn target_toml(&self, name: &str, role: &str, lines: &str) -> String {
        let secret = self.folder.path().join(format!("{name}.password"));
        fs::write(&secret, format!("{}-secret\n", role.replace('_', "-"))).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let Self {
            upstream, targets, ..
        } = self;
        format!(
            "[targets.{name}]\n{upstream}\nuser = {role:?}\npassword = {{ file = {secret:?} }}\n\
             {lines}\n{targets}"
        )
    }

    /// Writes the configuration with these ports (0: the system's choice); its path.
    pub fn write(&self, ports: [u16; 3]) -> PathBuf {
        let [proxy, api, ops] = ports;
        let mut text = format!(
            "data_dir = \"data\"\n[proxy]\nlisten = [\"127.0.0.1:{proxy}\"]\n{}\n\
             [api]\nlisten = \"127.0.0.1:{api}\"\n[ops]\nlisten = \"127.0.0.1:{ops}\"\n{}\n",
            self.proxy, self.sections
        );
        for (name, groups) in [
            ("maya", &["engineers"][..]),
            ("noor", &["engineers"]),
            ("dana", &["leads", "security"]),
        ] {
            let hash = hex(&sha256(token(name).as_bytes()));
            text += &format!(
                "[principals.{name}]\ngroups = {groups:?}\nemail = \"{name}@example.com\"\ntoken_sha256 = {hash:?}\n"
            );
        }
        text += &self.target_toml("orders-ro", "orders_ro", "databases = [\"orders\"]");
        let all = "databases = [\"*\"]\ndefault_database = \"orders\"";
        text += &self.target_toml("orders-admin", "orders_admin", all);
        let path = self.folder.path().join("hallpass.toml");
        fs::write(&path, text).unwrap();
        path
    }

    /// Keeps the folder for as long as hallpass runs.
    pub(super) fn into_hallpass(self, [proxy, api, ops]: [SocketAddr; 3]) -> Hallpass {
        Hallpass {
            proxy,
            api,
            ops,
            folder: self.folder,
            // The server closes what is idle for long; a request must not run into that.
            http: reqwest::Client::builder()
                .pool_idle_timeout(Duration::from_secs(5))
                .build()
                .unwrap(),
        }
    }
}

/// The API token of a principal.
pub fn token(principal: &str) -> String {
    format!("{principal}-token")
}

/// A hallpass that runs, in this process or another: what can be seen of it from outside.
pub struct Hallpass {
    /// Where PostgreSQL clients dial.
    pub proxy: SocketAddr,
    /// The REST API.
    pub api: SocketAddr,
    /// Metrics and health.
    pub ops: SocketAddr,
    folder: TempDir,
    http: reqwest::Client,
}

/// A session, and how to use it.
#[derive(Clone)]
pub struct Grant {
    /// Its name.
    pub session: SessionId,
    /// A login under it.
    pub login: Login,
    /// What its holder was told.
    pub secret: SessionSecret,
}

impl Hallpass {
    /// Where configuration, secrets and data are.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Calls the API as `principal`.
    ///
    /// # Errors
    /// What the API answers, where it is not a success.
    pub async fn call<T: DeserializeOwned>(
        &self,
        principal: &str,
        method: Method,
        path: &str,
        body: impl Serialize,
    ) -> Result<T, Problem> {
        let url = format!("http://{}/api/v1{path}", self.api);
        let mut request = self.http.request(method.clone(), url);
        if method != Method::GET {
            request = request.json(&body);
        }
        let answer = request.bearer_auth(token(principal)).send().await.unwrap();
        match answer.status().is_success() {
            true => Ok(answer.json().await.unwrap()),
            false => Err(answer.json().await.unwrap()),
        }
    }

    /// A session of `principal` for `target`, asked for and approved by dana.
    pub async fn grant(&self, principal: &str, target: &str, duration: &str) -> Grant {
        let body = json!({ "target": target, "duration": duration, "reason": "INC-4312" });
        let request: RequestView = self
            .call(principal, Method::POST, "/requests", body)
            .await
            .unwrap();
        let path = format!("/requests/{}/approve", request.id);
        let approved: Approved = self
            .call("dana", Method::POST, &path, json!({}))
            .await
            .unwrap();
        self.login(principal, approved.session.unwrap().id).await
    }

    /// The login of a session that `principal` holds.
    pub async fn login(&self, principal: &str, session: SessionId) -> Grant {
        let path = format!("/sessions/{session}/secret");
        let secret: SessionSecret = self
            .call(principal, Method::POST, &path, json!({}))
            .await
            .unwrap();
        let ca = secret.ca_certificate.as_ref().map(|pem| {
            let path = self.folder.path().join(format!("{session}.crt"));
            fs::write(&path, pem).unwrap();
            path
        });
        let login = Login {
            host: secret.host.clone(),
            port: secret.port,
            user: secret.user.clone(),
            password: secret.password.clone(),
            database: secret.database.clone(),
            sslmode: secret.sslmode.clone(),
            ca,
        };
        Grant {
            session,
            login,
            secret,
        }
    }

    /// Ends a session, as dana.
    pub async fn revoke(&self, session: SessionId) {
        let path = format!("/sessions/{session}/revoke");
        let body = json!({ "reason": "the incident is over" });
        let answer: Result<serde_json::Value, Problem> =
            self.call("dana", Method::POST, &path, body).await;
        answer.unwrap();
    }

    /// The connections that are open, as dana sees them.
    pub async fn connections(&self) -> Vec<ConnectionView> {
        self.call("dana", Method::GET, "/connections", ())
            .await
            .unwrap()
    }

    /// What one of the ops addresses (`/metrics`) answers, with its status.
    pub async fn ops(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.ops);
        let answer = self.http.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The value of one metric, written as in Prometheus' text format; 0 where it is not there.
    pub async fn metric(&self, name_and_labels: &str) -> f64 {
        let (_, text) = self.ops("/metrics").await;
        let line = |line: &str| {
            line.strip_prefix(name_and_labels)?
                .strip_prefix(' ')?
                .parse()
                .ok()
        };
        text.lines().find_map(line).unwrap_or(0.0)
    }

    /// Every audit record so far, of a log that is sound.
    pub fn records(&self) -> Vec<Record> {
        let folder = self.folder.path().join("data/audit");
        verified(&folder);
        let records = audit::reader::records(&folder).unwrap();
        records.map(|record| record.unwrap()).collect()
    }

    /// The texts of all statements that were started, in order.
    pub fn statements(&self) -> Vec<String> {
        let mut prepared_as = HashMap::new();
        let mut started = Vec::new();
        for record in self.records() {
            match record.event {
                Event::StatementPrepared {
                    origin,
                    statement,
                    sql: Some(sql),
                    ..
                } => drop(prepared_as.insert((origin.connection, statement), sql)),
                Event::StatementStarted {
                    origin,
                    sql,
                    prepared,
                    ..
                } => {
                    let known = |number| prepared_as.get(&(origin.connection, number)).cloned();
                    started.extend(sql.or_else(|| known(prepared?)));
                }
                _ => {}
            }
        }
        started
            .iter()
            .map(|sql| sql.to_lossy().into_owned())
            .collect()
    }

    /// Waits until the audit holds a record that `wanted` takes; what it made of it.
    pub async fn recorded<T>(&self, what: &str, wanted: impl Fn(&Event) -> Option<T>) -> T {
        let look = || async { self.records().iter().find_map(|r| wanted(&r.event)) };
        wait::until_some(what, Duration::from_secs(10), look).await
    }

    /// Whether it says that it is ready.
    pub async fn is_ready(&self) -> bool {
        let url = format!("http://{}/readyz", self.ops);
        let answer = self.http.get(url).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}
