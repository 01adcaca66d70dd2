use super::super::{
    Circumstances, Databases, Principal, PrincipalKind, ReasonRule, RequestId, Stage, Submission,
    SubmissionError, Target, Terms, Wanted,
};
use super::*;

fn target(stages: Vec<Stage>) -> Target {
    Target {
        name: "orders-ro".parse().unwrap(),
        description: String::new(),
        databases: Databases::All,
        default_database: "orders".into(),
        max_duration: Duration::from_secs(3600),
        max_connections: 10,
        idle_timeout: None,
        replication: false,
        owners: Vec::new(),
        environment: "production".into(),
        read_only: false,
        labels: Vec::new(),
        terms: Terms {
            stages,
            max_extension: Duration::from_secs(600),
            ..Terms::default()
        },
    }
}

fn submit_to(
    target: &Target,
    wanted: Wanted<'_>,
    seconds: u64,
    reason: &str,
) -> Result<AccessRequest, SubmissionError> {
    let submission = Submission {
        requester: "maya".parse().unwrap(),
        wanted,
        duration: Duration::from_secs(seconds),
        reason: reason.into(),
        circumstances: Circumstances::default(),
    };
    let id = RequestId::from_random(1);
    let lapse = Duration::from_secs(600);
    AccessRequest::submit(id, submission, target, lapse, Timestamp::UNIX_EPOCH)
}

const NOW: Wanted<'_> = Wanted::Session { starts_at: None };

fn submit(seconds: u64, reason: &str) -> Result<AccessRequest, SubmissionError> {
    submit_to(&target(Vec::new()), NOW, seconds, reason)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn principal(name: &str) -> Principal {
    Principal {
        name: name.parse().unwrap(),
        groups: Vec::new(),
        kind: PrincipalKind::Person,
    }
}

fn approve(
    request: AccessRequest,
    by: &str,
    now: i64,
) -> Result<(AccessRequest, Session), TransitionError> {
    let request = request.approve(Approver::own(&principal(by)), None, at(now))?;
    let by = request.approved_by().ok_or(TransitionError::Undecided)?;
    request.grant(by, SessionId::from_random(2), at(now))
}

fn deny(request: AccessRequest, by: &str, now: i64) -> Result<AccessRequest, TransitionError> {
    request.deny(Approver::own(&principal(by)), "no", at(now))
}

#[test]
fn a_submission_needs_a_reason_and_a_duration_within_bounds() {
    assert!(submit(60, "INC-1").is_ok());
    assert_eq!(submit(60, " \n"), Err(SubmissionError::NoReason));
    assert_eq!(submit(0, "x"), Err(SubmissionError::TooShort));
    assert!(matches!(
        submit(3601, "x"),
        Err(SubmissionError::TooLong { .. })
    ));
    assert_eq!(
        submit(60, &"x".repeat(2001)),
        Err(SubmissionError::LongReason)
    );
}

#[test]
fn a_reason_that_the_target_does_not_want_is_refused_with_its_hint() {
    let mut target = target(Vec::new());
    let hint = Some("the number of an incident".to_owned());
    target.terms.reason = Some(ReasonRule::new(r"(?<ticket>INC-\d+)", hint).unwrap());
    let refused = submit_to(&target, NOW, 60, "stuck").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "orders-ro wants another reason: the number of an incident"
    );
    let request = submit_to(&target, NOW, 60, "INC-7 stuck").unwrap();
    assert_eq!(request.ticket.as_deref(), Some("INC-7"));
}

#[test]
fn a_session_counts_from_its_approval() {
    let (request, session) = approve(submit(60, "x").unwrap(), "dana", 10).unwrap();
    assert_eq!(session.starts_at, at(10));
    assert_eq!(session.expires_at, at(70));
    assert_eq!(session.principal, request.requester);
    assert_eq!(request.state.name(), "approved");
    assert_eq!((request.version, session.version), (2, 1));
}

#[test]
fn a_session_with_a_start_counts_from_there_unless_it_is_approved_later() {
    let start = |second| Wanted::Session {
        starts_at: Some(at(second)),
    };
    let ask = |second| submit_to(&target(Vec::new()), start(second), 60, "x");
    assert_eq!(ask(0), Err(SubmissionError::Past));
    assert_eq!(ask(31 * 24 * 3600), Err(SubmissionError::FarAhead));
    // It waits for its decision until its start.
    let request = ask(1000).unwrap();
    assert_eq!(request.lapses_at, at(1000));
    let (_, session) = approve(request, "dana", 700).unwrap();
    assert_eq!(session.state, SessionState::Scheduled);
    assert_eq!(
        (session.starts_at, session.expires_at),
        (at(1000), at(1060))
    );
    let (_, late) = approve(ask(100).unwrap(), "dana", 300).unwrap();
    assert_eq!(late.state, SessionState::Active);
    assert_eq!((late.starts_at, late.expires_at), (at(300), at(360)));
}

#[test]
fn nobody_approves_or_denies_their_own_request() {
    let request = submit(60, "x").unwrap();
    assert_eq!(
        approve(request.clone(), "maya", 1).unwrap_err(),
        TransitionError::OwnRequest
    );
    assert_eq!(
        deny(request.clone(), "maya", 1).unwrap_err(),
        TransitionError::OwnRequest
    );
    // Nor does anybody for them, nor they by another's powers.
    for (by, powers) in [("dana", "maya"), ("maya", "dana")] {
        let (by, powers) = (principal(by).name, principal(powers));
        let approver = Approver {
            by: &by,
            powers: &powers,
        };
        let own = request.clone().approve(approver, None, at(1));
        assert_eq!(own.unwrap_err(), TransitionError::OwnRequest);
    }
    let maya = Grantor::from(request.requester.clone());
    let forged = request.grant(maya, SessionId::from_random(2), at(1));
    assert_eq!(forged.unwrap_err(), TransitionError::Undecided);
}

#[test]
fn a_decision_is_final() {
    let denied = deny(submit(60, "x").unwrap(), "dana", 1).unwrap();
    assert_eq!(
        approve(denied, "dana", 2).unwrap_err(),
        TransitionError::NotPending("denied")
    );
    let withdrawn = submit(60, "x")
        .unwrap()
        .withdraw(&"maya".parse().unwrap(), at(1))
        .unwrap();
    assert_eq!(
        approve(withdrawn, "dana", 2).unwrap_err(),
        TransitionError::NotPending("withdrawn")
    );
}

#[test]
fn a_request_past_its_time_cannot_be_approved_even_before_it_is_marked() {
    assert_eq!(
        approve(submit(60, "x").unwrap(), "dana", 600).unwrap_err(),
        TransitionError::NotPending("lapsed")
    );
}

fn stage(approvers: &[&str], count: u32) -> Stage {
    Stage {
        approvers: approvers.iter().map(|&name| name.to_owned()).collect(),
        count,
        ..Stage::open()
    }
}

#[test]
fn every_stage_takes_its_number_of_different_people() {
    let stages = vec![
        stage(&["dana", "lee", "omar"], 2),
        stage(&["dana", "noor"], 1),
    ];
    let mut request = submit_to(&target(stages), NOW, 60, "x").unwrap();
    let by = |request: &AccessRequest, who: &str| {
        let request = request.clone();
        request.approve(Approver::own(&principal(who)), None, at(1))
    };
    let other = by(&request, "noor").unwrap_err();
    let others = "this stage of the approval is up to others: dana, lee, omar";
    assert_eq!(other.to_string(), others);
    request = by(&request, "dana").unwrap();
    assert_eq!(by(&request, "dana").unwrap_err(), TransitionError::Twice);
    request = by(&request, "lee").unwrap();
    // The same person in two stages.
    assert_eq!(by(&request, "dana").unwrap_err(), TransitionError::Twice);
    let undecided = request.clone().grant(
        Grantor::from("dana".parse::<PrincipalName>().unwrap()),
        SessionId::from_random(2),
        at(1),
    );
    assert_eq!(undecided.unwrap_err(), TransitionError::Undecided);
    let (request, session) = approve(request, "noor", 2).unwrap();
    assert_eq!(session.approved_by.to_string(), "dana, lee, noor");
    assert_eq!(request.version, 4);
}

#[test]
fn one_person_is_not_two_by_a_delegation() {
    let stages = vec![stage(&["dana", "omar"], 2)];
    let request = submit_to(&target(stages), NOW, 60, "x").unwrap();
    let (lee, dana, omar) = (principal("lee"), principal("dana"), principal("omar"));
    let for_dana = Approver {
        by: &lee.name,
        powers: &dana,
    };
    let once = request.approve(for_dana, None, at(1)).unwrap();
    let behalf = once.chain.approvals[0].on_behalf_of.clone();
    assert_eq!(behalf, Some(dana.name.clone()));
    // Neither who decided, nor whose powers it was.
    let for_omar = Approver {
        by: &lee.name,
        powers: &omar,
    };
    for again in [for_omar, Approver::own(&dana)] {
        let twice = once.clone().approve(again, None, at(2));
        assert_eq!(twice.unwrap_err(), TransitionError::Twice);
    }
    let full = once.approve(Approver::own(&omar), None, at(2)).unwrap();
    assert_eq!(full.approved_by().unwrap().to_string(), "lee, omar");
}

#[test]
fn a_stage_escalates_once_and_only_while_it_waits() {
    let mut first = stage(&["dana"], 1);
    first.escalate_after = Some(Duration::from_secs(60));
    first.escalate_to = vec!["lee".into()];
    let request = submit_to(&target(vec![first]), NOW, 60, "x").unwrap();
    assert!(request.clone().escalate(at(59)).is_none());
    assert!(approve(request.clone(), "lee", 59).is_err());
    // Whoever it escalates to may decide from then on, whether or not that is noted.
    assert!(approve(request.clone(), "lee", 60).is_ok());
    let escalated = request.escalate(at(60)).unwrap();
    assert!(escalated.clone().escalate(at(61)).is_none());
    assert!(approve(escalated.clone(), "lee", 61).is_ok());
    assert!(
        deny(escalated, "dana", 61)
            .unwrap()
            .escalate(at(62))
            .is_none()
    );
}

#[test]
fn an_approver_may_shorten_but_not_lengthen_and_the_shortest_holds() {
    let stages = vec![stage(&[], 1), stage(&[], 1)];
    let request = submit_to(&target(stages), NOW, 60, "x").unwrap();
    let by = |request: AccessRequest, who: &str, seconds| {
        let shorter = Some(Duration::from_secs(seconds));
        request.approve(Approver::own(&principal(who)), shorter, at(0))
    };
    let longer = by(request.clone(), "dana", 61);
    assert_eq!(longer.unwrap_err(), TransitionError::Lengthened);
    let request = by(request, "dana", 5).unwrap();
    let request = by(request, "lee", 30).unwrap();
    let grantor = request.approved_by().unwrap();
    let (_, session) = request
        .grant(grantor, SessionId::from_random(2), at(0))
        .unwrap();
    assert_eq!(session.expires_at, at(5));
}

#[test]
fn an_extension_is_a_request_that_moves_the_end_of_its_own_session() {
    let target = target(Vec::new());
    let (_, session) = approve(submit(3600, "x").unwrap(), "dana", 0).unwrap();
    let more = |seconds| submit_to(&target, Wanted::Extension(&session), seconds, "more");
    assert_eq!(
        more(601),
        Err(SubmissionError::Session(TransitionError::TooFar(at(4200))))
    );
    let request = more(600).unwrap();
    assert_eq!(request.lapses_at, at(600));
    let dana = principal("dana");
    let request = request.approve(Approver::own(&dana), None, at(5)).unwrap();
    let by = request.approved_by().unwrap();
    let as_session = request
        .clone()
        .grant(by.clone(), SessionId::from_random(9), at(5));
    assert_eq!(as_session.unwrap_err(), TransitionError::OtherSession);
    let mut other = session.clone();
    other.id = SessionId::from_random(9);
    let longest = target.longest();
    let elsewhere = request.clone().extend(by.clone(), other, longest, at(5));
    assert_eq!(elsewhere.unwrap_err(), TransitionError::OtherSession);
    let (request, longer) = request.extend(by, session, longest, at(5)).unwrap();
    assert_eq!((longer.expires_at, longer.version), (at(4200), 2));
    assert_eq!((request.state.name(), request.version), ("approved", 2));
}

#[test]
fn what_a_policy_grants_names_the_policy() {
    let request = submit(60, "x").unwrap();
    let policy = Grantor::Policy(vec!["staging-alone".into()]);
    let (request, session) = request
        .grant(policy, SessionId::from_random(2), at(0))
        .unwrap();
    assert_eq!(session.approved_by.to_string(), "policy staging-alone");
    assert_eq!(request.version, 1);
    let again = request.grant(session.approved_by, session.id, at(1));
    assert_eq!(again.unwrap_err(), TransitionError::NotPending("approved"));
}
