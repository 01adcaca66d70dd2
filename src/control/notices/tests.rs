//! What gets to whom, in which order, and what becomes of it when a channel fails.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{GIVE_UP, LONGEST, Telling, patience};
use crate::access::Stage;
use crate::control::testing::{HOUR, World, caller, rules_and};
use crate::notify::{Channel, Delivery, Failure, Kind, Notice};

/// What a channel got: to whom, what, and which place it was told of.
type Got = (String, Kind, Option<String>);

/// A channel that keeps what it gets, and fails when told so.
struct Pigeon {
    name: &'static str,
    recipients: bool,
    got: Mutex<Vec<Got>>,
    ids: Mutex<Vec<String>>,
    failure: Mutex<Option<Failure>>,
}

impl Pigeon {
    fn new(name: &'static str, recipients: bool) -> Arc<Self> {
        Arc::new(Self {
            name,
            recipients,
            got: Mutex::default(),
            ids: Mutex::default(),
            failure: Mutex::default(),
        })
    }

    fn fail(&self, failure: Option<Failure>) {
        *self.failure.lock() = failure;
    }

    fn got(&self) -> Vec<Got> {
        std::mem::take(&mut *self.got.lock())
    }

    fn kinds(&self) -> Vec<Kind> {
        self.got().into_iter().map(|(_, kind, _)| kind).collect()
    }
}

#[async_trait]
impl Channel for Pigeon {
    fn name(&self) -> &str {
        self.name
    }

    fn has_recipients(&self) -> bool {
        self.recipients
    }

    async fn deliver(&self, delivery: Delivery<'_>) -> Result<Option<String>, Failure> {
        let Notice { kind, id, .. } = delivery.notice;
        self.ids.lock().push(id.clone());
        if let Some(failure) = &*self.failure.lock() {
            return Err(failure.clone());
        }
        let place = delivery.place.map(str::to_owned);
        let got = (delivery.recipient.to_owned(), *kind, place);
        self.got.lock().push(got);
        Ok((!kind.is_final()).then(|| format!("{}/1", self.name)))
    }
}

/// A world with one channel for all, and one with recipients.
fn world() -> (World, Arc<Pigeon>, Arc<Pigeon>) {
    let (all, mail) = (Pigeon::new("all", false), Pigeon::new("mail", true));
    let world = World::telling(Telling {
        channels: vec![all.clone(), mail.clone()],
        slack: None,
        link_base: "https://hallpass.example.com".into(),
        ..Telling::default()
    });
    (world, all, mail)
}

async fn round(world: &World, channel: &Pigeon, answers: &mut bool) -> Duration {
    let round = world.control.tell_round(channel, answers).await;
    round.unwrap()
}

fn mails(pigeon: &Pigeon) -> Vec<(String, Kind)> {
    let mails = pigeon.got().into_iter();
    mails.map(|(to, kind, _)| (to, kind)).collect()
}

#[tokio::test]
async fn a_channel_gets_everything_in_order_and_finds_its_message_again() {
    let (world, all, _) = world();
    world.control.recover().await.unwrap();
    let session = world.session().await;
    let dana = caller("dana");
    let revoked = world.control.revoke(&dana, session.id, "done").await;
    revoked.unwrap();
    round(&world, &all, &mut true).await;
    let place = || Some("all/1".to_owned());
    let expected = [
        (String::new(), Kind::Submitted, None),
        (String::new(), Kind::Approved, place()),
        (String::new(), Kind::Revoked, place()),
    ];
    assert_eq!(all.got(), expected);
    // Nothing is left, and a look finds nothing.
    assert_eq!(round(&world, &all, &mut true).await, super::LOOK);
    assert_eq!(all.got(), []);
}

#[tokio::test]
async fn who_may_decide_is_asked_and_who_asked_is_answered() {
    let (world, _, mail) = world();
    world.control.recover().await.unwrap();
    let dana = caller("dana");
    let to = |names: &[&str], kind| -> Vec<(String, Kind)> {
        let mail = |name: &&str| (format!("{name}@example.com"), kind);
        names.iter().map(mail).collect()
    };
    let request = world.submit("maya").await;
    round(&world, &mail, &mut true).await;
    assert_eq!(mails(&mail), to(&["dana", "lee"], Kind::Submitted));
    world.control.deny(&dana, request, "no").await.unwrap();
    round(&world, &mail, &mut true).await;
    assert_eq!(mails(&mail), to(&["maya"], Kind::Denied));
    // What they did themselves they know.
    let session = world.session().await;
    let maya = caller("maya");
    world.control.revoke(&maya, session.id, "").await.unwrap();
    round(&world, &mail, &mut true).await;
    let mails = mails(&mail);
    assert!(
        mails.iter().all(|(_, kind)| *kind != Kind::Revoked),
        "{mails:?}"
    );
    world.submit("noor").await;
    world.pass(2 * HOUR);
    world.control.patrol().await.unwrap();
    round(&world, &mail, &mut true).await;
    let lapsed = ("noor@example.com".to_owned(), Kind::Lapsed);
    assert_eq!(self::mails(&mail).last(), Some(&lapsed));
}

#[tokio::test]
async fn each_stage_is_asked_when_its_turn_comes_and_those_who_stand_for_it() {
    let (world, all, mail) = world();
    world.control.recover().await.unwrap();
    let stage = |approvers: &[&str], count| Stage {
        approvers: approvers.iter().map(|&it| it.to_owned()).collect(),
        count,
        ..Stage::open()
    };
    let mut rules = rules_and(
        "@id(\"named\")
         permit (principal == Principal::\"omar\", action in [Action::\"view\", Action::\"approve\"], resource);",
    );
    let orders = rules.targets.get_mut(&"orders-ro".parse().unwrap());
    orders.unwrap().terms.stages = vec![stage(&["dana", "omar"], 2), stage(&["lee"], 1)];
    world.control.set_rules(rules);
    let (lee, iris, until) = (caller("lee"), caller("iris"), world.clock.now() + HOUR);
    world
        .control
        .delegate(&lee, &iris.name, until)
        .await
        .unwrap();
    let to = |names: &[&str], kind| -> Vec<(String, Kind)> {
        let mail = |name: &&str| (format!("{name}@example.com"), kind);
        names.iter().map(mail).collect()
    };
    let request = world.submit("maya").await;
    round(&world, &mail, &mut true).await;
    assert_eq!(mails(&mail), to(&["dana", "omar"], Kind::Submitted));
    for approver in ["omar", "dana"] {
        let approved = world
            .control
            .approve(&caller(approver), request, None)
            .await;
        approved.unwrap();
    }
    round(&world, &mail, &mut true).await;
    assert_eq!(mails(&mail), to(&["iris", "lee"], Kind::NextStage));
    round(&world, &all, &mut true).await;
    assert_eq!(all.kinds(), [Kind::Submitted, Kind::NextStage]);
}

#[tokio::test]
async fn what_fails_is_tried_again_as_the_same_and_in_order() {
    let (world, all, _) = world();
    world.control.recover().await.unwrap();
    all.fail(Some(Failure::Unreachable("nobody there".into())));
    let request = world.submit("maya").await;
    let mut answers = true;
    let wait = round(&world, &all, &mut answers).await;
    assert!(!answers && wait <= Duration::from_secs(2), "{wait:?}");
    // Not before its time, and what comes behind neither.
    let dana = caller("dana");
    world.control.approve(&dana, request, None).await.unwrap();
    round(&world, &all, &mut answers).await;
    assert_eq!(all.ids.lock().len(), 1);
    all.fail(None);
    world.pass(Duration::from_secs(3));
    round(&world, &all, &mut answers).await;
    assert_eq!(all.kinds(), [Kind::Submitted, Kind::Approved]);
    let ids = all.ids.lock();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
}

#[tokio::test]
async fn one_who_answers_again_gets_all_that_waits_at_once() {
    let (world, all, _) = world();
    world.control.recover().await.unwrap();
    all.fail(Some(Failure::Unreachable("nobody there".into())));
    let mut answers = true;
    for _ in 0..12 {
        world.submit("maya").await;
        round(&world, &all, &mut answers).await;
        world.pass(Duration::from_secs(200));
    }
    all.fail(None);
    world.submit("noor").await;
    round(&world, &all, &mut answers).await;
    assert!(answers);
    assert_eq!(all.kinds().len(), 13);
}

#[tokio::test]
async fn one_letter_that_is_refused_holds_up_no_other() {
    let (world, all, _) = world();
    world.control.recover().await.unwrap();
    world.submit("maya").await;
    let refused = Failure::Refused {
        why: "no".into(),
        retry_after: Some(Duration::from_secs(60)),
    };
    all.fail(Some(refused));
    round(&world, &all, &mut true).await;
    all.fail(None);
    world.submit("noor").await;
    round(&world, &all, &mut true).await;
    assert_eq!(all.kinds(), [Kind::Submitted]);
    world.pass(Duration::from_secs(61));
    round(&world, &all, &mut true).await;
    assert_eq!(all.kinds(), [Kind::Submitted]);
}

#[tokio::test]
async fn after_days_or_when_told_to_go_a_notice_is_given_up() {
    let (world, all, _) = world();
    world.control.recover().await.unwrap();
    let metric = |outcome: &str| {
        let text = String::from_utf8(world.metrics.encode()).unwrap();
        let line = format!("hallpass_notices_total{{channel=\"all\",outcome=\"{outcome}\"}} ");
        let value = text.lines().find_map(|it| it.strip_prefix(&line));
        value.map(|value| value.parse::<u32>().unwrap())
    };
    world.submit("maya").await;
    all.fail(Some(Failure::refused("no")));
    round(&world, &all, &mut true).await;
    assert_eq!((metric("failed"), metric("given_up")), (Some(1), Some(0)));
    let text = String::from_utf8(world.metrics.encode()).unwrap();
    assert!(text.contains("hallpass_notice_oldest_seconds{channel=\"all\"} 0"));
    world.pass(GIVE_UP);
    round(&world, &all, &mut true).await;
    assert_eq!((metric("failed"), metric("given_up")), (Some(1), Some(1)));
    world.submit("noor").await;
    all.fail(Some(Failure::Gone("go away".into())));
    round(&world, &all, &mut true).await;
    assert_eq!(metric("given_up"), Some(2));
    all.fail(None);
    round(&world, &all, &mut true).await;
    assert_eq!(all.kinds(), []);
}

#[tokio::test]
async fn the_tasks_deliver_as_it_happens_and_end_when_told() {
    let (world, all, mail) = world();
    world.control.recover().await.unwrap();
    let stop = CancellationToken::new();
    let telling = tokio::spawn(Arc::clone(&world.control).tell(stop.clone()));
    let mut changes = world.control.changes();
    world.submit("maya").await;
    changes.changed().await.unwrap();
    let told = || all.got.lock().len() == 1 && mail.got.lock().len() == 2;
    let all_told = async {
        while !told() {
            tokio::task::yield_now().await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(10), all_told).await;
    told.unwrap();
    stop.cancel();
    telling.await.unwrap();
}

#[test]
fn waits_grow_to_an_hour_and_heed_what_was_asked_for() {
    let failure = Failure::refused("no");
    assert!(patience(1, &failure) <= Duration::from_secs(2));
    assert!((2..10).all(|n| patience(n, &failure) >= Duration::from_secs(1 << (n - 1))));
    for attempts in [13, 20, 1000] {
        assert_eq!(patience(attempts, &failure), LONGEST);
    }
    let asked = |seconds| Failure::Refused {
        why: "slowly".into(),
        retry_after: Some(Duration::from_secs(seconds)),
    };
    assert_eq!(patience(1, &asked(99)), Duration::from_secs(99));
    assert_eq!(patience(1, &asked(99_999)), LONGEST);
}

#[tokio::test]
async fn a_test_goes_to_each_channel_or_to_the_one_that_was_named() {
    let (world, all, mail) = world();
    let ada = caller("ada");
    let tried = world.control.try_channels(&ada, None).await.unwrap();
    assert!(tried.iter().all(|it| it.failure.is_none()), "{tried:?}");
    assert_eq!(all.kinds(), [Kind::Test]);
    let own = ("ada@example.com".to_owned(), Kind::Test);
    assert_eq!(mails(&mail), [own]);
    mail.fail(Some(Failure::refused("no")));
    let tried = world.control.try_channels(&ada, Some("mail")).await;
    let tried = tried.unwrap();
    assert_eq!(tried.len(), 1);
    assert_eq!(tried[0].failure, Some(Failure::refused("no")));
    let unknown = world.control.try_channels(&ada, Some("fax")).await;
    let unknown = unknown.unwrap_err().to_string();
    assert!(unknown.ends_with("there are all, mail"), "{unknown}");
    let iris = world.control.try_channels(&caller("iris"), None).await;
    assert!(matches!(iris, Err(super::Error::Forbidden(_))));
}
