//! `hallpass audit show` and `replay --plain`.

use serde_json::Value;
use tokio_postgres::types::Type;

use super::Recorded;
use crate::support::login::said;

/// A value that would set a terminal's title.
const NAME: &str = "cust\u{1b}]0;x\u{7}omer%";

/// A session with a bit of everything that is told.
async fn session() -> Recorded {
    let recorded = Recorded::start().await;
    let (one, two) = (
        recorded.login().connect().await,
        recorded.login().connect().await,
    );
    let hostile = "select 'a\u{1b}[2J\u{202e}b',\n  count(*)\nfrom orders";
    one.simple_query(hostile).await.unwrap();
    let query = "select name from customers where id = $1 and name like $2";
    two.query_typed(query, &[(&7_i32, Type::INT4), (&NAME, Type::TEXT)])
        .await
        .unwrap();
    assert!(two.simple_query("select * from nothing").await.is_err());
    assert!(one.prepare("selec 1").await.is_err());
    drop((one, two));
    recorded.settle().await;
    recorded.hallpass.revoke(recorded.session()).await;
    recorded
}

#[tokio::test]
async fn a_session_is_told_from_its_request_to_its_end() {
    let recorded = session().await;
    let told = recorded.told(&["show"]);
    for expected in [
        &format!("{}: maya on orders-admin", recorded.session()),
        "for 10m: INC-4312",
        "by dana, for 10m",
        "revoked by dana: the incident is over",
        "Connection 2 opened",
        "to database orders as orders_admin, server process",
        "select 'a\u{fffd}[2J\u{fffd}b',",
        "$1 = 7",
        "$2 = 'cust\u{fffd}]0;x\u{fffd}omer%'",
        "✓ SELECT 1",
        "✗ failed: 42P01 (undefined table)",
        "(only prepared) selec 1",
        "3 statements in 2 connections, 1 failed",
        "Session revoked by dana",
    ] {
        assert!(told.contains(expected), "{expected} in\n{told}");
    }
    assert!(
        !told.contains('\u{1b}') && !told.contains("Not in this log"),
        "{told}"
    );
    let acts = recorded.told(&["show", "--no-statements"]);
    assert!(
        acts.contains("Connection 1 opened") && !acts.contains("select"),
        "{acts}"
    );
    let statements = recorded.told(&["show", "--statements"]);
    assert!(
        !statements.contains("dana") && statements.contains("$1 = 7"),
        "{statements}"
    );
}

#[tokio::test]
async fn as_json_a_session_is_one_document() {
    let recorded = session().await;
    let story: Value = serde_json::from_str(&recorded.told(&["show", "-o", "json"])).unwrap();
    assert_eq!(story["approved"]["by"], "dana");
    assert_eq!(story["ended"]["reason"], "the incident is over");
    assert_eq!(story["totals"]["statements"], 3);
    let statements = story["statements"].as_array().unwrap();
    let bound = statements
        .iter()
        .find(|it| it["parameters"][0]["value"] == "7");
    assert!(bound.is_some());
    assert!(
        statements[0]["sql"].as_str().unwrap().contains('\u{1b}'),
        "as it was"
    );
    assert_eq!(story["missing"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn a_session_is_found_by_its_beginning_and_by_who_had_it() {
    let recorded = session().await;
    let session = recorded.session().to_string();
    let ask = |arguments: &[&str]| recorded.audit(arguments).output().unwrap();
    for arguments in [
        vec!["show", &session[..10]],
        vec!["show", &session[4..9]],
        vec![
            "show",
            "--last",
            "--principal",
            "maya",
            "--target",
            "orders-admin",
        ],
    ] {
        let output = ask(&arguments);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && told.contains(&session),
            "{}",
            said(&output)
        );
    }
    recorded.hallpass.grant("noor", "orders-ro", "10m").await;
    for (arguments, code, says) in [
        (vec!["show", "ses-"], 2, "there are 2"),
        (vec!["show", "ses-000000000000"], 1, &*session),
        (vec!["show", "--last", "--principal", "otto"], 1, "of otto"),
        (vec!["show"], 2, "SESSION"),
        (vec!["replay", &session, "--speed", "100"], 2, "0.25 to 64"),
    ] {
        let output = ask(&arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(told.contains(says), "{told}");
    }
}

#[tokio::test]
async fn without_a_terminal_a_session_is_played_as_lines() {
    let recorded = session().await;
    let told = recorded.told(&["replay", "--no-wait"]);
    let place = |text: &str| {
        told.find(text)
            .unwrap_or_else(|| panic!("{text} in\n{told}"))
    };
    let order = [
        "opened",
        "#1 select 'a",
        "#1   ✓ SELECT 1",
        "42P01",
        "closed",
        "revoked",
    ]
    .map(place);
    assert!(order.is_sorted(), "{told}");
    let lines = recorded.told(&[
        "replay",
        "--max-idle",
        "10ms",
        "--speed",
        "64",
        "-o",
        "json",
    ]);
    let events: Vec<Value> = lines
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let count = |event: &str| events.iter().filter(|it| it["event"] == event).count();
    assert_eq!(count("statement_started"), count("statement_finished"));
    assert_eq!(count("connection_opened"), 2);
}

#[tokio::test]
async fn what_the_log_no_longer_has_is_said() {
    let recorded = session().await;
    let records = recorded.hallpass.records();
    let folder = tempfile::tempdir().unwrap();
    // All but the first records: as if a segment were deleted that has the request.
    let kept = records
        .iter()
        .position(|it| it.event.origin().is_some())
        .unwrap()
        + 1;
    let first = records[kept].seq;
    let lines: Vec<String> = records[kept..]
        .iter()
        .map(|it| serde_json::to_string(it).unwrap())
        .collect();
    let file = folder.path().join(format!("{first:020}.jsonl"));
    std::fs::write(file, lines.join("\n") + "\n").unwrap();
    let from = folder.path().to_str().unwrap();
    let mut command = crate::support::process::Process::command();
    let output = command
        .args(["audit", "show", "--last", "--from", from])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    for expected in [
        &format!("records 1 to {}", first - 1),
        "who asked, and why",
        "who approved, and until when",
        "the beginning of connection 1",
    ] {
        assert!(told.contains(expected), "{expected} in\n{told}");
    }
}
