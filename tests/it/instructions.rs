//! What a statement costs in instructions, which, other than time, are the same on a busy machine:
//! this test runs itself under callgrind.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use hallpass::access::{ConnectionId, SessionId};
use hallpass::audit::{
    CommandResult, Event, Origin, Outcome, Recorder, Settings, SigningKey, StatementKind, Text,
};
use hallpass::clock::Clock;
use hallpass::pg::statements::Tracker;
use hallpass::telemetry::Metrics;

/// How many statements to run; set by the test for itself.
const STATEMENTS: &str = "HALLPASS_TEST_STATEMENTS";
/// Instructions of one statement at most, without optimisation: a third more than it had when this
/// was written. A parse, a copy or a lock more each time is seen.
const MOST: u64 = 400_000;

#[test]
fn a_statement_is_tracked_and_recorded_in_so_many_instructions() {
    #[expect(clippy::disallowed_methods, reason = "it was set by the test itself")]
    let statements = std::env::var(STATEMENTS);
    if let Ok(statements) = statements {
        run(statements.parse().unwrap());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (few, many) = (200, 600);
    let counted = [few, many].map(|count| instructions(dir.path(), count));
    let each = (counted[1] - counted[0]) / (many - few);
    eprintln!("{each} instructions for a statement, without optimisation");
    assert!(each < MOST, "{each} instructions for a statement");
}

/// The instructions of a run of so many statements.
fn instructions(folder: &Path, statements: u64) -> u64 {
    let this = module_path!().split_once("::").unwrap().1;
    let name = format!("{this}::a_statement_is_tracked_and_recorded_in_so_many_instructions");
    let ran = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}/out", folder.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--test-threads", "1"])
        .env(STATEMENTS, statements.to_string())
        .output()
        .expect("valgrind is installed (scripts/install-deps test)");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let count = collected.unwrap_or_else(|| panic!("{said}")).1;
    count.trim().parse().unwrap()
}

/// Statements as a connection has them, one after the other: looked at, recorded, answered.
fn run(statements: u64) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let settings = Settings::new(dir.path().to_owned(), SigningKey::generate());
        let metrics = Arc::new(Metrics::new());
        let (recorder, writer) = Recorder::start(&settings, Clock::system(), metrics).unwrap();
        connection(&recorder, statements).await;
        drop(recorder);
        writer.await.unwrap();
    });
}

async fn connection(recorder: &Recorder, statements: u64) {
    let origin = Arc::new(Origin::new(
        ConnectionId::from_random(1),
        SessionId::from_random(1),
        "maya".parse().unwrap(),
        "orders-ro".parse().unwrap(),
        "orders".to_owned(),
    ));
    let query = message(
        b'Q',
        b"SELECT abalance FROM pgbench_accounts WHERE aid = 4711;\0",
    );
    let row = message(b'D', &[0, 1, 0, 0, 0, 1, b'0']);
    let end = [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat();
    let answer = [row, end].concat();
    let (mut tracker, mut facts) = (Tracker::new(), Vec::new());
    let (mut pen, mut batch) = (recorder.pen(), recorder.batch());
    for statement in 1..=statements {
        let now = tokio::time::Instant::now();
        tracker.sent(&query, now, &mut facts);
        assert_eq!(facts.drain(..).count(), 1);
        recorder.begin_anew(&mut batch);
        batch.push(&started(&origin, statement));
        pen.commit(&batch, Instant::now());
        std::future::poll_fn(|cx| pen.poll(cx)).await.unwrap();
        tracker.received(&answer, &mut facts).unwrap();
        assert_eq!(facts.drain(..).count(), 1);
        recorder.begin_anew(&mut batch);
        batch.push(&finished(&origin, statement));
        assert!(recorder.note_now(&batch));
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

fn started(origin: &Arc<Origin>, statement: u64) -> Event {
    Event::StatementStarted {
        origin: Arc::clone(origin),
        statement,
        kind: StatementKind::Simple,
        name: None,
        portal: None,
        types: Vec::new(),
        sql: Some(Text::from(
            "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;",
        )),
        prepared: None,
        bound: None,
        parameters: Vec::new(),
        function: None,
        parts: 0,
    }
}

fn finished(origin: &Arc<Origin>, statement: u64) -> Event {
    Event::StatementFinished {
        origin: Arc::clone(origin),
        statement,
        outcome: Outcome::Completed,
        results: vec![CommandResult {
            tag: Text::from("SELECT 1"),
        }],
        sqlstate: None,
        rows: 1,
        bytes: 37,
        copies: Vec::new(),
        microseconds: 123,
    }
}
