//! A real PostgreSQL cluster for one test: started in a moment, gone when the test ends.
//!
//! It holds the databases `orders` (owned by `orders_admin`, with tables `customers` and `orders`)
//! and `analytics` (empty), and the roles `orders_ro`, `orders_admin`, `orders_md5` (password
//! `<role with dashes>-secret`), `orders_cert` and `orders_trust` (none).

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::certificates::Authority;
use super::login::Login;
use super::template::Installation;
use super::wait;

const START: Duration = Duration::from_secs(60);
/// How the harness's own connections call themselves.
const HARNESS: &str = "test harness";
/// Client authentication, where the test wants nothing else: as an operator would have it.
const HBA: &str = "\
host all orders_md5 127.0.0.1/32 md5
host all orders_trust 127.0.0.1/32 trust
hostssl all orders_cert 127.0.0.1/32 cert
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256";

/// A cluster to be.
pub struct Options {
    settings: Vec<String>,
    hba: String,
    tls: bool,
}

impl Options {
    /// One of `postgresql.conf`'s settings.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push(format!("{name}={value}"));
        self
    }

    /// The lines of `pg_hba.conf` for TCP.
    pub fn hba(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.hba);
        self
    }

    /// With TLS, by a certificate for `localhost` and `127.0.0.1` from [`Cluster::ca`].
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// With every statement in the server's own log, for [`Cluster::statements`].
    pub fn log_statements(self) -> Self {
        self.setting("log_statement", "all")
            .setting("log_destination", "csvlog")
            .setting("logging_collector", "on")
            .setting("log_directory", "log")
            .setting("log_filename", "server")
            .setting("log_rotation_age", "0")
            .setting("log_rotation_size", "0")
    }

    /// Starts it.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start; with its log.
    pub fn start(self) -> Cluster {
        let installation = Installation::find();
        let folder = installation.folder();
        installation.copy_template(&folder.path().join("data"));
        let hba = format!("local all all trust\n{}\n", self.hba);
        fs::write(folder.path().join("hba.conf"), hba).unwrap();
        let authority = self.tls.then(|| Authority::new(folder.path()));
        if let Some(authority) = &authority {
            authority.issue("server", &["localhost", "127.0.0.1"]);
        }
        let log = File::create(folder.path().join("postgres.log")).unwrap();
        installation.give(folder.path());
        // A free port may be taken by somebody else before the server has it.
        let (server, port) = (0..5)
            .find_map(|_| self.try_start(&installation, &folder, &log))
            .unwrap_or_else(|| panic!("PostgreSQL does not start:\n{}", log_of(folder.path())));
        Cluster {
            server,
            port,
            folder,
            authority,
        }
    }

    fn try_start(
        &self,
        installation: &Installation,
        folder: &TempDir,
        log: &File,
    ) -> Option<(Child, u16)> {
        let port = free_port();
        let path = folder.path().display();
        let data = folder.path().join("data");
        let mut command = installation.program("postgres");
        command.current_dir(folder.path()).arg("-D").arg(&data);
        for setting in [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={path}"),
            format!("hba_file={path}/hba.conf"),
            "fsync=off".to_owned(),
            "shared_buffers=16MB".to_owned(),
            "wal_level=logical".to_owned(),
        ]
        .iter()
        .chain(&tls_settings(self.tls, folder.path()))
        .chain(&self.settings)
        {
            command.arg("-c").arg(setting);
        }
        let mut server = command
            .stdout(log.try_clone().unwrap())
            .stderr(log.try_clone().unwrap())
            .spawn()
            .unwrap();
        wait::blocking_until("PostgreSQL is up or gone", START, || {
            server.try_wait().unwrap().is_some() || is_ready(&data)
        });
        server
            .try_wait()
            .unwrap()
            .is_none()
            .then_some((server, port))
    }
}

fn tls_settings(tls: bool, folder: &Path) -> Vec<String> {
    if !tls {
        return Vec::new();
    }
    let path = folder.display();
    vec![
        "ssl=on".to_owned(),
        format!("ssl_cert_file={path}/server.crt"),
        format!("ssl_key_file={path}/server.key"),
        format!("ssl_ca_file={path}/ca.crt"),
    ]
}

/// Whether the server says so, in the last line of its pid file.
fn is_ready(data: &Path) -> bool {
    let status = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    status
        .lines()
        .nth(7)
        .is_some_and(|line| line.trim() == "ready")
}

fn log_of(folder: &Path) -> String {
    fs::read_to_string(folder.join("postgres.log")).unwrap_or_default()
}

/// A port that nobody listens on. Below those that the system gives to outgoing connections, so
/// that no other test's client takes it before its server does.
pub fn free_port() -> u16 {
    let candidate = || 10_000 + u16::from_be_bytes(hallpass::secret::random()) % 20_000;
    std::iter::repeat_with(candidate)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("some port is free")
}

/// A running cluster. Dropping it stops the server and removes its files.
pub struct Cluster {
    server: Child,
    port: u16,
    folder: TempDir,
    authority: Option<Authority>,
}

/// A server process, as `pg_stat_activity` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its process id.
    pub pid: i32,
    /// The role that is logged in.
    pub role: String,
    /// `active`, `idle`, ...
    pub state: String,
    /// The statement that runs, or ran last.
    pub query: String,
    /// What the client calls itself.
    pub application_name: String,
}

/// A line of the server's own log of statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedStatement {
    /// The server process.
    pub pid: i32,
    /// The role that is logged in.
    pub role: String,
    /// The text, without the log's own words before it.
    pub sql: String,
    /// `parameters: $1 = '..'`, or empty.
    pub detail: String,
}

impl Cluster {
    /// A cluster as it comes: without TLS, with passwords.
    pub fn start() -> Self {
        Self::options().start()
    }

    /// A cluster to be changed before it starts.
    pub fn options() -> Options {
        Options {
            settings: Vec::new(),
            hba: HBA.to_owned(),
            tls: false,
        }
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it was started with [`Options::tls`].
    pub fn has_tls(&self) -> bool {
        self.authority.is_some()
    }

    /// The authority of its certificate.
    ///
    /// # Panics
    /// If it was not started with [`Options::tls`].
    pub fn authority(&self) -> &Authority {
        self.authority.as_ref().expect("a cluster with TLS")
    }

    /// A direct login, without hallpass.
    pub fn login(&self, role: &str, database: &str) -> Login {
        Login {
            host: "localhost".to_owned(),
            port: self.port,
            user: role.to_owned(),
            password: format!("{}-secret", role.replace('_', "-")),
            database: database.to_owned(),
            sslmode: if self.authority.is_some() {
                "verify-full"
            } else {
                "disable"
            }
            .to_owned(),
            ca: self.authority.as_ref().map(Authority::certificate),
        }
    }

    /// A client as the superuser `postgres`, by Unix socket.
    pub async fn admin(&self, database: &str) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::Config::new()
            .host_path(self.folder.path())
            .port(self.port)
            .user("postgres")
            .dbname(database)
            .application_name(HARNESS)
            .connect(tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        client
    }

    /// The server processes of clients, the harness's own left out.
    pub async fn backends(&self) -> Vec<Backend> {
        let sql = "select pid, coalesce(usename, ''), coalesce(state, ''), query, application_name \
                   from pg_stat_activity \
                   where backend_type in ('client backend', 'walsender') \
                   and application_name <> $1 order by pid";
        let admin = self.admin("postgres").await;
        let rows = admin.query(sql, &[&HARNESS]).await.unwrap();
        let backend = |row: tokio_postgres::Row| Backend {
            pid: row.get(0),
            role: row.get::<_, String>(1),
            state: row.get(2),
            query: row.get(3),
            application_name: row.get(4),
        };
        rows.into_iter().map(backend).collect()
    }

    /// Waits until a statement whose text contains `sql` runs; its process.
    pub async fn running(&self, sql: &str) -> Backend {
        let found = || async {
            let backends = self.backends().await;
            let running = |b: &Backend| b.state == "active" && b.query.contains(sql);
            backends.into_iter().find(running)
        };
        wait::until_some(sql, Duration::from_secs(20), found).await
    }

    /// Waits at most `limit` until no client's server process is left.
    pub async fn no_backends(&self, limit: Duration) {
        let none = || async { self.backends().await.is_empty() };
        wait::until("no backend is left", limit, none).await;
    }

    /// The server's own log.
    pub fn log(&self) -> String {
        log_of(self.folder.path())
    }

    /// What the server logged of every statement so far, the harness's own left out; for
    /// [`Options::log_statements`].
    pub async fn statements(&self) -> Vec<LoggedStatement> {
        // The log is written by a process of its own. Whatever was sent to it before the mark is
        // in the file when the mark is.
        let mark = hallpass::secret::hex(&hallpass::secret::random::<8>());
        let client = self.admin("postgres").await;
        client
            .simple_query(&format!("select '{mark}'"))
            .await
            .unwrap();
        let path = self.folder.path().join("data/log/server.csv");
        let settled = || async {
            let text = fs::read_to_string(&path).unwrap_or_default();
            text.contains(&mark).then_some(text)
        };
        let text = wait::until_some("the log is written", Duration::from_secs(10), settled).await;
        csv(&text)
            .iter()
            .filter_map(|record| logged(record))
            .collect()
    }

    /// The folder of its files, below which nothing else may be touched.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// One of PostgreSQL's own client programs, with nothing of its environment set.
    pub fn client(program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("PG") || text.starts_with("LC_") || text == "LANG" {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C.UTF-8");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.server.id()).expect("process ids fit"));
        // An immediate shutdown; it does not matter here that the next start would recover.
        let _ = kill(pid, Signal::SIGQUIT);
        let _ = self.server.wait();
    }
}

/// A statement, if that is what the record is about.
fn logged(record: &[String]) -> Option<LoggedStatement> {
    let message = record.get(13)?;
    if record.get(22)? == HARNESS {
        return None;
    }
    let sql = match message.strip_prefix("statement: ") {
        Some(sql) => sql,
        None if message.starts_with("execute ") => message.split_once(": ")?.1,
        None if message.starts_with("fastpath function call") => message,
        None => return None,
    };
    Some(LoggedStatement {
        pid: record[3].parse().ok()?,
        role: record[1].clone(),
        sql: sql.to_owned(),
        detail: record[14].clone(),
    })
}

/// Records of fields, as RFC 4180 has them; a last one that is still being written is left out.
fn csv(text: &str) -> Vec<Vec<String>> {
    let mut records = Vec::new();
    let mut record = vec![String::new()];
    let mut quoted = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let field = record.last_mut().expect("a record has a field");
        match c {
            '"' if quoted && rest.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(String::new()),
            '\n' if !quoted => records.push(std::mem::replace(&mut record, vec![String::new()])),
            c => field.push(c),
        }
    }
    records
}

#[tokio::test]
async fn a_cluster_is_real_and_logs_what_it_is_told() {
    let cluster = Cluster::options().log_statements().tls().start();
    let client = cluster.login("orders_ro", "orders").connect().await;
    let row = client
        .query_one("select count(*) from orders where id > $1", &[&0])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 1000);
    client.simple_query("select 'a\n\"b\"'").await.unwrap();
    let texts: Vec<String> = cluster
        .statements()
        .await
        .into_iter()
        .map(|s| s.sql)
        .collect();
    assert!(texts.contains(&"select 'a\n\"b\"'".to_owned()), "{texts:?}");
    assert!(texts.contains(&"select count(*) from orders where id > $1".to_owned()));
    assert_eq!(cluster.backends().await.len(), 1);
    drop(client);
    cluster.no_backends(Duration::from_secs(5)).await;
}
