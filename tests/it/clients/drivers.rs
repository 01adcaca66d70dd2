//! Drivers of other languages: a script each, run both ways; the same lines must come out.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Ways, text};
use crate::support::login::Login;
use crate::support::wait;

/// Runs a script's command to its end; a driver that hangs is a failure of its own.
async fn lines(mut command: Command) -> Vec<String> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = tokio::process::Command::from(command);
    let run = run.kill_on_drop(true).spawn().unwrap().wait_with_output();
    let output = tokio::time::timeout(Duration::from_secs(120), run).await;
    let output = output.expect("the checks end").unwrap();
    text(&output).lines().map(str::to_owned).collect()
}

/// Where `clients/setup` installs; it is quick when that is done.
pub fn installed() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut setup = Command::new(tests.join("setup"));
    let output = setup.env("CARGO_TARGET_DIR", target).output().unwrap();
    text(&output);
    target.join("clients")
}

pub fn python(login: &Login, script: &str) -> Command {
    let mut command = login.command(installed().join("python/bin/python").to_str().unwrap());
    command.arg(script_path(script));
    command
}

fn node(login: &Login, script: &str) -> Command {
    let mut command = login.command("node");
    command.env("NODE_PATH", installed().join("node/node_modules"));
    command.arg(script_path(script));
    command
}

fn script_path(script: &str) -> OsString {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients");
    tests.join(script).into()
}

async fn compare(command: impl Fn(&Login) -> Command) {
    let ways = Ways::open().await;
    let directly = lines(command(&ways.direct)).await;
    assert!(directly.len() > 10, "{directly:?}");
    let through = lines(command(ways.through())).await;
    assert_eq!(through, directly);
    // What the scripts did is on record, and nothing of it goes on.
    let statements = ways.hallpass.statements();
    assert!(statements.iter().any(|sql| sql == "select pg_sleep(60)"));
    ways.cluster.no_backends(Duration::from_secs(5)).await;
    let closed = || async { ways.hallpass.connections().await.is_empty() };
    wait::until("every connection is closed", Duration::from_secs(5), closed).await;
}

#[tokio::test]
async fn psycopg_works_as_it_does_directly() {
    compare(|login| python(login, "psycopg_checks.py")).await;
}

#[tokio::test]
async fn asyncpg_works_as_it_does_directly() {
    compare(|login| python(login, "asyncpg_checks.py")).await;
}

#[tokio::test]
async fn node_postgres_works_as_it_does_directly() {
    compare(|login| node(login, "node_checks.cjs")).await;
}
