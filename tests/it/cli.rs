//! The command line, as a process: against a stand-in for the server and for psql, where it is
//! about the command line alone, and against the real ones.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use axum::routing::{get, post};
use axum::{Json, Router};
use hallpass::http::types::RequestView;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::hallpass::{Setup, token};
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::wait;

const HALLPASS: &str = env!("CARGO_BIN_EXE_hallpass");
const REQUEST: &str = "req-4m0t8z1kqc7e";
const SESSION: &str = "ses-4m0t8z1kqc7e";
const PASSWORD: &str = "s3cret-of-the-session";

/// A server that answers with fixed documents, on a runtime of its own.
struct StandIn {
    url: String,
    _runtime: tokio::runtime::Runtime,
}

impl StandIn {
    fn serve(router: Router) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            url,
            _runtime: runtime,
        }
    }

    /// One session of maya for orders-ro, and one of somebody else.
    fn with_a_session() -> Self {
        let secret = json!({
            "session": SESSION, "host": "localhost", "port": 6432, "user": "maya~orders-ro",
            "database": "orders", "password": PASSWORD, "sslmode": "verify-full",
            "ca_certificate": "-----BEGIN CERTIFICATE-----\n", "expires_at": "2099-01-01T00:00:00Z",
        });
        let sessions = json!([
            session("ses-000000000000", "otto", "orders-ro"),
            session(SESSION, "maya", "orders-ro"),
        ]);
        Self::serve(
            Router::new()
                .route(
                    "/api/v1/whoami",
                    fixed(json!({"name": "maya", "groups": []})),
                )
                .route("/api/v1/sessions", fixed(sessions))
                .route(
                    "/api/v1/requests",
                    fixed(json!([request("pending", &json!({}))])),
                )
                .route(
                    &format!("/api/v1/sessions/{SESSION}/secret"),
                    post(|| async { Json(secret) }),
                ),
        )
    }

    /// A request that is pending at first and `state` when one asks again.
    fn with_a_request(state: &str, more: &Value) -> Self {
        let decided = request(state, more);
        let pending = request("pending", &json!({}));
        Self::serve(
            Router::new()
                .route("/api/v1/requests", post(|| async { Json(pending) }))
                .route(&format!("/api/v1/requests/{REQUEST}"), fixed(decided)),
        )
    }
}

fn fixed(document: Value) -> axum::routing::MethodRouter {
    get(move || async { Json(document) })
}

fn request(state: &str, more: &Value) -> Value {
    let mut request = json!({
        "id": REQUEST, "requester": "maya", "target": "orders-admin", "duration": "30m",
        "reason": "INC-1", "created_at": "2026-01-01T00:00:00Z",
        "lapses_at": "2026-01-01T01:00:00Z", "state": state, "may_decide": false,
    });
    let fields = more.as_object().unwrap().clone();
    request.as_object_mut().unwrap().extend(fields);
    request
}

fn session(id: &str, principal: &str, target: &str) -> Value {
    json!({
        "id": id, "request": REQUEST, "principal": principal, "target": target, "reason": "INC-1",
        "approved_by": "dana", "starts_at": "2026-01-01T00:00:00Z",
        "expires_at": "2099-01-01T00:00:00Z", "state": "active", "connections": 0,
    })
}

/// A folder to run in, which is home and PATH too, with a `psql` that does `script`.
fn home(script: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let psql = home.path().join("psql");
    fs::write(&psql, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&psql, Permissions::from_mode(0o755)).unwrap();
    home
}

fn hallpass(server: &StandIn, home: &Path, line: &str) -> Command {
    let mut command = Command::new(HALLPASS);
    command
        .args(line.split(' '))
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .env("TMPDIR", home)
        .env("PATH", format!("{}:/usr/bin:/bin", home.display()))
        .env("HALLPASS_URL", &server.url)
        .env("HALLPASS_TOKEN", "hpt_test")
        .stdin(Stdio::null());
    command
}

fn run(server: &StandIn, line: &str) -> Output {
    hallpass(server, home("exit 0").path(), line)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn connect_gives_psql_the_secret_by_its_environment_and_ends_with_its_code() {
    let server = StandIn::with_a_session();
    let home = home("env > seen; echo \"$@\" > arguments; cat \"$PGSSLROOTCERT\" > ca; exit 7");
    let mut connect = hallpass(&server, home.path(), "connect orders-ro -- -d other");
    let output = connect.env("PGHOSTADDR", "192.0.2.1").output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    let seen = fs::read_to_string(home.path().join("seen")).unwrap();
    for line in [
        "PGHOST=localhost",
        "PGPORT=6432",
        "PGUSER=maya~orders-ro",
        "PGDATABASE=orders",
        "PGSSLMODE=verify-full",
        &format!("PGPASSWORD={PASSWORD}"),
    ] {
        assert!(seen.lines().any(|found| found == line), "{line}\n{seen}");
    }
    assert!(!seen.contains("PGHOSTADDR"), "it would lead elsewhere");
    let arguments = fs::read_to_string(home.path().join("arguments")).unwrap();
    assert_eq!(arguments, "-d other\n");
    let ca = fs::read_to_string(home.path().join("ca")).unwrap();
    assert!(ca.starts_with("-----BEGIN"), "{ca}");
    assert!(!(text(&output.stdout) + &text(&output.stderr)).contains(PASSWORD));
}

#[test]
fn the_certificate_that_psql_is_given_is_gone_afterwards() {
    let server = StandIn::with_a_session();
    let home = home("echo \"$PGSSLROOTCERT\" > ca");
    let status = hallpass(&server, home.path(), "connect orders-ro").status();
    assert!(status.unwrap().success());
    let ca = fs::read_to_string(home.path().join("ca")).unwrap();
    assert!(!Path::new(ca.trim()).exists(), "{ca}");
}

#[test]
fn ctrl_c_ends_what_psql_does_and_hallpass_waits_for_psql() {
    let server = StandIn::with_a_session();
    let home = home("trap 'echo cancelled; exit 5' INT; echo ready; while :; do sleep 0.05; done");
    let mut connect = hallpass(&server, home.path(), "connect orders-ro");
    let mut child = connect
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let group = Pid::from_raw(child.id().try_into().unwrap());
    // A terminal sends it to the whole group.
    killpg(group, Signal::SIGINT).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "cancelled");
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn a_session_that_is_asked_to_end_ends_psql_too() {
    let server = StandIn::with_a_session();
    let home = home("trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done");
    let mut connect = hallpass(&server, home.path(), "connect orders-ro");
    let mut child = connect.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let hallpass = Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(hallpass, Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn without_psql_one_is_told_how_to_get_it() {
    let server = StandIn::with_a_session();
    let empty = tempfile::tempdir().unwrap();
    let mut connect = hallpass(&server, empty.path(), "connect orders-ro");
    let output = connect.env("PATH", empty.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("apt install postgresql-client"));
}

#[test]
fn connect_without_a_session_names_the_request_that_waits() {
    let server = StandIn::with_a_session();
    let output = run(&server, "connect orders-admin");
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("no live session for orders-admin"), "{told}");
    assert!(told.contains(REQUEST), "{told}");
}

#[test]
fn connect_print_is_ready_to_paste_and_the_certificate_stays() {
    let server = StandIn::with_a_session();
    let home = home("exit 0");
    let output = hallpass(&server, home.path(), "connect orders-ro --print").output();
    let printed = text(&output.unwrap().stdout);
    assert!(printed.contains("jdbc:postgresql://localhost:6432/orders?user=maya~orders-ro"));
    let ca = home.path().join(".config/hallpass/localhost_6432.crt");
    assert!(printed.contains(&ca.display().to_string()), "{printed}");
    assert!(fs::read_to_string(ca).unwrap().starts_with("-----BEGIN"));
}

#[test]
fn waiting_for_an_approval_succeeds_only_if_it_comes() {
    let line = "request orders-admin --for 30m --reason INC-1 --wait";
    let by = json!({"by": "dana", "at": "2026-01-01T00:01:00Z", "session": SESSION});
    let approved = run(&StandIn::with_a_request("approved", &by), line);
    assert_eq!(
        approved.status.code(),
        Some(0),
        "{}",
        text(&approved.stderr)
    );
    assert!(text(&approved.stdout).contains("hallpass connect orders-admin"));
    let lapsed = json!({"at": "2026-01-01T01:00:00Z"});
    let lapsed = run(&StandIn::with_a_request("lapsed", &lapsed), line);
    assert_eq!(lapsed.status.code(), Some(1));
    assert!(text(&lapsed.stderr).contains("lapsed"));
}

#[test]
fn json_is_one_value_and_nothing_else() {
    let server = StandIn::with_a_session();
    for line in ["whoami", "sessions", "requests", "connect orders-ro"] {
        let output = run(&server, &format!("{line} --output json"));
        serde_json::from_slice::<Value>(&output.stdout).unwrap();
        assert_eq!(text(&output.stderr), "");
    }
}

#[test]
fn tables_are_plain_text_where_nobody_looks() {
    let server = StandIn::with_a_session();
    let printed = text(&run(&server, "sessions").stdout);
    assert!(!printed.contains('\x1b'), "{printed:?}");
    let lines: Vec<&str> = printed.lines().collect();
    assert!(
        lines[0].starts_with("SESSION") && lines[2].contains(SESSION),
        "{printed}"
    );
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let server = StandIn::with_a_session();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = hallpass(&server, Path::new("/"), "completions bash");
    let output = command
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(text(&output.stderr), "");
}

/// The command line as `person`, against a real server.
fn speaking_as(server: &Process, person: &str, line: &[&str]) -> Command {
    let mut command = Process::command();
    command
        .args(line)
        .env("HOME", server.folder())
        .env("HALLPASS_URL", format!("http://{}", server.api))
        .env("HALLPASS_TOKEN", token(person))
        .stdin(Stdio::null());
    command
}

fn id(printed: &str, prefix: &str) -> String {
    let mut words = printed.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.find(|word| word.starts_with(prefix)).unwrap().into()
}

#[tokio::test]
async fn a_session_goes_its_whole_way_by_the_command_line_alone() {
    let cluster = Cluster::start();
    let server = Process::start(Setup::new(&cluster)).await;
    let done = |person, line: &[&str]| {
        let output = speaking_as(&server, person, line).output().unwrap();
        assert!(
            output.status.success(),
            "{line:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    };
    let targets = done("maya", &["targets"]);
    assert!(targets.contains("orders-ro"), "{targets}");
    let asked = ["request", "orders-ro", "--for", "10m", "--reason", "INC-1"];
    let request = id(&done("maya", &asked), "req-");
    assert!(done("dana", &["requests"]).contains(&request));
    let granted = done("dana", &["approve", &request, "--for", "5m"]);
    let session = id(&granted, "ses-");
    let answer = done(
        "maya",
        &["connect", "orders-ro", "--", "-Atc", "select 6 * 7"],
    );
    assert_eq!(answer, "42\n");
    assert!(done("dana", &["sessions"]).contains(&session));
    done("dana", &["revoke", &session, "--reason", "over"]);
    let listed = done("maya", &["sessions", "--all"]);
    assert!(
        listed.contains("revoked") && listed.contains("by dana"),
        "{listed}"
    );
    let refused = speaking_as(&server, "maya", &["connect", "orders-ro"]).output();
    assert_eq!(refused.unwrap().status.code(), Some(1));
}

#[tokio::test]
async fn whoever_waits_is_told_of_a_denial_and_why() {
    let cluster = Cluster::start();
    let server = Process::start(Setup::new(&cluster)).await;
    let asked = [
        "request",
        "orders-ro",
        "--for",
        "10m",
        "--reason",
        "INC-1",
        "--wait",
    ];
    let waiting = speaking_as(&server, "maya", &asked)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let request = wait::until_some("a request", Duration::from_secs(10), || async {
        let requests: Vec<RequestView> = server
            .call("dana", Method::GET, "/requests", ())
            .await
            .ok()?;
        Some(requests.first()?.id.to_string())
    })
    .await;
    let deny = ["deny", &request, "--reason", "use the replica"];
    assert!(
        speaking_as(&server, "dana", &deny)
            .status()
            .unwrap()
            .success()
    );
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("denied by dana: use the replica"), "{told}");
    let listed = speaking_as(&server, "maya", &["requests", "--all"]).output();
    assert!(text(&listed.unwrap().stdout).contains("use the replica"));
}

#[test]
fn a_request_that_changed_since_it_was_shown_is_shown_again_and_not_decided() {
    let denied = json!({
        "state": "denied", "by": "lee", "at": "2026-01-01T00:10:00Z",
        "denial_reason": "use the replica", "version": 2,
    });
    let now = request("denied", &denied);
    let changed = json!({"status": 412, "code": "changed", "detail": "it is in version 2 now"});
    let refuse = |headers: axum::http::HeaderMap| async move {
        assert_eq!(headers["if-match"], "\"1\"");
        (axum::http::StatusCode::PRECONDITION_FAILED, Json(changed))
    };
    let server = StandIn::serve(
        Router::new()
            .route(&format!("/api/v1/requests/{REQUEST}/approve"), post(refuse))
            .route(&format!("/api/v1/requests/{REQUEST}"), fixed(now)),
    );
    let output = run(&server, &format!("approve {REQUEST} --if-version 1"));
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let told = text(&output.stderr);
    for part in [
        "it changed since you looked: it is denied",
        "by lee: use the replica",
        "Version    2",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let usage = run(&server, &format!("approve {REQUEST} --if-version none"));
    assert_eq!(usage.status.code(), Some(2));
}
