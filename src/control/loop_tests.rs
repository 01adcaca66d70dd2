//! The loop beyond one request and one approval: stages, delegation, extensions, broken glass,
//! starts in the future, and what rules that change do.

use std::time::Duration;

use super::testing::{HOUR, World, caller, rules, rules_and, rules_of};
use super::{Ask, Control, Error};
use crate::access::{
    Approval, ReasonRule, RequestId, RequestState, Session, SessionId, SessionState, Stage,
};
use crate::audit::Event;
use crate::store::Store;

const MINUTE: Duration = Duration::from_secs(60);

fn stage(approvers: &[&str], count: u32) -> Stage {
    Stage {
        approvers: approvers.iter().map(|&name| name.to_owned()).collect(),
        count,
        ..Stage::open()
    }
}

impl World {
    /// With these stages for `orders-ro`.
    fn staged(stages: Vec<Stage>) -> Self {
        let world = Self::new();
        let mut rules = rules();
        let name = "orders-ro".parse().unwrap();
        rules.targets.get_mut(&name).unwrap().terms.stages = stages;
        world.control.set_rules(rules);
        world
    }

    async fn approve(&self, who: &str, request: RequestId) -> Result<Option<Session>, Error> {
        let approved = self.control.approve(&caller(who), request, None).await;
        approved.map(|(_, session)| session.map(|it| it.session))
    }

    async fn extend(&self, session: SessionId, by: Duration) -> Result<RequestState, Error> {
        let control = &self.control;
        let asked = control.extend(&caller("maya"), session, by, "more").await;
        asked.map(|status| status.request.state)
    }

    async fn stored(&self, session: SessionId) -> Session {
        self.store.session(session).await.unwrap().unwrap()
    }
}

fn text<T>(result: Result<T, Error>) -> String {
    match result {
        Err(error) => error.to_string(),
        Ok(_) => "it was done".to_owned(),
    }
}

#[tokio::test]
async fn the_session_opens_when_the_last_stage_is_full_and_each_approval_is_recorded() {
    let world = World::staged(vec![stage(&["lee"], 1), stage(&["@leads"], 1)]);
    let request = world.submit("maya").await;
    let early = world.approve("dana", request).await;
    assert_eq!(
        text(early),
        "this stage of the approval is up to others: lee"
    );
    assert_eq!(world.approve("lee", request).await.unwrap(), None);
    assert_eq!(world.admission.live_sessions(), 0);
    let again = world.approve("lee", request).await;
    assert!(matches!(again, Err(Error::Forbidden(_))));
    let status = world
        .control
        .request(&caller("maya"), request)
        .await
        .unwrap();
    assert_eq!(status.deciders, [caller("dana").name.clone()]);
    let session = world.approve("dana", request).await.unwrap().unwrap();
    assert_eq!(session.approved_by.to_string(), "lee, dana");
    assert_eq!(world.admission.live_sessions(), 1);
    let approved = world.audit().pop().unwrap();
    let Event::RequestApproved { by, approvals, .. } = approved else {
        panic!("{approved:?}");
    };
    assert_eq!((by.unwrap().as_str(), approvals.len()), ("dana", 2));
    let types = [
        "request_submitted",
        "request_stage_approved",
        "request_approved",
    ];
    assert_eq!(world.audit_types(), types);
}

#[tokio::test]
async fn a_stage_that_waits_too_long_escalates_once_and_is_recorded() {
    let slow = Stage {
        escalate_after: Some(15 * MINUTE),
        escalate_to: vec!["lee".into()],
        ..stage(&["dana"], 1)
    };
    let world = World::staged(vec![slow]);
    let request = world.submit("maya").await;
    world.pass(14 * MINUTE);
    world.control.patrol().await.unwrap();
    assert!(world.approve("lee", request).await.is_err());
    world.pass(MINUTE);
    for _ in 0..2 {
        world.control.patrol().await.unwrap();
    }
    assert_eq!(
        world.audit_types(),
        ["request_submitted", "request_escalated"]
    );
    assert!(world.approve("lee", request).await.unwrap().is_some());
}

#[tokio::test]
async fn who_has_anothers_powers_decides_by_them_and_it_is_on_record() {
    let world = World::new();
    let (control, until) = (&world.control, world.clock.now() + HOUR);
    let (dana, omar) = (caller("dana"), caller("omar"));
    let request = world.submit("maya").await;
    assert!(matches!(
        world.approve("omar", request).await,
        Err(Error::NotFound(_))
    ));
    control.delegate(&dana, &omar.name, until).await.unwrap();
    let seen = control.requests(&omar, true).await.unwrap();
    assert!(seen[0].may_decide);
    world.approve("omar", request).await.unwrap().unwrap();
    let Some(Event::RequestApproved { approvals, .. }) = world.audit().pop() else {
        panic!("not approved");
    };
    let [
        Approval {
            by, on_behalf_of, ..
        },
    ] = &approvals[..]
    else {
        panic!("{approvals:?}");
    };
    assert_eq!((by, on_behalf_of.as_ref()), (&omar.name, Some(&dana.name)));
    // No chains: what omar has from dana, sam does not have from omar.
    let sam = caller("sam");
    control.delegate(&omar, &sam.name, until).await.unwrap();
    let other = world.submit("noor").await;
    assert!(world.approve("sam", other).await.is_err());
    world.pass(HOUR);
    let late = world.submit("noor").await;
    assert!(world.approve("omar", late).await.is_err());
}

#[tokio::test]
async fn a_delegation_to_the_requester_decides_nothing_of_theirs() {
    let world = World::new();
    let (maya, dana) = (caller("maya"), caller("dana"));
    let until = world.clock.now() + HOUR;
    world
        .control
        .delegate(&dana, &maya.name, until)
        .await
        .unwrap();
    let request = world.submit("maya").await;
    let own = world.approve("maya", request).await;
    assert_eq!(text(own), "nobody decides their own request");
    let noors = world.submit("noor").await;
    world.approve("maya", noors).await.unwrap().unwrap();
    world
        .control
        .end_delegation(&dana, &maya.name)
        .await
        .unwrap();
    let again = world.control.end_delegation(&dana, &maya.name).await;
    assert!(matches!(again, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn an_extension_that_is_approved_moves_the_end_of_open_connections() {
    let world = World::new();
    let session = world.session().await;
    let permit = world.connect(&session);
    let before = permit.deadline();
    let state = world.extend(session.id, 30 * MINUTE).await.unwrap();
    assert_eq!(state, RequestState::Pending);
    let requests = world.control.requests(&caller("dana"), true).await.unwrap();
    let longer = world.approve("dana", requests[0].request.id).await;
    let longer = longer.unwrap().unwrap();
    assert_eq!(longer.id, session.id);
    assert_eq!(longer.expires_at, session.expires_at + 30 * MINUTE);
    assert_eq!(permit.expires_at(), longer.expires_at);
    permit.extended(before).await;
    // The old end comes and goes.
    world.pass(HOUR);
    world.admission.expire_due();
    world.control.patrol().await.unwrap();
    assert_eq!(world.stored(session.id).await.state, SessionState::Active);
    assert_eq!(world.admission.live_sessions(), 1);
    world.pass(30 * MINUTE);
    world.control.patrol().await.unwrap();
    assert_eq!(world.stored(session.id).await.state.name(), "expired");
    assert_eq!(permit.ended().await, crate::access::Ending::Expired);
}

#[tokio::test]
async fn a_short_extension_is_granted_by_the_policy_up_to_the_targets_limit() {
    let world = World::new();
    let session = world.session().await;
    let state = world.extend(session.id, 10 * MINUTE).await.unwrap();
    let RequestState::Approved { by, .. } = state else {
        panic!("{}", state.name());
    };
    assert_eq!(by.to_string(), "policy extend-a-little");
    let too_far = world.extend(session.id, 12 * HOUR).await;
    assert!(text(too_far).starts_with("the session cannot go on beyond"));
    // The policy counts them: the third is for people to decide.
    let states = [
        world.extend(session.id, MINUTE).await.unwrap(),
        world.extend(session.id, MINUTE).await.unwrap(),
    ];
    assert_eq!(states.map(|it| it.name()), ["approved", "pending"]);
    let others = world
        .control
        .extend(&caller("dana"), session.id, MINUTE, "x")
        .await;
    assert!(matches!(others, Err(Error::Forbidden(_))));
}

#[tokio::test]
async fn an_extension_never_revives_a_session_that_is_over() {
    let world = World::new();
    let session = world.session().await;
    world.extend(session.id, 30 * MINUTE).await.unwrap();
    let requests = world.control.requests(&caller("dana"), true).await.unwrap();
    let request = requests[0].request.id;
    world
        .control
        .revoke(&caller("maya"), session.id, "done")
        .await
        .unwrap();
    let late = world.approve("dana", request).await;
    assert_eq!(text(late), "the session cannot be extended: it is revoked");
    let late = world.extend(session.id, MINUTE).await;
    assert!(matches!(late, Err(Error::Conflict(_))));
    assert_eq!(world.admission.live_sessions(), 0);
    let expired = world.session().await;
    world.pass(HOUR);
    let late = world.extend(expired.id, MINUTE).await;
    assert!(matches!(late, Err(Error::Conflict(_))));
}

#[tokio::test]
async fn an_extension_that_the_audit_does_not_have_does_not_open_anything() {
    let world = World::new();
    let session = world.session().await;
    world.break_audit(true);
    let granted = world.extend(session.id, 10 * MINUTE).await;
    assert!(matches!(granted, Err(Error::AuditUnavailable(_))));
    let permit = world.connect(&session);
    assert_eq!(permit.expires_at(), session.expires_at);
    world.break_audit(false);
    world.control.patrol().await.unwrap();
    assert_eq!(permit.expires_at(), session.expires_at + 10 * MINUTE);
}

#[tokio::test]
async fn a_broken_glass_opens_at_once_and_leaves_a_review_for_somebody_else() {
    let world = World::new();
    let control = &world.control;
    let session = world.break_glass("maya").await;
    assert_eq!(world.admission.live_sessions(), 1);
    let stored = world.stored(session).await;
    assert_eq!(stored.approved_by.to_string(), "policy glass");
    let metrics = String::from_utf8(world.metrics.encode()).unwrap();
    assert!(metrics.contains("hallpass_reviews_open 1"), "{metrics}");
    for who in ["maya", "noor", "omar"] {
        let closed = control.close_review(&caller(who), session, "fine").await;
        assert!(closed.is_err(), "{who}");
    }
    // What is still to come could not be looked at; and nobody prolongs unasked what nobody approved.
    let early = control.close_review(&caller("dana"), session, "fine").await;
    assert!(matches!(early, Err(Error::Conflict(_))));
    assert_eq!(
        world.extend(session, MINUTE).await.unwrap().name(),
        "pending"
    );
    // It does not lapse.
    world.pass(100 * HOUR);
    world.control.patrol().await.unwrap();
    let silent = control.close_review(&caller("dana"), session, " ").await;
    assert!(matches!(silent, Err(Error::Invalid(_))));
    let open = control.reviews(&caller("dana"), true).await.unwrap();
    assert_eq!(open.len(), 1);
    control
        .close_review(&caller("dana"), session, "fine")
        .await
        .unwrap();
    let again = control.close_review(&caller("lee"), session, "fine").await;
    assert!(matches!(again, Err(Error::Conflict(_))));
    assert_eq!(world.audit_types().last().unwrap(), "review_closed");
    let billing = Ask {
        break_glass: true,
        ..Ask::new("billing".parse().unwrap(), HOUR, "all is down")
    };
    let refused = control.submit(&caller("maya"), billing).await;
    assert!(text(refused).starts_with("you may not break the glass"));
}

#[tokio::test]
async fn a_policy_that_grants_alone_opens_the_session_at_submission() {
    let world = World::new();
    let ask = Ask::new("orders-ro".parse().unwrap(), HOUR, "staging check");
    let status = world
        .control
        .submit(&caller("maya"), ask.clone())
        .await
        .unwrap();
    let RequestState::Approved { by, .. } = status.request.state else {
        panic!("{}", status.request.state.name());
    };
    assert_eq!(by.to_string(), "policy staging-alone");
    assert_eq!(world.admission.live_sessions(), 1);
    assert_eq!(
        world.audit_types(),
        ["request_submitted", "request_approved"]
    );
    let second = world.control.submit(&caller("maya"), ask).await;
    assert!(text(second).starts_with("maya already has a session"));
}

#[tokio::test]
async fn a_session_with_a_start_opens_then_and_only_then() {
    let world = World::new();
    let start = world.clock.now() + 2 * HOUR;
    let ask = Ask {
        starts_at: Some(start),
        ..Ask::new("orders-ro".parse().unwrap(), HOUR, "CHG-7")
    };
    let asked = world.control.submit(&caller("maya"), ask).await.unwrap();
    let session = world
        .approve("dana", asked.request.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(session.state, SessionState::Scheduled);
    assert_eq!(world.admission.live_sessions(), 0);
    world.pass(HOUR);
    let world = world.restart().await;
    world.control.recover().await.unwrap();
    assert_eq!(world.admission.live_sessions(), 0);
    world.pass(HOUR);
    world.control.patrol().await.unwrap();
    assert_eq!(world.admission.live_sessions(), 1);
    let begun = world.stored(session.id).await;
    assert_eq!(
        (begun.state, begun.expires_at),
        (SessionState::Active, start + HOUR)
    );
    assert_eq!(world.audit_types().last().unwrap(), "session_started");
    world.pass(HOUR);
    world.control.patrol().await.unwrap();
    assert_eq!(world.admission.live_sessions(), 0);
}

#[tokio::test]
async fn rules_that_change_end_what_they_no_longer_allow_if_that_is_wanted() {
    let world = World::new();
    world.control.recover().await.unwrap();
    let session = world.session().await;
    let permit = world.connect(&session);
    let nobody = || {
        let mut rules = rules();
        rules.policy = rules_of("").policy;
        rules
    };
    world.control.set_rules(nobody());
    assert_eq!(world.admission.live_sessions(), 1, "kept");
    assert_eq!(world.control.review_sessions(None).await.unwrap(), 1);
    let ending = permit.ended().await;
    let crate::access::Ending::Revoked { by, .. } = ending else {
        panic!("{ending:?}");
    };
    assert_eq!(by.as_str(), crate::access::HALLPASS);
    assert_eq!(world.stored(session.id).await.state.name(), "revoked");
    assert_eq!(world.audit_types().last().unwrap(), "session_revoked");
}

#[tokio::test]
async fn nobody_is_granted_what_they_may_no_longer_ask_for() {
    let world = World::new();
    let request = world.submit("maya").await;
    world.control.set_rules(rules_of(
        "@id(\"owners-decide\")
         permit (principal, action in [Action::\"view\", Action::\"approve\"], resource)
         when { principal in resource.owners };",
    ));
    let refused = world.approve("dana", request).await;
    assert_eq!(
        text(refused),
        "the policy no longer lets maya have orders-ro"
    );
    assert_eq!(world.admission.live_sessions(), 0);
}

#[tokio::test]
async fn a_target_says_which_reasons_it_takes_but_only_to_those_who_may_ask() {
    let world = World::new();
    let mut rules = rules();
    let name = "orders-ro".parse().unwrap();
    let hint = Some("an incident's number".to_owned());
    let rule = ReasonRule::new(r"(?<ticket>INC-\d+)", hint).unwrap();
    rules.targets.get_mut(&name).unwrap().terms.reason = Some(rule);
    world.control.set_rules(rules);
    let ask = |reason: &str| Ask::new(name.clone(), HOUR, reason);
    let control: &std::sync::Arc<Control> = &world.control;
    let refused = control.submit(&caller("maya"), ask("stuck")).await;
    let wanted = "orders-ro wants another reason: an incident's number";
    assert_eq!(text(refused), wanted);
    let stranger = control.submit(&caller("sam"), ask("stuck")).await;
    assert!(matches!(stranger, Err(Error::NotFound(_))));
    let taken = control.submit(&caller("maya"), ask("INC-7 stuck")).await;
    assert_eq!(taken.unwrap().request.ticket.as_deref(), Some("INC-7"));
}

#[tokio::test]
async fn a_policy_limits_how_long_a_session_is_with_all_its_extensions() {
    let world = World::new();
    world.control.set_rules(rules_and(
        "@id(\"ninety-minutes\")
         forbid (principal, action in [Action::\"request\", Action::\"extend\"], resource)
         when { context has total && context.total > duration(\"90m\") };",
    ));
    let session = world.session().await;
    let too_long = world.extend(session.id, 31 * MINUTE).await;
    assert_eq!(text(too_long), "you may not have orders-ro for longer");
    // Each of these two would do, but not both.
    for _ in 0..2 {
        let state = world.extend(session.id, 20 * MINUTE).await.unwrap();
        assert_eq!(state, RequestState::Pending);
    }
    let requests = world.control.requests(&caller("dana"), true).await.unwrap();
    let first = world.approve("dana", requests[0].request.id).await;
    assert_eq!(first.unwrap().unwrap().length(), 80 * MINUTE);
    let second = world.approve("dana", requests[1].request.id).await;
    assert_eq!(
        text(second),
        "the policy no longer lets maya have orders-ro"
    );
    assert_eq!(world.stored(session.id).await.length(), 80 * MINUTE);
}

#[tokio::test]
async fn an_approver_of_short_sessions_shortens_a_request_to_what_they_may_grant() {
    let world = World::new();
    world.control.set_rules(rules_and(
        "@id(\"short\")
         forbid (principal == Principal::\"dana\", action == Action::\"approve\", resource)
         when { context has duration && context.duration > duration(\"30m\") };",
    ));
    let request = world.submit("maya").await;
    let dana = caller("dana");
    let seen = world.control.request(&dana, request).await.unwrap();
    assert!(seen.may_decide && seen.request.duration == HOUR);
    let refusal = "you may not approve orders-ro for so long; for 30m you may";
    assert_eq!(text(world.approve("dana", request).await), refusal);
    let cut = |minutes: u32| Some(minutes * MINUTE);
    let longer = world.control.approve(&dana, request, cut(31)).await;
    assert_eq!(text(longer), refusal);
    let shorter = world.control.approve(&dana, request, cut(30)).await;
    let (_, session) = shorter.unwrap();
    assert_eq!(session.unwrap().session.length(), 30 * MINUTE);
    let other = world.submit("noor").await;
    world.control.deny(&dana, other, "no").await.unwrap();
    let own = world.submit("noor").await;
    let hers = world.approve("noor", own).await;
    assert_eq!(text(hers), "nobody decides their own request");
}

impl World {
    /// A session of maya's, an hour long, that begins in `wait`, if nothing is in its way.
    async fn scheduled(&self, wait: Duration) -> Result<Session, Error> {
        let ask = Ask {
            starts_at: Some(self.clock.now() + wait),
            ..Ask::new("orders-ro".parse().unwrap(), HOUR, "CHG-7")
        };
        let asked = self.control.submit(&caller("maya"), ask).await.unwrap();
        let session = self.approve("dana", asked.request.id).await?;
        Ok(session.unwrap())
    }
}

#[tokio::test]
async fn what_is_scheduled_is_in_the_way_only_of_what_goes_on_at_the_same_time() {
    let world = World::new();
    let later = world.scheduled(2 * HOUR).await.unwrap();
    let refused = world.scheduled(3 * HOUR - MINUTE).await;
    let (start, end) = (later.starts_at, later.expires_at);
    assert_eq!(
        text(refused),
        format!("maya already has a session for orders-ro from {start} to {end}")
    );
    world.scheduled(3 * HOUR).await.unwrap();
    let now = world.session().await;
    assert_eq!(world.admission.live_sessions(), 1);
    // It may be extended up to there and no further.
    let maya = caller("maya");
    let requests = || world.control.requests(&maya, true);
    world.extend(now.id, HOUR + MINUTE).await.unwrap();
    let too_long = requests().await.unwrap()[0].request.id;
    let refused = world.approve("dana", too_long).await;
    assert!(text(refused).starts_with("maya already has a session"));
    world.extend(now.id, HOUR).await.unwrap();
    let longer = requests().await.unwrap()[0].request.id;
    world.approve("dana", longer).await.unwrap();
    // One takes over from the other.
    world.pass(2 * HOUR);
    world.control.patrol().await.unwrap();
    assert_eq!(world.stored(now.id).await.state.name(), "expired");
    assert_eq!(world.stored(later.id).await.state, SessionState::Active);
    assert_eq!(world.admission.live_sessions(), 1);
}

#[tokio::test]
async fn nothing_that_is_scheduled_keeps_anybody_from_breaking_the_glass() {
    let world = World::new();
    let later = world.scheduled(30 * MINUTE).await.unwrap();
    let glass = world.break_glass("maya").await;
    // Its start comes, but it waits until the other is over.
    world.pass(31 * MINUTE);
    let world = world.restart().await;
    world.control.recover().await.unwrap();
    world.control.patrol().await.unwrap();
    assert_eq!(world.stored(glass).await.state, SessionState::Active);
    assert_eq!(world.stored(later.id).await.state, SessionState::Scheduled);
    world.pass(30 * MINUTE);
    world.control.patrol().await.unwrap();
    let begun = world.stored(later.id).await;
    assert_eq!(
        (begun.state, begun.expires_at),
        (SessionState::Active, later.expires_at)
    );
    assert_eq!(world.admission.live_sessions(), 1);
}
