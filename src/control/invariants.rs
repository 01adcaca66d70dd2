//! Random sequences of what people, time and failures do; what must hold after each step.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;

use super::testing::{HOUR, World, caller, rules, rules_of};
use super::{Ask, Rules};
use crate::access::{
    AccessRequest, Grantor, RequestKind, RequestState, Session, SessionId, SessionState, Stage,
};
use crate::audit::Event;
use crate::store::{Filter, Reviews, Store};

const PEOPLE: [&str; 7] = ["maya", "noor", "dana", "lee", "omar", "sam", "iris"];
const TARGETS: [&str; 2] = ["orders-ro", "billing"];

#[derive(Debug, Clone)]
enum Step {
    Submit(usize, usize, u64),
    Approve(usize, usize),
    Deny(usize, usize),
    Withdraw(usize, usize),
    Revoke(usize, usize),
    /// Who, which target; at once, or in so many seconds.
    BreakGlass(usize, usize),
    Schedule(usize, usize, u64),
    Extend(usize, usize, u64),
    Review(usize, usize),
    Delegate(usize, usize),
    EndDelegation(usize, usize),
    /// Other rules: as at first, with stages, or without requesters.
    Rules(usize),
    ReviewSessions,
    ClockBack(u64),
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
        1 => (0..3_usize, 0..TARGETS.len()).prop_map(|(w, t)| Step::BreakGlass(w, t)),
        2 => (0..3_usize, 0..TARGETS.len(), 1..7200_u64).prop_map(|(w, t, s)| Step::Schedule(w, t, s)),
        4 => (who.clone(), which.clone(), 1..20_000_u64).prop_map(|(w, n, s)| Step::Extend(w, n, s)),
        2 => (who.clone(), which.clone()).prop_map(|(w, n)| Step::Review(w, n)),
        2 => (who.clone(), who.clone()).prop_map(|(w, n)| Step::Delegate(w, n)),
        1 => (who.clone(), who.clone()).prop_map(|(w, n)| Step::EndDelegation(w, n)),
        2 => (0..3_usize).prop_map(Step::Rules),
        1 => Just(Step::ReviewSessions),
        1 => (1..3000_u64).prop_map(Step::ClockBack),
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
            Step::BreakGlass(who, target) => {
                let ask = Ask {
                    break_glass: true,
                    ..Ask::new(TARGETS[target].parse().unwrap(), HOUR, "x")
                };
                _ = control.submit(&by(who), ask).await;
            }
            Step::Schedule(who, target, seconds) => {
                let start = self.world.clock.now() + Duration::from_secs(seconds);
                let ask = Ask {
                    starts_at: Some(start),
                    ..Ask::new(TARGETS[target].parse().unwrap(), HOUR, "x")
                };
                _ = control.submit(&by(who), ask).await;
            }
            Step::Extend(who, n, seconds) => {
                if let Some(session) = self.sessions().await.get(n) {
                    let longer = Duration::from_secs(seconds);
                    _ = control.extend(&by(who), session.id, longer, "x").await;
                }
            }
            Step::Review(who, n) => {
                if let Some(session) = self.sessions().await.get(n) {
                    _ = control.close_review(&by(who), session.id, "fine").await;
                }
            }
            Step::Delegate(who, to) => {
                let until = self.world.clock.now() + HOUR;
                let made = control.delegate(&by(who), &by(to).name, until).await;
                self.count_delegation((who, to), "delegation_made", made.is_ok());
            }
            Step::EndDelegation(who, to) => {
                let ended = control.end_delegation(&by(who), &by(to).name).await;
                self.count_delegation((who, to), "delegation_ended", ended.is_ok());
            }
            Step::Rules(which) => control.set_rules(other_rules(which)),
            Step::ReviewSessions => _ = control.review_sessions(None).await,
            Step::ClockBack(seconds) => {
                let back = Duration::from_secs(seconds);
                let now = self.world.clock.now();
                self.world.clock.set(now - back);
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

    fn count_delegation(&mut self, (from, to): (usize, usize), kind: &str, done: bool) {
        if done {
            assert_ne!(from, to, "nobody stands for themselves");
            let key = format!("{}-{} {kind}", PEOPLE[from], PEOPLE[to]);
            *self.holds.entry(key).or_default() += 1;
        }
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
        let mut active = HashSet::new();
        let mut open = 0;
        let requests = self.requests().await;
        for session in self.sessions().await {
            assert!(!session.approved_by.is(&session.principal));
            granted_rightly(&session, &requests);
            let end = format!("{} {:?}", session.expires_at, session.state);
            if session.state.is_final() {
                self.unchanged(session.id.to_string(), &end);
            } else {
                if session.state == SessionState::Active {
                    assert!(active.insert((session.principal, session.target)));
                }
                open += usize::from(session.expires_at > now);
            }
        }
        self.check_overlaps(&requests).await;
        assert!(self.world.admission.live_sessions() <= open);
        let held = self.world.control.held();
        let held = held.lock().await;
        for (hold, _) in self.world.store.holds().await.unwrap() {
            assert!(held.contains_key(&hold.session), "what is held is kept");
        }
        for request in requests {
            if request.state.name() != "pending" {
                self.unchanged(request.id.to_string(), &format!("{:?}", request.state));
            }
        }
    }

    /// Nobody has two sessions for one target at a time, but that what is scheduled gives way to a
    /// broken glass.
    async fn check_overlaps(&self, requests: &[AccessRequest]) {
        let sessions = self.sessions().await;
        let live = |it: &&Session| !it.state.is_final();
        let broken = |it: &Session| {
            let from = |request: &&AccessRequest| request.id == it.request;
            let request = requests.iter().find(from).unwrap();
            request.kind == RequestKind::BreakGlass
        };
        for one in sessions.iter().filter(live) {
            let beside = |it: &&Session| {
                it.id != one.id
                    && (&it.principal, &it.target) == (&one.principal, &one.target)
                    && it.starts_at < one.expires_at
                    && one.starts_at < it.expires_at
            };
            for other in sessions.iter().filter(live).filter(beside) {
                let gives_way = |this: &Session, that: &Session| {
                    this.state == SessionState::Scheduled && broken(that)
                };
                let fine = gives_way(one, other) || gives_way(other, one);
                assert!(fine, "{one:?} beside {other:?}");
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
        let open = |session: &&Session| session.state == SessionState::Active;
        let live = sessions.iter().filter(open).count();
        assert_eq!(self.world.admission.live_sessions(), live);
        let held = self.world.control.held().lock().await.len();
        assert_eq!(self.world.store.holds().await.unwrap().len(), held);
        self.count_reviews().await;
        self.check_audit(&self.requests().await, &sessions);
    }

    /// Every broken glass has left a review, and each that is closed was closed once.
    async fn count_reviews(&mut self) {
        let broken = |it: &&AccessRequest| it.kind == RequestKind::BreakGlass;
        let broken = self.requests().await.iter().filter(broken).count();
        let reviews = self.world.store.reviews(&Filter::default()).await.unwrap();
        assert_eq!(reviews.len(), broken);
        for review in reviews.iter().filter(|it| it.state.name() == "closed") {
            self.holds
                .insert(format!("{} review_closed", review.session), 1);
        }
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
                | Event::SessionStarted { session, .. }
                | Event::ReviewClosed { session, .. }
                | Event::HoldPlaced { session, .. }
                | Event::HoldReleased { session, .. } => session.to_string(),
                Event::DelegationMade { from, to, .. } | Event::DelegationEnded { from, to } => {
                    format!("{from}-{to}")
                }
                // How often, the state does not tell.
                Event::RequestStageApproved { .. } | Event::RequestEscalated { .. } => continue,
                _ => value["request"].as_str().unwrap().to_owned(),
            };
            let kind = value["type"].as_str().unwrap();
            if kind == "session_started" {
                continue;
            }
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

/// As at first, with stages, or without anybody who may ask.
fn other_rules(which: usize) -> Rules {
    let mut rules = rules();
    match which {
        0 => {}
        1 => {
            let stage = |approvers: &[&str], count| Stage {
                approvers: approvers.iter().map(|&name| name.to_owned()).collect(),
                count,
                escalate_after: Some(Duration::from_secs(600)),
                escalate_to: vec!["omar".into()],
            };
            let stages = vec![stage(&["lee", "dana"], 1), stage(&["@leads"], 1)];
            for target in rules.targets.values_mut() {
                target.terms.stages = stages.clone();
            }
        }
        _ => rules.policy = rules_of("").policy,
    }
    rules
}

/// What a session is, its requests have asked for and others, or a policy, have granted: who
/// approved, in how many stages, for how long altogether.
fn granted_rightly(session: &Session, requests: &[AccessRequest]) {
    let of_session = |it: &&AccessRequest| matches!(it.state, RequestState::Approved { session: id, .. } if id == session.id);
    let mut length = Duration::ZERO;
    for request in requests.iter().filter(of_session) {
        let RequestState::Approved { by, .. } = &request.state else {
            unreachable!("it is approved");
        };
        assert_eq!(request.requester, session.principal);
        let mut people = HashSet::new();
        for approval in &request.chain.approvals {
            let both = [Some(&approval.by), approval.on_behalf_of.as_ref()];
            for person in both.into_iter().flatten() {
                assert_ne!(*person, request.requester, "nobody approves their own");
                assert!(people.insert(person.clone()), "nobody approves twice");
            }
        }
        match by {
            Grantor::People(_) => assert!(request.chain.is_full()),
            Grantor::Policy(_) => assert!(people.is_empty()),
        }
        length += request.granted_duration();
    }
    let lasts = Duration::try_from(session.expires_at.duration_since(session.starts_at)).unwrap();
    assert_eq!(lasts, length, "it ends when it was granted to end");
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
