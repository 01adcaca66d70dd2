//! The promises of the control plane, against the real store and the real audit.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::testing::{HOUR, World, at, caller, rules};
use super::{Control, Error, Rules};
use crate::access::{Approver, RequestState, SessionState};
use crate::audit::Event;
use crate::clock::Clock;
use crate::store::{Change, Filter, Store, Write};

#[tokio::test]
async fn an_approval_is_recorded_and_opens_the_session() {
    let world = World::new();
    let session = world.session().await;
    assert_eq!(session.state, SessionState::Active);
    assert_eq!(session.expires_at, world.clock.now() + HOUR);
    assert_eq!(world.admission.live_sessions(), 1);
    assert_eq!(
        world.audit_types(),
        ["request_submitted", "request_approved"]
    );
    assert!(world.store.outbox().await.unwrap().is_empty());
    let metrics = String::from_utf8(world.metrics.encode()).unwrap();
    let line = r#"hallpass_access_requests_total{state="approved",target="orders-ro"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_decisions_exactly_one_wins() {
    let world = World::new();
    for round in 0..10 {
        let request = world.submit("maya").await;
        let mut race = JoinSet::new();
        for n in 0..12 {
            let control = Arc::clone(&world.control);
            race.spawn(async move {
                let by = caller(if n % 2 == 0 { "dana" } else { "lee" });
                match n % 4 {
                    0 | 1 => control.approve(&by, request, None).await.map(|_| ()),
                    2 => control.withdraw(&caller("maya"), request).await.map(|_| ()),
                    _ => control.deny(&by, request, "no").await.map(|_| ()),
                }
            });
        }
        let results = race.join_all().await;
        let won = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(won, 1, "round {round}");
        let lost = |result: &Result<(), Error>| matches!(result, Err(Error::Conflict(_)));
        assert_eq!(results.iter().filter(|result| lost(result)).count(), 11);
        revoke_all(&world.control).await;
    }
    let decisions = world.audit_types();
    let decided = |name: &&String| {
        ["request_approved", "request_denied", "request_withdrawn"].contains(&name.as_str())
    };
    assert_eq!(decisions.iter().filter(decided).count(), 10);
}

async fn revoke_all(control: &Arc<Control>) {
    let dana = caller("dana");
    for live in control.sessions(&dana, true).await.unwrap() {
        control.revoke(&dana, live.session.id, "").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_beats_an_approval_that_is_still_on_its_way() {
    let world = World::new();
    for _ in 0..50 {
        let request = world.submit("maya").await;
        let control = Arc::clone(&world.control);
        let approval =
            tokio::spawn(async move { control.approve(&caller("dana"), request, None).await });
        // As soon as it can be seen at all, it is revoked.
        let mut changes = world.control.changes();
        loop {
            let live = world.control.sessions(&caller("lee"), true).await.unwrap();
            if let Some(live) = live.first() {
                let lee = caller("lee");
                world
                    .control
                    .revoke(&lee, live.session.id, "stop")
                    .await
                    .unwrap();
                break;
            }
            let _ = tokio::time::timeout(Duration::from_micros(50), changes.changed()).await;
        }
        assert_eq!(world.admission.live_sessions(), 0);
        approval.await.unwrap().unwrap();
        assert_eq!(world.admission.live_sessions(), 0);
    }
}

#[tokio::test]
async fn nobody_has_two_live_sessions_for_one_target() {
    let world = World::new();
    world.session().await;
    let second = world.submit("maya").await;
    let refused = world.control.approve(&caller("dana"), second, None).await;
    let text = refused.unwrap_err().to_string();
    assert!(
        text.starts_with("maya already has a session for orders-ro until 1970-01-12T14:46:40Z"),
        "{text}"
    );
    // The request is still there to be decided, and another's session is no obstacle.
    let status = world
        .control
        .request(&caller("maya"), second)
        .await
        .unwrap();
    assert_eq!(status.request.state, RequestState::Pending);
    let noor = world.submit("noor").await;
    world
        .control
        .approve(&caller("dana"), noor, None)
        .await
        .unwrap();
    assert_eq!(world.admission.live_sessions(), 2);
}

#[tokio::test]
async fn a_session_that_is_over_unnoticed_is_no_obstacle_to_the_next() {
    let world = World::new();
    let first = world.session().await;
    world.pass(HOUR);
    let second = world.session().await;
    assert_ne!(first.id, second.id);
    assert_eq!(world.admission.live_sessions(), 1);
    let first = world.store.session(first.id).await.unwrap().unwrap();
    assert_eq!(first.state.name(), "expired");
}

#[tokio::test]
async fn requester_and_approver_are_never_the_same() {
    let world = World::new();
    let request = world.submit("maya").await;
    let mut rules = rules();
    rules.policy = Box::new(Everybody);
    world.control.set_rules(rules);
    let own = world.control.approve(&caller("maya"), request, None).await;
    assert!(matches!(own, Err(Error::Forbidden(_))));
    let own = world.control.deny(&caller("maya"), request, "no").await;
    assert!(matches!(own, Err(Error::Forbidden(_))));
    assert_eq!(world.admission.live_sessions(), 0);
}

struct Everybody;

impl crate::policy::Policy for Everybody {
    fn decide(&self, _: &crate::policy::Query<'_>) -> crate::policy::Decision {
        crate::policy::Decision {
            allowed: true,
            policies: Vec::new(),
        }
    }
}

#[tokio::test]
async fn what_one_may_not_see_looks_as_if_it_were_not_there() {
    let world = World::new();
    let session = world.session().await;
    for stranger in ["sam", "noor", "omar"] {
        let sam = caller(stranger);
        let control = &world.control;
        let request = control.request(&sam, session.request).await.unwrap_err();
        let absent = crate::access::RequestId::from_random(1);
        let none = control.request(&sam, absent).await.unwrap_err();
        assert_eq!(request.to_string(), none.to_string());
        let approval = control.approve(&sam, session.request, None).await;
        assert!(matches!(approval, Err(Error::NotFound(_))));
        let revocation = control.revoke(&sam, session.id, "").await;
        assert!(matches!(revocation, Err(Error::NotFound(_))));
        let secret = control.read_secret(&sam, session.id).await;
        assert!(matches!(secret, Err(Error::NotFound(_))));
        assert!(control.requests(&sam, false).await.unwrap().is_empty());
        assert!(control.sessions(&sam, false).await.unwrap().is_empty());
    }
    assert_eq!(world.admission.live_sessions(), 1);
}

#[tokio::test]
async fn the_secret_is_for_the_holder_of_a_live_session_and_recorded_first() {
    let world = World::new();
    let session = world.session().await;
    let (maya, dana) = (caller("maya"), caller("dana"));
    let others = world.control.read_secret(&dana, session.id).await;
    assert!(matches!(others, Err(Error::Forbidden(_))));
    let granted = world.control.read_secret(&maya, session.id).await.unwrap();
    assert_eq!(
        granted.secret.expose(),
        world.admission.secret(session.id).expose()
    );
    assert_eq!(world.audit_types().last().unwrap(), "secret_read");
    world.break_audit(true);
    let unrecorded = world.control.read_secret(&maya, session.id).await;
    assert!(matches!(unrecorded, Err(Error::AuditUnavailable(_))));
    world.break_audit(false);
    world.pass(HOUR);
    let late = world.control.read_secret(&maya, session.id).await;
    assert!(matches!(late, Err(Error::Conflict(_))));
}

#[tokio::test]
async fn without_the_audit_nothing_opens_and_with_it_again_it_does() {
    let world = World::new();
    let request = world.submit("maya").await;
    world.break_audit(true);
    let approval = world.control.approve(&caller("dana"), request, None).await;
    assert!(matches!(approval, Err(Error::AuditUnavailable(_))));
    assert_eq!(world.admission.live_sessions(), 0);
    assert!(matches!(
        world.control.patrol().await,
        Err(Error::AuditUnavailable(_))
    ));
    assert_eq!(world.admission.live_sessions(), 0);

    world.break_audit(false);
    world.pass(Duration::from_secs(60));
    world.control.patrol().await.unwrap();
    assert_eq!(world.admission.live_sessions(), 1);
    assert_eq!(
        world.audit_types(),
        ["request_submitted", "request_approved"]
    );
}

#[tokio::test]
async fn a_record_that_comes_late_says_when_it_was_done() {
    let world = World::new();
    let request = world.submit("maya").await;
    let done = world.clock.now();
    world.break_audit(true);
    let denied = world.control.deny(&caller("dana"), request, "no").await;
    denied.expect("a denial opens nothing and stands");
    world.break_audit(false);
    world.pass(HOUR);
    world.control.patrol().await.unwrap();
    let folder = world.audit_folder();
    let records = crate::audit::reader::records(&folder).unwrap();
    let acts = records.map(Result::unwrap);
    let record = acts.filter(|it| !it.event.is_of_the_log()).last().unwrap();
    assert_eq!(record.at, done);
    assert!(matches!(record.event, Event::RequestDenied { .. }));
}

#[tokio::test]
async fn an_act_whose_delivery_was_noted_too_late_is_recorded_once_and_opened_once() {
    let world = World::new();
    let request = world.submit("maya").await;
    let old = world.store.request(request).await.unwrap().unwrap();
    let id = crate::access::SessionId::from_random(3);
    let now = world.clock.now();
    let dana = caller("dana");
    let voted = old.approve(Approver::own(&dana), None, now).unwrap();
    let by = voted.approved_by().unwrap();
    let (new, session) = voted.grant(by, id, now).unwrap();
    let store = &world.store;
    let change = Change {
        acts: vec![super::act(now, super::grant::approved(&new, &session))],
        request: Some(Write::Changed(new)),
        session: Some(Write::New(session)),
        review: None,
    };
    store.commit(&change).await.unwrap();
    store.read_only.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(matches!(
            world.control.deliver().await,
            Err(Error::Store(_))
        ));
    }
    store.read_only.store(false, Ordering::SeqCst);
    world.control.deliver().await.unwrap();
    assert_eq!(
        world.audit_types(),
        ["request_submitted", "request_approved"]
    );
    assert_eq!(world.admission.live_sessions(), 1);
}

#[tokio::test]
async fn an_approval_that_a_crash_kept_from_the_audit_is_recorded_at_the_next_start() {
    let world = World::new();
    let request = world.submit("maya").await;
    world.break_audit(true);
    let approval = world.control.approve(&caller("dana"), request, None).await;
    approval.unwrap_err();
    world.break_audit(false);
    let world = world.restart().await;
    assert_eq!(world.admission.live_sessions(), 0);
    world.control.recover().await.unwrap();
    assert_eq!(world.admission.live_sessions(), 1);
    assert_eq!(
        world.audit_types(),
        ["request_submitted", "request_approved"]
    );
}

#[tokio::test]
async fn a_restart_brings_back_what_is_live_and_ends_what_is_over() {
    let world = World::new();
    let live = world.session().await;
    let short = world
        .submit_for("noor", "orders-ro", Duration::from_secs(10))
        .await;
    world
        .control
        .approve(&caller("dana"), short, None)
        .await
        .unwrap();
    world.pass(Duration::from_secs(1800));
    let pending = world.submit("maya").await;
    let secret = world.admission.secret(live.id);

    let world = world.restart().await;
    world.control.recover().await.unwrap();
    assert_eq!(world.admission.live_sessions(), 1);
    assert_eq!(world.admission.secret(live.id).expose(), secret.expose());
    let again = world.store.session(live.id).await.unwrap().unwrap();
    assert_eq!(again, live);
    assert_eq!(world.audit_types().last().unwrap(), "session_expired");

    world.pass(HOUR);
    let world = world.restart().await;
    world.control.recover().await.unwrap();
    assert_eq!(world.admission.live_sessions(), 0);
    let lapsed = world.store.request(pending).await.unwrap().unwrap();
    assert_eq!(lapsed.state.name(), "lapsed");
}

#[tokio::test]
async fn a_revoked_session_is_over_for_good_across_restarts_and_clocks_set_back() {
    let world = World::new();
    let session = world.session().await;
    let revoked = world
        .control
        .revoke(&caller("maya"), session.id, "done")
        .await;
    assert_eq!(revoked.unwrap().session.state.name(), "revoked");
    assert_eq!(world.admission.live_sessions(), 0);
    let again = world.control.revoke(&caller("dana"), session.id, "").await;
    assert!(matches!(again, Err(Error::Conflict(_))));
    let world = world.restart().await;
    world.clock.set(at(999_000));
    world.control.recover().await.unwrap();
    assert_eq!(world.admission.live_sessions(), 0);
}

#[tokio::test]
async fn a_revocation_that_cannot_be_stored_closes_all_the_same_but_is_an_error() {
    let world = World::new();
    let session = world.session().await;
    let dana = caller("dana");
    for fault in [&world.store.read_only, &world.store.down] {
        fault.store(true, Ordering::SeqCst);
        let revoked = world.control.revoke(&dana, session.id, "now").await;
        assert!(matches!(revoked, Err(Error::NotStored(_))));
        assert_eq!(world.admission.live_sessions(), 0);
        // Strangers learn and end nothing.
        let stranger = world
            .control
            .revoke(&caller("sam"), session.id, "now")
            .await;
        assert!(!matches!(stranger, Ok(_) | Err(Error::NotStored(_))));
        fault.store(false, Ordering::SeqCst);
    }
    world.control.patrol().await.unwrap();
    assert_eq!(world.admission.live_sessions(), 0);
    world
        .control
        .revoke(&dana, session.id, "now")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_revocation_at_once_is_not_kept_by_a_failing_audit() {
    let world = World::new();
    let session = world.session().await;
    world.break_audit(true);
    world
        .control
        .revoke(&caller("dana"), session.id, "now")
        .await
        .unwrap();
    assert_eq!(world.admission.live_sessions(), 0);
    world.break_audit(false);
    world.control.patrol().await.unwrap();
    assert_eq!(world.audit_types().last().unwrap(), "session_revoked");
}

#[tokio::test]
async fn an_end_that_was_stored_by_a_task_that_died_is_carried_out_whatever_the_audit_does() {
    let world = World::new();
    let old = world.session().await;
    let now = world.clock.now();
    let by = caller("dana").name.clone();
    let new = old.revoke(by, "now", now).unwrap();
    let act = super::act(now, super::expire::ended(&new));
    let change = Change::moves_session(new, act);
    world.store.commit(&change).await.unwrap();
    assert_eq!(world.admission.live_sessions(), 1);
    world.break_audit(true);
    world.control.patrol().await.unwrap_err();
    assert_eq!(world.admission.live_sessions(), 0);
}

#[tokio::test]
async fn whoever_has_the_secret_finds_the_session_open() {
    let world = World::new();
    let request = world.submit("maya").await;
    world.break_audit(true);
    let dana = caller("dana");
    let unrecorded = world.control.approve(&dana, request, None).await;
    unrecorded.unwrap_err();
    let maya = caller("maya");
    let sessions = world.control.sessions(&maya, true).await.unwrap();
    let id = sessions[0].session.id;
    let early = world.control.read_secret(&maya, id).await;
    assert!(matches!(early, Err(Error::AuditUnavailable(_))));
    world.break_audit(false);
    world.control.read_secret(&maya, id).await.unwrap();
    assert_eq!(world.admission.live_sessions(), 1);
}

#[tokio::test]
async fn open_connections_are_shown_to_those_who_see_the_session() {
    let world = World::new();
    let session = world.session().await;
    let permit = world.connect(&session);
    for (who, seen) in [("maya", 1), ("dana", 1), ("noor", 0), ("omar", 0)] {
        let who = caller(who);
        assert_eq!(world.control.connections(&who).len(), seen);
    }
    let maya = caller("maya");
    let shown = world.control.sessions(&maya, true).await.unwrap();
    assert_eq!(shown[0].connections, 1);
    let revoked = world.control.revoke(&maya, session.id, "done").await;
    assert_eq!(revoked.unwrap().connections, 1);
    let ending = permit.ended().await;
    let by = maya.name.clone();
    let reason = "done".to_owned();
    assert_eq!(ending, crate::access::Ending::Revoked { by, reason });
}

#[tokio::test]
async fn the_rules_of_the_day_of_approval_count() {
    let world = World::new();
    let request = world.submit_for("maya", "orders-ro", 4 * HOUR).await;
    let mut stricter = rules();
    let orders = &"orders-ro".parse().unwrap();
    stricter.targets.get_mut(orders).unwrap().max_duration = HOUR;
    world.control.set_rules(stricter);
    let dana = caller("dana");
    let long = world
        .control
        .approve(&dana, request, None)
        .await
        .unwrap_err();
    assert_eq!(long.to_string(), "orders-ro is granted for at most 1h now");
    let zero = world
        .control
        .approve(&dana, request, Some(Duration::ZERO))
        .await;
    assert!(matches!(zero, Err(Error::Invalid(_))));
    world.control.set_rules(Rules {
        targets: [].into(),
        ..rules()
    });
    let gone = world.control.approve(&dana, request, Some(HOUR)).await;
    assert!(matches!(gone, Err(Error::NotFound(_))));
    world.control.set_rules(rules());
    let approved = world.control.approve(&dana, request, Some(HOUR)).await;
    let expected = world.clock.now() + HOUR;
    assert_eq!(approved.unwrap().1.unwrap().session.expires_at, expected);
}

#[tokio::test]
async fn reasons_with_control_characters_or_without_end_are_refused() {
    let world = World::new();
    let request = world.submit("maya").await;
    for why in ["\u{1b}[2J", "a\0b", &"x".repeat(2001), "", "  "] {
        let denied = world.control.deny(&caller("dana"), request, why).await;
        assert!(matches!(denied, Err(Error::Invalid(_))), "{why:?}");
    }
}

#[tokio::test]
async fn the_patrol_ends_what_is_due_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir, Clock::system());
    let shutdown = CancellationToken::new();
    let control = Arc::clone(&world.control);
    let run = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { control.run(shutdown).await }
    });
    let request = world
        .submit_for("maya", "orders-ro", Duration::from_secs(1))
        .await;
    let approved = world.control.approve(&caller("dana"), request, None).await;
    let id = approved.unwrap().1.unwrap().session.id;
    let mut changes = world.control.changes();
    let expired = async {
        while world.store.session(id).await.unwrap().unwrap().state.name() != "expired" {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(10), expired)
        .await
        .unwrap();
    shutdown.cancel();
    run.await.unwrap();
    let all = world.store.sessions(&Filter::default()).await.unwrap();
    assert_eq!(all.len(), 1);
}

#[tokio::test]
async fn targets_are_listed_for_those_who_may_use_them() {
    let world = World::new();
    let names = |who: &str| -> Vec<(String, bool, bool)> {
        let targets = world.control.targets(&caller(who)).into_iter();
        targets
            .map(|t| (t.target.name.to_string(), t.may_request, t.may_approve))
            .collect()
    };
    let maya = [
        ("billing".into(), true, false),
        ("orders-ro".into(), true, false),
    ];
    assert_eq!(names("maya"), maya);
    assert_eq!(names("dana"), [("orders-ro".into(), false, true)]);
    assert_eq!(names("sam"), []);
}

#[tokio::test]
async fn who_is_no_longer_known_when_they_decide_decides_nothing() {
    let world = World::new();
    let request = world.submit("maya").await;
    let mut gone = caller("dana");
    gone.principal.name = "zoe".parse().unwrap();
    let control = &world.control;
    let approved = control.approve(&gone, request, None).await;
    assert!(matches!(approved, Err(Error::Forbidden(_))), "{approved:?}");
    let denied = control.deny(&gone, request, "no").await;
    assert!(matches!(denied, Err(Error::Forbidden(_))), "{denied:?}");
    control.deny(&caller("dana"), request, "no").await.unwrap();
}
