//! The embedded store keeps what it is given, and refuses what is not its own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::{Act, Filter, Sqlite, Store, StoreError, Visible};
use crate::access::{
    AccessRequest, Hold, RequestId, RequestState, Session, SessionId, SessionState,
};
use crate::audit::Event;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn act(n: i64) -> Act {
    Act {
        at: at(n),
        event: Event::Stopped,
    }
}

pub(super) fn request(n: u64, requester: &str, target: &str) -> AccessRequest {
    AccessRequest {
        id: RequestId::from_random(n),
        requester: requester.parse().unwrap(),
        target: target.parse().unwrap(),
        duration: Duration::from_secs(60),
        reason: "it's \"urgent\"; \u{1f525}".into(),
        created_at: at(i64::try_from(n).unwrap()),
        lapses_at: at(1000),
        state: RequestState::Pending,
    }
}

pub(super) fn approved(request: &AccessRequest, now: i64) -> (AccessRequest, Session) {
    let id = SessionId::from_random(u64::try_from(now).unwrap());
    let dana = "dana".parse().unwrap();
    request.clone().approve(dana, None, id, at(now)).unwrap()
}

pub(super) fn temporary() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hallpass.db");
    (dir, path)
}

async fn with_session(store: &Sqlite, n: u64) -> (AccessRequest, Session) {
    let pending = request(n, "maya", "orders-ro");
    store.insert_request(&pending, &act(1)).await.unwrap();
    let (granted, session) = approved(&pending, 10);
    let kept = store
        .transition_request(&pending, &granted, Some(&session), &act(2))
        .await;
    kept.unwrap();
    (granted, session)
}

#[tokio::test]
async fn everything_reads_back_as_it_was_after_a_restart() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    let (granted, session) = with_session(&store, 1).await;
    drop(store);
    let store = Sqlite::open(&path).unwrap();
    assert_eq!(store.request(granted.id).await.unwrap().unwrap(), granted);
    assert_eq!(store.session(session.id).await.unwrap().unwrap(), session);
    let outbox = store.outbox().await.unwrap();
    assert_eq!(outbox, [(1, act(1)), (2, act(2))]);
    store.outbox_done(1).await.unwrap();
    assert_eq!(store.outbox().await.unwrap(), [(2, act(2))]);
    let unknown = store.request(RequestId::from_random(9)).await;
    assert_eq!(unknown.unwrap(), None);
}

#[tokio::test]
async fn a_change_from_an_old_state_is_refused_and_leaves_nothing_behind() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    let (granted, session) = with_session(&store, 1).await;
    let pending = request(1, "maya", "orders-ro");
    let (again, mut second) = approved(&pending, 20);
    second.id = SessionId::from_random(2);
    let late = store
        .transition_request(&pending, &again, Some(&second), &act(3))
        .await;
    assert!(matches!(late, Err(StoreError::Conflict(now)) if now == "approved"));

    let ended = session.clone().expire(at(100)).unwrap();
    store
        .transition_session(&session, &ended, &act(4))
        .await
        .unwrap();
    let revived = store.transition_session(&session, &session, &act(5)).await;
    assert!(matches!(revived, Err(StoreError::Conflict(now)) if now == "expired"));
    assert_eq!(store.request(granted.id).await.unwrap().unwrap(), granted);
    assert_eq!(store.session(second.id).await.unwrap(), None);
    let kept: Vec<_> = store
        .outbox()
        .await
        .unwrap()
        .into_iter()
        .map(|(_, act)| act)
        .collect();
    assert_eq!(kept, [act(1), act(2), act(4)]);
    let absent = store
        .transition_request(&request(7, "a", "b"), &again, None, &act(6))
        .await;
    assert!(matches!(absent, Err(StoreError::Missing)));
}

#[tokio::test]
async fn a_second_live_session_is_refused_until_the_first_is_over() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    let (_, first) = with_session(&store, 1).await;
    let pending = request(2, "maya", "orders-ro");
    store.insert_request(&pending, &act(3)).await.unwrap();
    let (granted, second) = approved(&pending, 20);
    let refused = store
        .transition_request(&pending, &granted, Some(&second), &act(4))
        .await;
    assert!(matches!(refused, Err(StoreError::LiveSession(live)) if *live == first));
    assert_eq!(store.request(pending.id).await.unwrap().unwrap(), pending);

    let ended = first
        .clone()
        .revoke("maya".parse().unwrap(), "", at(30))
        .unwrap();
    store
        .transition_session(&first, &ended, &act(5))
        .await
        .unwrap();
    store
        .transition_request(&pending, &granted, Some(&second), &act(6))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_database_itself_knows_that_one_live_session_is_enough() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    let (_, mut session) = with_session(&store, 1).await;
    store
        .insert_request(&request(2, "maya", "orders-ro"), &act(3))
        .await
        .unwrap();
    drop(store);
    session.id = SessionId::from_random(99);
    session.request = RequestId::from_random(2);
    let raw = rusqlite::Connection::open(&path).unwrap();
    super::rows::insert_session(&raw, &session).unwrap_err();
    session.state = SessionState::Expired { at: at(70) };
    super::rows::insert_session(&raw, &session).unwrap();
}

#[tokio::test]
async fn a_hold_is_kept_until_it_is_released_and_there_is_one_of_a_session() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    let (_, session) = with_session(&store, 1).await;
    let hold = |n: u64, by: &str| Hold {
        session: SessionId::from_random(n),
        by: by.parse().unwrap(),
        at: at(40),
        reason: "a lawyer's letter".into(),
    };
    let kept = hold(10, "iris");
    assert_eq!(kept.session, session.id);
    store.place_hold(&kept, &act(3)).await.unwrap();
    let second = store.place_hold(&hold(10, "dana"), &act(4)).await;
    assert!(matches!(second, Err(StoreError::Conflict(_))));
    let unknown = store.place_hold(&hold(11, "iris"), &act(5)).await;
    assert!(matches!(unknown, Err(StoreError::Missing)));
    drop(store);

    let store = Sqlite::open(&path).unwrap();
    let held = || async { store.holds().await.unwrap() };
    assert_eq!(held().await, [(kept, session.clone())]);
    store.release_hold(session.id, &act(6)).await.unwrap();
    assert_eq!(held().await, []);
    let again = store.release_hold(session.id, &act(7)).await;
    assert!(matches!(again, Err(StoreError::Missing)));
    let acts = store.outbox().await.unwrap();
    let acts: Vec<Act> = acts.into_iter().map(|(_, act)| act).collect();
    assert_eq!(acts, [act(1), act(2), act(3), act(6)]);
}

#[tokio::test]
async fn a_store_of_before_there_were_holds_goes_on() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    let (_, session) = with_session(&store, 1).await;
    drop(store);
    let raw = rusqlite::Connection::open(&path).unwrap();
    let later = ["audit_hold", "recovery_code", "account", "api_token"];
    for table in later {
        raw.execute_batch(&format!("DROP TABLE {table}")).unwrap();
    }
    raw.execute_batch("PRAGMA user_version = 1").unwrap();
    drop(raw);
    let store = Sqlite::open(&path).unwrap();
    assert_eq!(store.holds().await.unwrap(), []);
    assert_eq!(store.session(session.id).await.unwrap(), Some(session));
}

#[tokio::test]
async fn lists_show_the_newest_first_and_only_what_may_be_seen() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    for (n, who, target) in [
        (1, "maya", "a"),
        (2, "noor", "b"),
        (3, "noor", "c"),
        (4, "maya", "b"),
    ] {
        store
            .insert_request(&request(n, who, target), &act(1))
            .await
            .unwrap();
    }
    let old = request(3, "noor", "c");
    let denied = old
        .clone()
        .deny("dana".parse().unwrap(), "no", at(9))
        .unwrap();
    store
        .transition_request(&old, &denied, None, &act(2))
        .await
        .unwrap();
    let found = async |filter: Filter| -> Vec<RequestId> {
        let found = store.requests(&filter).await.unwrap();
        found.into_iter().map(|request| request.id).collect()
    };
    let ids =
        |wanted: &[u64]| -> Vec<_> { wanted.iter().map(|&n| RequestId::from_random(n)).collect() };
    assert_eq!(found(Filter::default()).await, ids(&[4, 3, 2, 1]));
    let visible = |who: &str, targets: &[&str]| Visible {
        principal: who.parse().unwrap(),
        targets: targets.iter().map(|name| name.parse().unwrap()).collect(),
    };
    let filter = |open_only, visible, limit| Filter {
        open_only,
        visible: Some(visible),
        limit,
    };
    assert_eq!(
        found(filter(false, visible("noor", &[]), None)).await,
        ids(&[3, 2])
    );
    assert_eq!(
        found(filter(true, visible("noor", &[]), None)).await,
        ids(&[2])
    );
    assert_eq!(
        found(filter(false, visible("dana", &["b", "c"]), Some(2))).await,
        ids(&[4, 3])
    );
    assert_eq!(
        found(filter(false, visible("sam", &[]), None)).await,
        ids(&[])
    );
}

#[tokio::test]
async fn what_is_due_is_found_with_the_next_time_to_look() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    let (_, session) = with_session(&store, 1).await;
    let pending = request(2, "noor", "orders-ro");
    store.insert_request(&pending, &act(3)).await.unwrap();
    let early = store.due(at(69)).await.unwrap();
    assert!(early.sessions.is_empty() && early.requests.is_empty());
    assert_eq!(early.next, Some(at(70)));
    let due = store.due(at(70)).await.unwrap();
    assert_eq!((due.sessions, due.next), (vec![session], Some(at(1000))));
    let due = store.due(at(1000)).await.unwrap();
    assert_eq!((due.requests, due.next), (vec![pending], None));
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
        store
            .insert_request(&request(n, "maya", "orders-ro"), &act(1))
            .await
            .unwrap();
    }
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[4096..half].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    assert!(refusal(&path).contains("damaged"));
}
