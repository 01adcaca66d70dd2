//! Statements too long for one record: in parts, nothing cut.

use hallpass::secret::{hex, sha256};

use super::Witnessed;
use crate::support::raw_client::{RawClient, SYNC, execute, query};

const MEBIBYTE: usize = 1 << 20;

#[tokio::test]
async fn a_statement_of_a_mebibyte_is_recorded_whole_with_its_hash() {
    let world = Witnessed::start().await;
    let mut client = RawClient::login(&world.login).await;
    let padding: String = (0..MEBIBYTE)
        .map(|i| char::from(b'a' + (i % 26) as u8))
        .collect();
    let sql = format!("select length('{padding}') -- the end");
    let simple = query(&sql);
    client.query(&sql).await;

    // As an extended query, and as a parameter.
    client.send(&[&execute(&sql, &[])[..], SYNC].concat()).await;
    client.until(b'Z').await;
    let bound = execute("select length($1)", &[&padding]);
    client.send(&[&bound[..], SYNC].concat()).await;
    client.until(b'Z').await;
    client.hang_up().await;

    let ledger = world.check(3).await;
    let texts: Vec<&str> = ledger.statements.iter().map(|s| &*s.sql).collect();
    assert_eq!(texts, [&*sql, &*sql, "select length($1)"]);
    let mut messages: Vec<_> = ledger.messages.iter().collect();
    messages.sort_by_key(|(place, _)| place.1);
    let kinds: Vec<&str> = messages.iter().map(|(_, m)| &*m.kind).collect();
    assert_eq!(kinds, ["Query", "Parse", "Bind"]);
    assert!(
        messages.iter().all(|(_, m)| m.parts >= 16),
        "in bounded pieces"
    );
    assert_eq!(messages[0].1.body, simple[5..]);
    let longest = String::from_utf8_lossy(&messages[2].1.body);
    assert!(longest.contains(&padding));
    let hash = hex(&sha256(&simple[5..]));
    let audit = world.hallpass.folder().join("data/audit");
    let found = std::fs::read_dir(audit).unwrap().any(|file| {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        text.contains(&hash)
    });
    assert!(found, "the hash is in the last part");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_recorded_as_they_came() {
    let world = Witnessed::start().await;
    let mut client = RawClient::login(&world.login).await;
    client.query("set client_encoding = 'LATIN1'").await;
    let mut latin = query("select 'caf?'").to_vec();
    let place = latin.iter().position(|&byte| byte == b'?').unwrap();
    latin[place] = 0xe9;
    client.send(&latin).await;
    client.until(b'Z').await;
    let hostile = "select 'line\none', '{\"type\":\"stopped\"}', '\u{1b}[31m\u{202e}\u{7f}' -- \r";
    client.query("set client_encoding = 'UTF8'").await;
    client.query(hostile).await;
    client.hang_up().await;

    let records = world.hallpass.records();
    let raw = records.iter().find_map(|record| match &record.event {
        hallpass::audit::Event::StatementStarted { sql: Some(sql), .. } => {
            sql.0.starts_with(b"select 'caf").then(|| sql.0.clone())
        }
        _ => None,
    });
    assert_eq!(&raw.unwrap()[..], b"select 'caf\xe9'");
    assert!(world.hallpass.statements().contains(&hostile.to_owned()));
    // One line a record: nothing that a client says begins another.
    let audit = world.hallpass.folder().join("data/audit");
    let only = audit.join("00000000000000000001.jsonl");
    let text = std::fs::read_to_string(only).unwrap();
    for (line, seq) in text.split_terminator('\n').zip(1u64..) {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["seq"], seq);
    }
}
