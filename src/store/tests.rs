//! The embedded store keeps what it is given, and refuses what is not its own.

mod files;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::{Act, Change, Delegations, Filter, Reviews, Sqlite, Store, StoreError, Visible, Write};
use crate::access::{
    AccessRequest, Approver, Caller, Chain, Circumstances, Delegation, Hold, Principal,
    PrincipalKind, PrincipalName, RequestId, RequestKind, RequestState, Review, Session, SessionId,
    SessionState,
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
        kind: RequestKind::Session,
        extends: None,
        ticket: Some("INC-7".into()),
        starts_at: Some(at(5)),
        circumstances: Circumstances {
            mfa: true,
            address: Some([192, 0, 2, 1].into()),
            extensions: Some(1),
            before: Some(Duration::from_millis(1_500)),
        },
        created_at: at(i64::try_from(n).unwrap()),
        lapses_at: at(1000),
        chain: Chain::begin(&[], at(3)),
        state: RequestState::Pending,
        version: 1,
    }
}

fn principal(name: &str) -> Principal {
    Principal {
        name: name.parse().unwrap(),
        groups: Vec::new(),
        kind: PrincipalKind::Person,
    }
}

pub(super) fn approved(request: &AccessRequest, now: i64) -> (AccessRequest, Session) {
    let id = SessionId::from_random(u64::try_from(now).unwrap());
    let dana = principal("dana");
    let request = request.clone();
    let request = request
        .approve(Approver::own(&dana), None, at(now))
        .unwrap();
    let by = request.approved_by().unwrap();
    request.grant(by, id, at(now)).unwrap()
}

fn submits(request: &AccessRequest, n: i64) -> Change {
    Change::submits(request.clone(), act(n))
}

/// A grant of a request that was submitted before.
fn grants((request, session): (&AccessRequest, &Session), n: i64) -> Change {
    Change {
        session: Some(Write::New(session.clone())),
        ..Change::moves(request.clone(), act(n))
    }
}

fn moves(session: &Session, n: i64) -> Change {
    Change::moves_session(session.clone(), act(n))
}

pub(super) fn temporary() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hallpass.db");
    (dir, path)
}

async fn with_session(store: &Sqlite, n: u64) -> (AccessRequest, Session) {
    let pending = request(n, "maya", "orders-ro");
    store.commit(&submits(&pending, 1)).await.unwrap();
    let (granted, session) = approved(&pending, 10);
    let kept = store.commit(&grants((&granted, &session), 2)).await;
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
    let late = store.commit(&grants((&again, &second), 3)).await;
    assert!(matches!(late, Err(StoreError::Conflict(now)) if now == "approved"));

    let ended = session.clone().expire(at(100)).unwrap();
    store.commit(&moves(&ended, 4)).await.unwrap();
    let longer = Duration::from_secs(9);
    let revived = session.extend(longer, longer * 100, at(20)).unwrap();
    let revived = store.commit(&moves(&revived, 5)).await;
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
    let (absent, _) = approved(&request(7, "a", "b"), 20);
    let absent = store.commit(&Change::moves(absent, act(6))).await;
    assert!(matches!(absent, Err(StoreError::Missing)));
}

#[tokio::test]
async fn a_second_live_session_is_refused_until_the_first_is_over() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    let (_, first) = with_session(&store, 1).await;
    let pending = request(2, "maya", "orders-ro");
    store.commit(&submits(&pending, 3)).await.unwrap();
    let (granted, second) = approved(&pending, 20);
    let refused = store.commit(&grants((&granted, &second), 4)).await;
    assert!(matches!(refused, Err(StoreError::LiveSession(live)) if *live == first));
    assert_eq!(store.request(pending.id).await.unwrap().unwrap(), pending);

    let ended = first.revoke("maya".parse().unwrap(), "", at(30)).unwrap();
    store.commit(&moves(&ended, 5)).await.unwrap();
    let kept = store.commit(&grants((&granted, &second), 6)).await;
    kept.unwrap();
}

#[tokio::test]
async fn the_database_itself_knows_that_one_live_session_is_enough() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    let (_, mut session) = with_session(&store, 1).await;
    let other = request(2, "maya", "orders-ro");
    store.commit(&submits(&other, 3)).await.unwrap();
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
async fn a_requester_has_so_many_requests_that_wait_and_no_more() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    for n in 1..=u64::from(super::MAX_PENDING) {
        let pending = request(n, "maya", "orders-ro");
        store.commit(&submits(&pending, 1)).await.unwrap();
    }
    let one_more = submits(&request(99, "maya", "billing"), 2);
    let refused = store.commit(&one_more).await;
    assert!(matches!(refused, Err(StoreError::TooManyPending(who)) if who.as_str() == "maya"));
    let others = submits(&request(98, "noor", "billing"), 2);
    store.commit(&others).await.unwrap();
    let first = request(1, "maya", "orders-ro");
    let withdrawn = first.withdraw(&"maya".parse().unwrap(), at(5)).unwrap();
    store
        .commit(&Change::moves(withdrawn, act(3)))
        .await
        .unwrap();
    store.commit(&one_more).await.unwrap();
}

#[tokio::test]
async fn a_review_is_open_until_it_is_closed_and_is_closed_once() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    let (_, session) = with_session(&store, 1).await;
    let review = Review::open(&session);
    let opened = Change {
        review: Some(Write::New(review.clone())),
        ..Change::default()
    };
    store.commit(&opened).await.unwrap();
    let listed = async |open_only| {
        let filter = Filter {
            open_only,
            ..Filter::default()
        };
        store.reviews(&filter).await.unwrap()
    };
    assert_eq!(listed(true).await, std::slice::from_ref(&review));
    let dana = principal("dana");
    let closed = review.close(Approver::own(&dana), "fine", at(50)).unwrap();
    let change = Change {
        review: Some(Write::Changed(closed.clone())),
        ..Change::default()
    };
    store.commit(&change).await.unwrap();
    let again = store.commit(&change).await;
    assert!(matches!(again, Err(StoreError::Conflict(now)) if now == "closed"));
    assert_eq!(listed(true).await, []);
    assert_eq!(listed(false).await, std::slice::from_ref(&closed));
    assert_eq!(store.review(session.id).await.unwrap(), Some(closed));
}

#[tokio::test]
async fn there_is_one_delegation_between_two_and_it_ends_by_itself() {
    let (_dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    let name = |name: &str| name.parse::<PrincipalName>().unwrap();
    let until = |to: &str, end| {
        Delegation::new(&Caller::new(principal("dana")), name(to), at(end), at(1)).unwrap()
    };
    for delegation in [until("lee", 50), until("lee", 60), until("omar", 30)] {
        store.delegate(&delegation, &act(1)).await.unwrap();
    }
    let of = async |who: &str, now| store.delegations(&name(who), at(now)).await.unwrap();
    assert_eq!(of("dana", 10).await, [until("omar", 30), until("lee", 60)]);
    assert_eq!(of("lee", 59).await, [until("lee", 60)]);
    assert_eq!(of("lee", 60).await, []);
    let (dana, lee) = (name("dana"), name("lee"));
    store.end_delegation(&dana, &lee, &act(2)).await.unwrap();
    let again = store.end_delegation(&dana, &lee, &act(3)).await;
    assert!(matches!(again, Err(StoreError::Missing)));
    assert_eq!(store.outbox().await.unwrap().len(), 4);
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
        let pending = request(n, who, target);
        store.commit(&submits(&pending, 1)).await.unwrap();
    }
    let old = request(3, "noor", "c");
    let dana = principal("dana");
    let denied = old.deny(Approver::own(&dana), "no", at(9)).unwrap();
    let denied = Change::moves(denied, act(2));
    store.commit(&denied).await.unwrap();
    let found = async |filter: Filter| -> Vec<RequestId> {
        let found = store.requests(&filter).await.unwrap();
        found.into_iter().map(|request| request.id).collect()
    };
    let ids =
        |wanted: &[u64]| -> Vec<_> { wanted.iter().map(|&n| RequestId::from_random(n)).collect() };
    assert_eq!(found(Filter::default()).await, ids(&[4, 3, 2, 1]));
    let of = |principal: &str, target: &str| Filter {
        principal: Some(principal.parse().unwrap()),
        target: Some(target.parse().unwrap()),
        ..Filter::default()
    };
    for request in store.requests(&Filter::default()).await.unwrap() {
        let (who, what) = (request.requester.as_str(), request.target.as_str());
        assert!(found(of(who, what)).await.contains(&request.id));
        assert!(found(of("sam", what)).await.is_empty());
        assert!(found(of(who, "z")).await.is_empty());
    }
    let visible = |who: &str, targets: &[&str]| Visible {
        principal: who.parse().unwrap(),
        targets: targets.iter().map(|name| name.parse().unwrap()).collect(),
    };
    let filter = |open_only, visible, limit| Filter {
        open_only,
        visible: Some(visible),
        window: super::Window { after: None, limit },
        ..Filter::default()
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
    store.commit(&submits(&pending, 3)).await.unwrap();
    let early = store.due(at(69)).await.unwrap();
    assert!(early.sessions.is_empty() && early.requests.is_empty());
    assert_eq!(early.next, Some(at(70)));
    let due = store.due(at(70)).await.unwrap();
    assert_eq!((due.sessions, due.next), (vec![session], Some(at(1000))));
    let due = store.due(at(1000)).await.unwrap();
    assert_eq!((due.requests, due.next), (vec![pending], None));
}
