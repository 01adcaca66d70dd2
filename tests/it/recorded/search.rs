//! The audit is searched, counted, followed and exported as its readers do it: by the command line,
//! on a log that real clients made.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::Witnessed;
use crate::clients::drivers::installed;
use crate::support::login::said;
use crate::support::process::Process;
use crate::support::raw_client::{RawClient, SYNC, execute};

/// Longer than one record of a text: it is in parts.
const LONG: usize = 200_000;

/// A log, while the server that makes it runs.
struct Log {
    world: Witnessed,
    folder: PathBuf,
}

impl Log {
    /// Of what people do, and some that they seldom do.
    async fn made() -> Self {
        let world = Witnessed::start().await;
        let login = &world.login;
        login.ask("create table notes (id int, note text)");
        login.ask("insert into notes select n, 'it''s \"one\"' from generate_series(1, 20) n");
        let missing = login
            .psql()
            .args(["-Xqc", "select * from missing"])
            .output();
        assert!(!missing.unwrap().status.success());
        let mut client = RawClient::login(login).await;
        let long = format!("select length('{}'), 'Needle at the end'", "x".repeat(LONG));
        client.query(&long).await;
        let bound = execute(
            "select $1::text || $2",
            &["bound Straße", &"y".repeat(LONG)],
        );
        client.send(&[&bound[..], SYNC].concat()).await;
        client.until(b'Z').await;
        client.hang_up().await;
        Self::binary(&world).await;
        let folder = world.hallpass.folder().join("data/audit");
        Self { world, folder }
    }

    /// Statements with binary parameters, and one that is prepared long before it is run.
    async fn binary(world: &Witnessed) {
        let client = world.login.connect().await;
        let text = format!(
            "select note from notes where id = $1 -- {}",
            "z".repeat(9000)
        );
        let statement = client.prepare(&text).await.unwrap();
        for id in [7_i32, 8] {
            let rows = client.query(&statement, &[&id]).await.unwrap();
            assert_eq!(rows.len(), 1);
        }
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Output {
        let mut hallpass = self.command(command, arguments);
        hallpass.output().unwrap()
    }

    fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let mut hallpass = Process::command();
        hallpass
            .args(["audit", command, "--from"])
            .arg(&self.folder);
        hallpass.args(arguments).stdin(Stdio::null());
        hallpass
    }

    /// The texts of what is found.
    fn found(&self, arguments: &[&str]) -> Vec<String> {
        let output = self.run("search", &[arguments, &["--output", "json"]].concat());
        let documents = json_lines(&output.stdout);
        let code = output.status.code();
        assert_eq!(
            code,
            Some(i32::from(documents.is_empty())),
            "{}",
            said(&output)
        );
        let text = |document: &Value| document["sql"].as_str().unwrap_or_default().to_owned();
        documents.iter().map(text).collect()
    }
}

fn json_lines(bytes: &[u8]) -> Vec<Value> {
    let lines = std::str::from_utf8(bytes).unwrap().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn statements_are_found_by_what_they_said_did_and_came_to() {
    let log = Log::made().await;
    let one = |arguments: &[&str], start: &str| {
        let found = log.found(arguments);
        assert_eq!(found.len(), 1, "{arguments:?}: {found:.200?}");
        assert!(found[0].starts_with(start), "{:.200}", found[0]);
    };
    one(&["needle at the"], "select length(");
    one(&["Needle", "--in", "sql"], "select length(");
    one(&["x'), 'Needle"], "select length(");
    one(&["bound straße"], "select $1::text");
    one(&["-e", "y{1000}$", "--in", "parameters"], "select $1::text");
    one(&["it''s \"one\"", "--limit", "9"], "insert into notes");
    one(&["--sqlstate", "42*"], "select * from missing");
    one(
        &["--tag", "insert", "--table", "public.notes"],
        "insert into notes",
    );
    one(
        &["--outcome", "failed", "--target", "orders-admin"],
        "select * from missing",
    );
    // The text is in a record of its own, and none of the executions has it.
    assert_eq!(log.found(&["where id = $1", "--rows", ">=1"]).len(), 2);
    assert_eq!(log.found(&["Needle", "--in", "parameters"]), [""; 0]);
    assert_eq!(log.found(&["--until", "1d"]), [""; 0]);
    assert_eq!(log.found(&["--principal", "dana"]), [""; 0]);
    let all = log.found(&[]);
    let mut reversed = log.found(&["--reverse", "--no-index"]);
    reversed.reverse();
    assert_eq!(all, reversed);
    assert_eq!(all.len(), 7, "{all:.100?}");
}

#[tokio::test]
async fn people_and_spreadsheets_get_what_they_can_read() {
    let log = Log::made().await;
    let output = log.run("search", &["--table", "missing"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "TIME",
        "maya",
        "orders-admin",
        "42P01",
        "select * from missing",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let note = String::from_utf8(output.stderr).unwrap();
    assert!(note.contains("1 found; "), "{note}");
    let whole = log.run("search", &["bound Straße", "--full"]);
    let whole = String::from_utf8(whole.stdout).unwrap();
    assert!(
        whole.contains("\n    $1 = 'bound Straße'\n"),
        "{whole:.500}"
    );
    let csv = log.run("search", &["missing", "--output", "csv"]).stdout;
    let csv = String::from_utf8(csv).unwrap();
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert!(lines[0].starts_with("seq,at,principal,"), "{csv}");
    assert!(lines[1].contains(",failed,42P01,"), "{csv}");
    for wrong in [
        &["--since", "soon"][..],
        &["-e", "("],
        &["--events", "-o", "csv"],
    ] {
        assert_eq!(log.run("search", wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn statistics_count_what_a_search_finds() {
    let log = Log::made().await;
    let output = log.run("stats", &["--by", "table", "--output", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["total"]["statements"], log.found(&[]).len());
    assert_eq!(report["total"]["failures"], 1);
    assert_eq!(report["errors"][0]["sqlstate"], "42P01");
    let groups = report["groups"].as_array().unwrap();
    let notes = groups
        .iter()
        .find(|group| group["name"] == "notes")
        .unwrap();
    assert_eq!(notes["statements"], log.found(&["--table", "notes"]).len());
    let people = log.run("stats", &["--since", "1h"]);
    let people = String::from_utf8(people.stdout).unwrap();
    for part in ["maya orders-admin", "The slowest", "Errors"] {
        assert!(people.contains(part), "{people}");
    }
}

#[tokio::test]
async fn what_is_recorded_is_shown_as_it_comes() {
    let log = Log::made().await;
    let follow = ["-f", "-n", "1", "--output", "json", "--in", "sql", "select"];
    let mut tail = log.command("tail", &follow);
    let mut tail = tail.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert!(
        next()["sql"]
            .as_str()
            .unwrap()
            .starts_with("select note from notes")
    );
    for n in 0..3 {
        log.world.login.ask(&format!("select {n} as shown"));
        let shown = next();
        assert_eq!(shown["sql"], format!("select {n} as shown"));
        assert_eq!(shown["outcome"], "completed");
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
}

#[tokio::test]
async fn exports_are_read_by_other_programs() {
    let log = Log::made().await;
    let dir = tempfile::tempdir().unwrap();
    let export = |format: &str| {
        let file = dir.path().join(format);
        let output = log.run(
            "export",
            &["--format", format, "--to", file.to_str().unwrap()],
        );
        assert!(output.status.success(), "{}", said(&output));
        file
    };
    let jsonl = json_lines(&fs::read(export("jsonl")).unwrap());
    let rows = read_parquet(&export("parquet"));
    assert_eq!(rows.len(), jsonl.len());
    for (row, document) in rows.iter().zip(&jsonl) {
        for column in [
            "seq",
            "principal",
            "session",
            "statement",
            "outcome",
            "rows",
            "sql",
        ] {
            assert_eq!(row[column], document[column], "{column}");
        }
    }
    let events = json_lines(&fs::read(export("ocsf")).unwrap());
    let queries = events.iter().filter(|event| event["activity_id"] != 3);
    assert_eq!(queries.count(), jsonl.len());
    for event in &events {
        assert_eq!(event["src_endpoint"]["ip"], "127.0.0.1", "{event:.300}");
        assert_eq!(event["actor"]["user"]["name"], "maya");
    }
    assert!(events.iter().any(|event| event["status_code"] == "42P01"));
    let again = log.run(
        "export",
        &[
            "--format",
            "csv",
            "--to",
            dir.path().join("jsonl").to_str().unwrap(),
        ],
    );
    assert_eq!(
        again.status.code(),
        Some(2),
        "a file is not replaced unasked"
    );
}

/// The rows of a Parquet file, as Apache Arrow reads them.
fn read_parquet(file: &Path) -> Vec<Value> {
    let script = "import sys, json, pyarrow.parquet as p\n\
        for row in p.read_table(sys.argv[1]).to_pylist(): print(json.dumps(row, default=str))";
    let python = installed().join("python/bin/python");
    let output = Command::new(python)
        .args(["-c", script])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    json_lines(&output.stdout)
}
