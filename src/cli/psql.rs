//! Runs psql with a session's secret in its environment.

use std::io::{self, IsTerminal, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::error::CliError;
use super::out;
use crate::http::types::SessionSecret;

/// Variables of libpq that would lead it elsewhere than the session says.
const MISLEADING: [&str; 7] = [
    "PGHOSTADDR",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGREQUIRESSL",
    "PGSSLNEGOTIATION",
    "PGTARGETSESSIONATTRS",
    "PGLOADBALANCEHOSTS",
];

/// Runs psql with `arguments` on the caller's terminal and returns its exit code, as a shell would
/// tell it. `greeting` is shown before, if a person is there to read it.
pub(super) async fn run(
    secret: &SessionSecret,
    arguments: &[String],
    greeting: &str,
) -> Result<u8, CliError> {
    let ca = secret
        .ca_certificate
        .as_deref()
        .map(temporary)
        .transpose()?;
    if io::stdin().is_terminal() && io::stderr().is_terminal() && arguments.is_empty() {
        out::note(greeting);
    }
    let environment = environment(secret, ca.as_ref().map(NamedTempFile::path));
    let status = attended(&environment, arguments).await?;
    Ok(exit_code(status))
}

fn temporary(pem: &str) -> Result<NamedTempFile, CliError> {
    let folder = std::env::temp_dir();
    let mut file = NamedTempFile::with_prefix("hallpass-").map_err(CliError::file(&folder))?;
    file.write_all(pem.as_bytes())
        .map_err(CliError::file(&folder))?;
    Ok(file)
}

/// libpq's variables for the session.
fn environment(secret: &SessionSecret, ca: Option<&Path>) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("PGHOST", secret.host.clone()),
        ("PGPORT", secret.port.to_string()),
        ("PGUSER", secret.user.clone()),
        ("PGPASSWORD", secret.password.clone()),
        ("PGDATABASE", secret.database.clone()),
        ("PGSSLMODE", secret.sslmode.clone()),
    ];
    if secret.sslmode != "disable" {
        let roots = ca.map_or_else(public_authorities, Path::to_path_buf);
        variables.push(("PGSSLROOTCERT", roots.display().to_string()));
    }
    variables
}

/// The system's file of public authorities; libpq 16 and later also know the word `system`.
fn public_authorities() -> PathBuf {
    [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
    ]
    .into_iter()
    .map(PathBuf::from)
    .find(|path| path.is_file())
    .unwrap_or_else(|| "system".into())
}

/// Runs psql to its end. Ctrl-C and Ctrl-\ reach psql from the terminal, as they would without us;
/// we only must not die of them. Signals that are meant to end us end psql.
async fn attended(
    environment: &[(&str, String)],
    arguments: &[String],
) -> Result<ExitStatus, CliError> {
    // Caught and not ignored: psql would inherit an ignored signal.
    let mut interrupt = caught(SignalKind::interrupt())?;
    let mut quit = caught(SignalKind::quit())?;
    let mut terminate = caught(SignalKind::terminate())?;
    let mut hang_up = caught(SignalKind::hangup())?;
    let mut psql = spawn(environment, arguments)?;
    loop {
        tokio::select! {
            status = psql.wait() => return status.map_err(CliError::file("psql")),
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
            _ = terminate.recv() => pass_on(&psql, Signal::SIGTERM),
            _ = hang_up.recv() => pass_on(&psql, Signal::SIGHUP),
        }
    }
}

fn caught(kind: SignalKind) -> Result<tokio::signal::unix::Signal, CliError> {
    signal(kind).map_err(CliError::file("psql"))
}

fn spawn(environment: &[(&str, String)], arguments: &[String]) -> Result<Child, CliError> {
    let mut command = Command::new("psql");
    for name in MISLEADING {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)));
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CliError::NoPsql,
        _ => CliError::file("psql")(error),
    })
}

fn pass_on(psql: &Child, signal: Signal) {
    let Some(id) = psql.id().and_then(|id| i32::try_from(id).ok()) else {
        return;
    };
    // If it has gone, `wait` says so next.
    let _ = kill(Pid::from_raw(id), signal);
}

/// The exit code, or 128 and the number of the signal that ended it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(sslmode: &str) -> SessionSecret {
        SessionSecret {
            session: crate::access::SessionId::from_random(1),
            host: "localhost".into(),
            port: 6432,
            user: "maya~orders-ro".into(),
            database: "orders".into(),
            password: "hunter2".into(),
            sslmode: sslmode.into(),
            ca_certificate: None,
            expires_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn value(environment: &[(&str, String)], name: &str) -> Option<String> {
        let found = environment.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone())
    }

    #[test]
    fn psql_is_told_all_and_verifies_the_server() {
        let environment = environment(&secret("verify-full"), Some(Path::new("/tmp/ca")));
        for (name, expected) in [
            ("PGHOST", "localhost"),
            ("PGPORT", "6432"),
            ("PGUSER", "maya~orders-ro"),
            ("PGPASSWORD", "hunter2"),
            ("PGDATABASE", "orders"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/tmp/ca"),
        ] {
            assert_eq!(value(&environment, name).as_deref(), Some(expected));
        }
    }

    #[test]
    fn without_a_certificate_of_its_own_the_server_is_checked_by_public_authorities() {
        let verified = environment(&secret("verify-full"), None);
        assert!(value(&verified, "PGSSLROOTCERT").is_some());
        let plain = environment(&secret("disable"), None);
        assert_eq!(value(&plain, "PGSSLROOTCERT"), None);
    }

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(exit_code(ExitStatus::from_raw(2)), 130);
    }
}
