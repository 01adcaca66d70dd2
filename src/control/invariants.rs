//! Random sequences of what people, time and failures do; what must hold after each step.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;

use super::Ask;
use super::testing::{World, caller};
use crate::access::{AccessRequest, Session, SessionId};
use crate::audit::Event;
use crate::store::{Filter, Store};

const PEOPLE: [&str; 7] = ["maya", "noor", "dana", "lee", "omar", "sam", "iris"];
const TARGETS: [&str; 2] = ["orders-ro", "billing"];

#[derive(Debug, Clone)]
enum Step {
    Submit(usize, usize, u64),
    Approve(usize, usize),
    Deny(usize, usize),
    Withdraw(usize, usize),
    Revoke(usize, usize),
    Hold(usize, usize),
    Release(usize, usize),
    Pass(u64),
    Patrol,
    Audit(bool),
    Writable(bool),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..PEOPLE.len();
    let which = 0..6_usize;
    prop_oneof![
        4 => (0..3_usize, 0..TARGETS.len(), 1..7200_u64).prop_map(|(w, t, s)| Step::Submit(w, t, s)),
        6 => (who.clone(), which.clone()).prop_map(|(w, n)| Step::Approve(w, n)),
        1 => (who.clone(), which.clone()).prop_map(|(w, n)| Step::Deny(w, n)),
        1 => (who.clone(), which.clone()).prop_map(|(w, n)| Step::Withdraw(w, n)),
        2 => (who.clone(), which.clone()).prop_map(|(w, n)| Step::Revoke(w, n)),
        4 => (who.clone(), which.clone()).prop_map(|(w, n)| Step::Hold(w, n)),
        3 => (who, which).prop_map(|(w, n)| Step::Release(w, n)),
        2 => (1..5000_u64).prop_map(Step::Pass),
        1 => Just(Step::Patrol),
        1 => any::<bool>().prop_map(Step::Audit),
        1 => any::<bool>().prop_map(Step::Writable),
        1 => Just(Step::Restart),
    ]
}

/// A world, and what was seen in it that may never change.
struct Run {
    world: World,
    audit_broken: bool,
    /// Restarts with a store that could not be written just before.
    forgetful: u64,
    ends: HashMap<String, String>,
    /// How often each session was held and released.
    holds: HashMap<String, u64>,
}

impl Run {
    async fn take(mut self, step: Step) -> Self {
        let control = &self.world.control;
        let by = |n: usize| caller(PEOPLE[n]);
        // Refusals are as good as successes here: what counts is the state after it.
        match step {
            Step::Submit(who, target, seconds) => {
                let (target, length) = (TARGETS[target], Duration::from_secs(seconds));
                let ask = Ask::new(target.parse().unwrap(), length, "x");
                _ = control.submit(&by(who), ask).await;
            }
            Step::Approve(who, n) => {
                if let Some(request) = self.requests().await.get(n) {
                    _ = control.approve(&by(who), request.id, None).await;
                }
            }
            Step::Deny(who, n) => {
                if let Some(request) = self.requests().await.get(n) {
                    _ = control.deny(&by(who), request.id, "no").await;
                }
            }
            Step::Withdraw(who, n) => {
                if let Some(request) = self.requests().await.get(n) {
                    _ = control.withdraw(&by(who), request.id).await;
                }
            }
            Step::Revoke(who, n) => {
                if let Some(session) = self.sessions().await.get(n) {
                    _ = control.revoke(&by(who), session.id, "stop").await;
                }
            }
            Step::Hold(who, n) => {
                if let Some(session) = self.sessions().await.get(n) {
                    let placed = control.place_hold(&by(who), session.id, "keep").await;
                    self.count_hold(&session.id, "hold_placed", (who, placed.is_ok()));
                }
            }
            Step::Release(who, n) => {
                if let Some(session) = self.sessions().await.get(n) {
                    let released = control.release_hold(&by(who), session.id, "go").await;
                    self.count_hold(&session.id, "hold_released", (who, released.is_ok()));
                }
            }
            Step::Pass(seconds) => self.world.pass(Duration::from_secs(seconds)),
            Step::Patrol => _ = control.patrol().await,
            Step::Audit(broken) if broken != self.audit_broken => {
                self.world.break_audit(broken);
                self.audit_broken = broken;
            }
            Step::Audit(_) => {}
            Step::Writable(yes) => self.world.store.read_only.store(!yes, Ordering::SeqCst),
            Step::Restart => self = self.restart().await,
        }
        self
    }

    fn count_hold(&mut self, session: &SessionId, kind: &str, (who, done): (usize, bool)) {
        if done {
            assert_eq!(PEOPLE[who], "iris", "only auditors hold");
            *self.holds.entry(format!("{session} {kind}")).or_default() += 1;
        }
    }

    async fn restart(mut self) -> Self {
        // That it was recorded could not be noted: it may be recorded again.
        self.forgetful += u64::from(self.world.store.read_only.load(Ordering::SeqCst));
        self.repair();
        self.world = self.world.restart().await;
        self.world.control.recover().await.unwrap();
        self
    }

    fn repair(&mut self) {
        if std::mem::take(&mut self.audit_broken) {
            self.world.break_audit(false);
        }
        self.world.store.read_only.store(false, Ordering::SeqCst);
    }

    async fn requests(&self) -> Vec<AccessRequest> {
        let all = Filter::default();
        self.world.store.requests(&all).await.unwrap()
    }

    async fn sessions(&self) -> Vec<Session> {
        let all = Filter::default();
        self.world.store.sessions(&all).await.unwrap()
    }

    /// What must hold after every step, whatever fails.
    async fn check(&mut self) {
        let now = self.world.clock.now();
        self.world.admission.expire_due();
        let mut live = HashSet::new();
        let mut open = 0;
        for session in self.sessions().await {
            assert!(!session.approved_by.is(&session.principal));
            let end = format!("{} {:?}", session.expires_at, session.state);
            if session.state.is_final() {
                self.unchanged(session.id.to_string(), &end);
            } else {
                assert!(live.insert((session.principal, session.target)));
                open += usize::from(session.expires_at > now);
            }
        }
        assert!(self.world.admission.live_sessions() <= open);
        let held = self.world.control.held();
        let held = held.lock().await;
        for (hold, _) in self.world.store.holds().await.unwrap() {
            assert!(held.contains_key(&hold.session), "what is held is kept");
        }
        for request in self.requests().await {
            if request.state.name() != "pending" {
                self.unchanged(request.id.to_string(), &format!("{:?}", request.state));
            }
        }
    }

    fn unchanged(&mut self, id: String, end: &str) {
        let known = self.ends.entry(id).or_insert_with(|| end.to_owned());
        assert_eq!(known, end, "an end is final");
    }

    /// What must hold once everything works again.
    async fn settle(mut self) {
        self = self.restart().await;
        self.world.control.patrol().await.unwrap();
        self.check().await;
        let sessions = self.sessions().await;
        let live = sessions.iter().filter(|s| !s.state.is_final()).count();
        assert_eq!(self.world.admission.live_sessions(), live);
        let held = self.world.control.held().lock().await.len();
        assert_eq!(self.world.store.holds().await.unwrap().len(), held);
        self.check_audit(&self.requests().await, &sessions);
    }

    /// Every transition is in the audit exactly once; more often only if hallpass died while the
    /// store could not note that it was there.
    fn check_audit(&self, requests: &[AccessRequest], sessions: &[Session]) {
        let mut count: HashMap<String, u64> = HashMap::new();
        for event in self.world.audit() {
            let value = serde_json::to_value(&event).unwrap();
            let id = match event {
                Event::SessionExpired { session, .. }
                | Event::SessionRevoked { session, .. }
                | Event::HoldPlaced { session, .. }
                | Event::HoldReleased { session, .. } => session.to_string(),
                _ => value["request"].as_str().unwrap().to_owned(),
            };
            let kind = value["type"].as_str().unwrap();
            *count.entry(format!("{id} {kind}")).or_default() += 1;
        }
        let mut expected = self.holds.clone();
        for request in requests {
            let (id, state) = (request.id, request.state.name());
            expected.insert(format!("{id} request_submitted"), 1);
            if state != "pending" {
                expected.insert(format!("{id} request_{state}"), 1);
            }
        }
        for session in sessions.iter().filter(|s| s.state.is_final()) {
            let ended = format!("{} session_{}", session.id, session.state.name());
            expected.insert(ended, 1);
        }
        assert_eq!(
            count.keys().collect::<HashSet<_>>(),
            expected.keys().collect()
        );
        let right = |what: &String, n: u64| n <= count[what] && count[what] <= n + self.forgetful;
        assert!(
            expected.iter().all(|(what, n)| right(what, *n)),
            "{count:?}, not {expected:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_ends_are_final_and_recorded_once_and_nothing_opens_unapproved(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let (ends, holds) = (HashMap::new(), HashMap::new());
            let mut run = Run { world, audit_broken: false, ends, holds, forgetful: 0 };
            for step in steps {
                run = run.take(step).await;
                run.check().await;
            }
            run.settle().await;
        });
    }
}
