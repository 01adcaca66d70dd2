//! `hallpass demo`: the story is true, and nothing of it stays.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A folder for everything temporary; PostgreSQL's user has to get through.
fn temporary() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
    folder
}

fn demo(temporary: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_hallpass"))
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The command lines of all processes that name `folder`.
fn processes(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder))
        .collect()
}

fn assert_nothing_is_left(temporary: &Path) {
    assert_eq!(processes(temporary), Vec::<String>::new());
    let files: Vec<_> = fs::read_dir(temporary).unwrap().collect();
    assert!(files.is_empty(), "{files:?}");
}

#[test]
fn the_demo_does_what_it_says_and_leaves_only_what_it_was_told_to() {
    let (temporary, kept) = (temporary(), tempfile::tempdir().unwrap());
    let home = kept.path().join("demo");
    let demo = demo(
        temporary.path(),
        &["--once", "--dir", home.to_str().unwrap()],
    );
    let output = demo.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{errors}");
    assert!(told.contains("✓") && !told.contains("✗"), "{told}");
    assert!(!told.contains('\x1b'), "it is quiet where nobody looks");
    for secret in ["maya.token", "dana.token", "orders-ro.password"] {
        let secret = fs::read_to_string(home.join(secret)).unwrap();
        assert!(!told.contains(secret.trim()));
    }
    for name in ["hallpass.toml", "hallpass.db", "audit"] {
        assert!(home.join(name).exists(), "{name}");
    }
    assert_nothing_is_left(temporary.path());
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing_running() {
    let temporary = temporary();
    let mut demo = demo(temporary.path(), &[]);
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let slow = lines.find(|line| line.as_ref().is_ok_and(|l| l.contains("pg_sleep(30)")));
    assert!(slow.is_some(), "{}", rest(&mut demo));
    kill(Pid::from_raw(demo.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let status = demo.wait().unwrap();
    assert_eq!(status.code(), Some(130), "{}", rest(&mut demo));
    assert_nothing_is_left(temporary.path());
}

/// What it said on standard error.
fn rest(demo: &mut Child) -> String {
    let mut text = String::new();
    if let Some(mut stderr) = demo.stderr.take() {
        stderr.read_to_string(&mut text).unwrap();
    }
    text
}
