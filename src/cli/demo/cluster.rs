//! A throw-away PostgreSQL cluster with a little data.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command as Probe, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{User, geteuid};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::super::error::CliError;
use super::place::{DATABASE, Place, write_secret};
use super::process::Group;

const START: Duration = Duration::from_secs(20);
const DATA: &str = include_str!("orders.sql");

/// A running cluster; dropping it ends it.
pub(super) struct Cluster {
    server: Group,
    /// Its folder of programs.
    pub(super) programs: PathBuf,
}

impl Cluster {
    /// Makes a cluster in `place` and starts its server.
    pub(super) async fn start(place: &Place) -> Result<Self, CliError> {
        let programs = programs()?;
        let user = user()?;
        init(place, &programs, user.as_ref()).await?;
        let server = serve(place, &programs, user.as_ref())?;
        Ok(Self { server, programs })
    }

    /// Waits until it answers, and loads its roles and data.
    pub(super) async fn prepare(&mut self, place: &Place) -> Result<(), CliError> {
        self.ready(place).await?;
        self.fill(place).await
    }

    /// What psql says to `sql`, asked of the cluster directly, as its superuser.
    pub(super) async fn ask(&self, place: &Place, sql: &str) -> Result<String, CliError> {
        self.psql(place, &["-d", DATABASE, "-c", sql]).await
    }

    /// Whether anybody has come as `role`, by PostgreSQL's own log.
    pub(super) fn has_seen(&self, place: &Place, role: &str) -> bool {
        log(place).contains(&format!("user={role} "))
    }

    /// Whether a client of `role` runs a `pg_sleep`, as PostgreSQL itself sees it.
    pub(super) async fn running(&self, place: &Place, role: &str) -> Result<bool, CliError> {
        let sql = format!(
            "select 1 from pg_stat_activity where usename = '{role}' and state = 'active' \
             and query like '%pg_sleep%'"
        );
        let arguments = ["-At", "-d", DATABASE, "-c", &sql];
        Ok(self.psql(place, &arguments).await?.trim() == "1")
    }

    /// Ends it, and everything that is connected to it.
    pub(super) async fn stop(&mut self) {
        self.server
            .stop(Signal::SIGINT, Duration::from_secs(5))
            .await;
    }

    async fn ready(&mut self, place: &Place) -> Result<(), CliError> {
        let deadline = Instant::now() + START;
        let ping = ["-d", "postgres", "-c", "select 1"];
        while self.psql(place, &ping).await.is_err() {
            if self.server.ended().is_some() || Instant::now() > deadline {
                return Err(failed("PostgreSQL does not start", &log(place)));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn psql(&self, place: &Place, arguments: &[&str]) -> Result<String, CliError> {
        let said = Group::piped(self.superuser(place).args(arguments))?
            .output()
            .await;
        match said.code {
            0 => Ok(said.text),
            _ => Err(CliError::Demo(said.text)),
        }
    }

    /// psql as the cluster's superuser.
    fn superuser(&self, place: &Place) -> Command {
        let mut psql = place.command(self.programs.join("psql"));
        psql.args(["-X", "-v", "ON_ERROR_STOP=1"])
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", place.ports.postgres.to_string())
            .env("PGUSER", "postgres")
            .env("PGPASSWORD", place.passwords.superuser.expose())
            .env("PGSSLMODE", "disable");
        psql
    }

    /// Loads the data. The roles' passwords go in by standard input: a command line is public.
    async fn fill(&self, place: &Place) -> Result<(), CliError> {
        let script = format!(
            "\\set ro_password {}\n\\set admin_password {}\n{DATA}",
            place.passwords.orders_ro.expose(),
            place.passwords.orders_admin.expose()
        );
        let refused = CliError::file("psql");
        let mut psql = self.superuser(place);
        let mut child = psql
            .args(["-q", "-d", "postgres", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(refused)?;
        if let Some(mut stdin) = child.stdin.take() {
            // If psql has gone, its exit code tells more.
            let _ = stdin.write_all(script.as_bytes()).await;
        }
        let output = child
            .wait_with_output()
            .await
            .map_err(CliError::file("psql"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(failed("the data cannot be loaded", &said))
    }
}

/// Makes the cluster's files.
async fn init(place: &Place, programs: &Path, user: Option<&User>) -> Result<(), CliError> {
    let password_file = place.cluster.join("password");
    write_secret(&password_file, &place.passwords.superuser)?;
    for path in [&place.cluster, &password_file] {
        give(path, user)?;
    }
    let mut initdb = as_user(place, &programs.join("initdb"), user);
    initdb
        .args(["--username=postgres", "--auth=scram-sha-256"])
        .args(["--encoding=UTF8", "--locale=C", "--no-sync"])
        .arg(format!("--pwfile={}", password_file.display()))
        .arg(place.cluster.join("data"));
    let said = Group::piped(&mut initdb)?.output().await;
    fs::remove_file(&password_file).map_err(CliError::file(&password_file))?;
    match said.code {
        0 => Ok(()),
        _ => Err(failed("initdb fails", &said.text)),
    }
}

fn serve(place: &Place, programs: &Path, user: Option<&User>) -> Result<Group, CliError> {
    let path = place.cluster.join("log");
    let log = File::create(&path).map_err(CliError::file(&path))?;
    let errors = log.try_clone().map_err(CliError::file(&path))?;
    let mut postgres = as_user(place, &programs.join("postgres"), user);
    postgres
        .arg("-D")
        .arg(place.cluster.join("data"))
        .args(["-p", &place.ports.postgres.to_string()])
        .args(["-c", "listen_addresses=127.0.0.1"])
        .args(["-c", "unix_socket_directories="])
        .args(["-c", "fsync=off", "-c", "log_connections=on"])
        .stdout(log)
        .stderr(errors);
    Group::spawn(&mut postgres)
}

/// A program of PostgreSQL, run by somebody whom it does not refuse.
fn as_user(place: &Place, program: &Path, user: Option<&User>) -> Command {
    let mut command = place.command(program);
    command.current_dir(&place.cluster);
    if let Some(user) = user {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

fn give(path: &Path, user: Option<&User>) -> Result<(), CliError> {
    let Some(user) = user else { return Ok(()) };
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(CliError::file(path))
}

/// Whom PostgreSQL runs as; `None` for ourselves. It refuses to run as root.
fn user() -> Result<Option<User>, CliError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let found = ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| User::from_name(name).ok().flatten());
    match found {
        Some(user) => Ok(Some(user)),
        None => Err(CliError::Demo(
            "PostgreSQL does not run as root, and there is neither a user postgres nor nobody"
                .into(),
        )),
    }
}

/// The folder of PostgreSQL's programs: that of the PATH, of `pg_config`, or the newest there is.
fn programs() -> Result<PathBuf, CliError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        // The PATH may have links to some of the programs only.
        .filter_map(|folder| folder.join("initdb").canonicalize().ok())
        .filter_map(|initdb| Some(initdb.parent()?.to_owned()))
        .chain(configured())
        .chain(installed())
        .find(|folder| {
            ["initdb", "postgres", "psql"]
                .iter()
                .all(|p| folder.join(p).is_file())
        })
        .ok_or_else(|| {
            CliError::Demo(
                "PostgreSQL's server is not installed (Debian, Ubuntu: apt install postgresql)"
                    .into(),
            )
        })
}

fn configured() -> Option<PathBuf> {
    let output = Probe::new("pg_config").arg("--bindir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

/// Debian's and Red Hat's folders, newest first.
fn installed() -> Vec<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let red_hat = fs::read_dir("/usr").into_iter().flatten();
    let mut folders: Vec<(u32, PathBuf)> = debian
        .chain(red_hat)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            let version = name.strip_prefix("pgsql-").unwrap_or(name).parse().ok()?;
            Some((version, path.join("bin")))
        })
        .collect();
    folders.sort_unstable_by(|a, b| b.cmp(a));
    folders.into_iter().map(|(_, folder)| folder).collect()
}

fn log(place: &Place) -> String {
    fs::read_to_string(place.cluster.join("log")).unwrap_or_default()
}

/// `what`, and the end of what was said about it.
pub(super) fn failed(what: &str, said: &str) -> CliError {
    let lines: Vec<&str> = said.lines().collect();
    let last = &lines[lines.len().saturating_sub(12)..];
    CliError::Demo(format!("{what}\n{}", last.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_cluster_has_the_storys_data_and_ends_without_a_trace() {
        let place = Place::make(None).unwrap();
        let mut cluster = Cluster::start(&place).await.unwrap();
        cluster.prepare(&place).await.unwrap();
        let count = "select count(*) > 2 as enough from refunds where state = 'stuck'";
        let answer = cluster.ask(&place, count).await.unwrap();
        assert!(answer.contains(" t\n"), "{answer}");
        let rights = "select has_table_privilege('orders_ro', 'refunds', 'update') as ro, \
                      has_table_privilege('orders_admin', 'refunds', 'update') as admin";
        let answer = cluster.ask(&place, rights).await.unwrap();
        assert!(answer.contains(" f  | t"), "{answer}");
        assert!(!cluster.running(&place, "orders_ro").await.unwrap());
        cluster.stop().await;
        assert!(!place.cluster.join("data/postmaster.pid").exists());
    }

    #[test]
    fn a_failure_shows_the_end_of_the_log() {
        let log = (1..=20).map(|n| format!("line {n}\n")).collect::<String>();
        let text = failed("it fails", &log).to_string();
        assert!(
            text.starts_with("it fails\nline 9\n") && text.ends_with("line 20"),
            "{text}"
        );
    }
}
