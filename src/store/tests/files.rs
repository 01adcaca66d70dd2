//! Files: those of before, those of others, those that are broken.

use super::*;

#[tokio::test]
async fn a_store_of_before_there_were_holds_goes_on() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    let (_, session) = with_session(&store, 1).await;
    drop(store);
    let raw = rusqlite::Connection::open(&path).unwrap();
    let later = [
        "audit_hold",
        "recovery_code",
        "account",
        "api_token",
        "notice_channel",
        "notice_outbox",
        "notice_place",
    ];
    for table in later {
        raw.execute_batch(&format!("DROP TABLE {table}")).unwrap();
    }
    raw.execute_batch(&format!("{WITHOUT_STAGES} PRAGMA user_version = 1"))
        .unwrap();
    drop(raw);
    let store = Sqlite::open(&path).unwrap();
    assert_eq!(store.holds().await.unwrap(), []);
    assert_eq!(store.session(session.id).await.unwrap(), Some(session));
}

/// Back to the schema of before there were stages, reviews and delegations.
const WITHOUT_STAGES: &str = "DROP TABLE kept_answer; 
    DROP TABLE review; DROP TABLE delegation;
    DROP INDEX access_request_escalates; DROP INDEX access_request_waiting;
    DROP INDEX session_scheduled; DROP INDEX access_request_extends;
    DROP INDEX session_one_active; DROP INDEX session_of_holder;
    CREATE UNIQUE INDEX session_one_live ON session (principal, target)
        WHERE state IN ('scheduled', 'active');
    ALTER TABLE access_request DROP COLUMN kind;
    ALTER TABLE access_request DROP COLUMN extends;
    ALTER TABLE access_request DROP COLUMN ticket;
    ALTER TABLE access_request DROP COLUMN starts_at;
    ALTER TABLE access_request DROP COLUMN circumstances;
    ALTER TABLE access_request DROP COLUMN chain;
    ALTER TABLE access_request DROP COLUMN escalates_at;
    ALTER TABLE access_request DROP COLUMN version;
    ALTER TABLE session DROP COLUMN version;";

#[tokio::test]
async fn a_store_of_before_there_were_stages_goes_on_with_what_waits_in_it() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    let (granted, session) = with_session(&store, 1).await;
    let pending = request(2, "noor", "orders-ro");
    store.commit(&submits(&pending, 3)).await.unwrap();
    drop(store);
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch(&format!("{WITHOUT_STAGES} PRAGMA user_version = 4"))
        .unwrap();
    drop(raw);
    let store = Sqlite::open(&path).unwrap();
    let old = store.request(granted.id).await.unwrap().unwrap();
    assert_eq!(old.state, granted.state);
    let waits = store.request(pending.id).await.unwrap().unwrap();
    assert_eq!((waits.version, waits.kind), (1, RequestKind::Session));
    let (granted, second) = approved(&waits, 20);
    let kept = store.commit(&grants((&granted, &second), 4)).await;
    kept.unwrap();
    let ended = session.expire(at(100)).unwrap();
    let moved = Session {
        version: 2,
        ..ended
    };
    store.commit(&moves(&moved, 5)).await.unwrap();
}

#[tokio::test]
async fn the_file_and_its_side_files_are_for_their_owner_alone() {
    let (dir, path) = temporary();
    std::fs::write(&path, b"").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = Sqlite::open(&path).unwrap();
    with_session(&store, 1).await;
    let mut files = 0;
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        files += 1;
    }
    assert!(files >= 2, "a write-ahead log is used");
}

fn refusal(path: &Path) -> String {
    match Sqlite::open(path) {
        Err(error @ StoreError::Refused { .. }) => error.to_string(),
        Err(other) => panic!("not refused, but {other}"),
        Ok(_) => panic!("opened"),
    }
}

#[tokio::test]
async fn a_file_that_is_not_our_own_is_refused_with_the_reason() {
    let (dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    assert!(refusal(&path).contains("in use by another process"));
    drop(store);

    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    assert!(refusal(&path).contains("newer hallpass (schema 99"));

    let foreign = dir.path().join("foreign.db");
    let raw = rusqlite::Connection::open(&foreign).unwrap();
    raw.execute_batch("CREATE TABLE other (x)").unwrap();
    drop(raw);
    assert!(refusal(&foreign).contains("not a hallpass store"));

    let text = dir.path().join("text.db");
    std::fs::write(&text, "hello ".repeat(1000)).unwrap();
    assert!(refusal(&text).contains("not an SQLite database"));
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    for n in 1..200 {
        let pending = request(n, &format!("p{n}"), "orders-ro");
        store.commit(&submits(&pending, 1)).await.unwrap();
    }
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[4096..half].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    assert!(refusal(&path).contains("damaged"));
}
