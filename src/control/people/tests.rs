//! Who gets in, with what, and who does not; whatever is wrong, in the same words.

mod accounts;
mod provider;
mod tokens;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use totp_rs::Builder;

use super::super::testing::{HOUR, World, at, caller, identity, rules, token};
use super::super::{
    Ask, Error, FrontDesk, Identity, Job, Made, MakeToken, NewAccount, Own, SignIn,
};
use crate::access::{Caller, Right, Scope, Session, SessionState, TokenOrigin};
use crate::asking::Desk;
use crate::audit::Event;
use crate::identity::{Directory, Entry, StandIn, hash};
use crate::secret::{Secret, ServerKey};
use crate::store::{AccountChange, Accounts, Delegations, Filter, Store};

const PASSWORD: &str = "correct horse battery";

fn peer() -> Option<IpAddr> {
    Some("192.0.2.7".parse().unwrap())
}

fn ask(name: &str, password: &str, code: Option<&str>) -> SignIn {
    SignIn {
        name: name.into(),
        password: Secret::new(password),
        code: code.map(Into::into),
        new_password: None,
    }
}

fn own(code: Option<&str>) -> Own {
    Own {
        password: Secret::new(PASSWORD),
        code: code.map(Into::into),
    }
}

fn code_at(address: &str, now: Timestamp) -> String {
    let totp = totp_rs::Totp::from_url(address).unwrap();
    let second = u64::try_from(now.as_second()).unwrap();
    totp.generate(second).to_string()
}

impl World {
    async fn add(&self, name: &str, groups: &[&str]) -> Secret {
        let new = NewAccount {
            name: name.parse().unwrap(),
            groups: groups.iter().map(|&group| group.into()).collect(),
            email: None,
            service: false,
        };
        let (_, code) = self.control.add_account(&caller("ada"), new).await.unwrap();
        code.unwrap()
    }

    async fn sign_in(&self, asked: SignIn) -> Result<Made, Error> {
        self.control.sign_in(asked, peer()).await
    }

    /// An account with [`PASSWORD`], signed in.
    async fn settle(&self, name: &str, groups: &[&str]) -> Made {
        let code = self.add(name, groups).await;
        let asked = SignIn {
            new_password: Some(Secret::new(PASSWORD)),
            ..ask(name, code.expose(), None)
        };
        self.sign_in(asked).await.unwrap()
    }

    async fn who(&self, token: &Secret) -> Option<Caller> {
        self.control.authenticate(token, peer()).await.unwrap()
    }

    /// Gives the account a second factor: its address, and the recovery codes.
    async fn second_factor(&self, by: &Caller) -> (String, Vec<Secret>) {
        let totp = self.control.begin_totp(by, own(None)).await.unwrap();
        let address = totp.address().expose().to_owned();
        let code = code_at(&address, self.clock.now());
        let codes = self.control.confirm_totp(by, &code).await.unwrap();
        self.pass(std::time::Duration::from_secs(60));
        (address, codes)
    }
}

fn is_refused(result: &Result<Made, Error>) -> bool {
    matches!(result, Err(Error::SignIn))
}

#[tokio::test]
async fn a_person_is_added_chooses_a_password_and_signs_in() {
    let world = World::new();
    let setup = world.add("zoe", &["engineers"]).await;
    let needed = world.sign_in(ask("zoe", setup.expose(), None)).await;
    assert!(matches!(needed, Err(Error::PasswordNeeded)));
    let weak = SignIn {
        new_password: Some(Secret::new("short")),
        ..ask("zoe", setup.expose(), None)
    };
    assert!(matches!(world.sign_in(weak).await, Err(Error::Invalid(_))));
    let first = SignIn {
        new_password: Some(Secret::new(PASSWORD)),
        ..ask("Zoe", setup.expose(), None)
    };
    let made = world.sign_in(first).await.unwrap();
    assert!(made.secret.expose().starts_with("hp_pat_"));
    let who = world.who(&made.secret).await.unwrap();
    assert_eq!(who.name.as_str(), "zoe");
    assert_eq!(who.groups, ["engineers"]);
    assert!(!who.mfa && who.scope.is_none() && who.address == peer());

    assert!(is_refused(
        &world.sign_in(ask("zoe", setup.expose(), None)).await
    ));
    world.sign_in(ask("zoe", PASSWORD, None)).await.unwrap();
    world.pass(13 * HOUR);
    assert!(world.who(&made.secret).await.is_none(), "12 hours are over");
    let types = world.audit_types();
    assert_eq!(
        types,
        ["account_added", "signed_in", "sign_in_failed", "signed_in"]
    );
}

#[tokio::test]
async fn whatever_is_wrong_the_answer_is_the_same_and_the_audit_knows() {
    let world = World::new();
    world.settle("zoe", &[]).await;
    let disabled = world.settle("eve", &[]).await;
    let ada = caller("ada");
    world
        .control
        .disable_account(&ada, "eve", true)
        .await
        .unwrap();
    assert!(world.who(&disabled.secret).await.is_none());
    let mut took = Vec::new();
    for (name, password) in [
        ("zoe", "wrong horse battery"),
        ("nobody", PASSWORD),
        ("eve", PASSWORD),
        ("maya", PASSWORD),
        ("no ~ name\u{1b}[2J", PASSWORD),
    ] {
        let before = std::time::Instant::now();
        let refused = world.sign_in(ask(name, password, None)).await;
        took.push(before.elapsed().as_millis());
        assert_eq!(
            refused.unwrap_err().to_string(),
            "the name, the password or the code is wrong, or the account cannot sign in now"
        );
    }
    assert!(took.iter().all(|&took| took >= 300), "{took:?}");
    let reasons: Vec<_> = world
        .audit()
        .into_iter()
        .filter_map(|event| match event {
            Event::SignInFailed {
                principal, reason, ..
            } => Some((principal.map(|it| it.to_string()), reason)),
            _ => None,
        })
        .collect();
    let known = |name: &str, reason: &str| (Some(name.to_owned()), reason.to_owned());
    let nobody = (None, "there is no such account".to_owned());
    assert_eq!(
        reasons,
        [
            known("zoe", "the password is wrong"),
            nobody.clone(),
            known("eve", "the account is disabled"),
            nobody.clone(),
            nobody
        ]
    );
}

#[tokio::test]
async fn guesses_lock_an_account_even_for_the_right_password_and_longer_each_time() {
    let world = World::new();
    world.settle("zoe", &[]).await;
    for _ in 0..5 {
        assert!(is_refused(&world.sign_in(ask("zoe", "wrong", None)).await));
    }
    assert!(is_refused(&world.sign_in(ask("zoe", PASSWORD, None)).await));
    world.pass(std::time::Duration::from_secs(31));
    assert!(is_refused(&world.sign_in(ask("zoe", "wrong", None)).await));
    world.pass(std::time::Duration::from_secs(31));
    assert!(is_refused(&world.sign_in(ask("zoe", PASSWORD, None)).await));
    world.pass(std::time::Duration::from_secs(31));
    world.sign_in(ask("zoe", PASSWORD, None)).await.unwrap();
    assert!(is_refused(&world.sign_in(ask("zoe", "wrong", None)).await));
    world.sign_in(ask("zoe", PASSWORD, None)).await.unwrap();
}

#[tokio::test]
async fn guesses_at_once_do_not_get_around_the_lock() {
    let world = World::new();
    world.settle("zoe", &[]).await;
    let guesses = (0..12).map(|_| world.sign_in(ask("zoe", "wrong", None)));
    futures_util::future::join_all(guesses).await;
    let looked_at = world.audit().into_iter().filter(|event| {
        matches!(event, Event::SignInFailed { reason, .. } if reason == "the password is wrong")
    });
    assert_eq!(looked_at.count(), 5);
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_each_code_is_good_once() {
    let world = World::new();
    let made = world.settle("zoe", &[]).await;
    let zoe = world.who(&made.secret).await.unwrap();
    let (address, _) = world.second_factor(&zoe).await;
    assert!(is_refused(&world.sign_in(ask("zoe", PASSWORD, None)).await));
    let wrong = world.sign_in(ask("zoe", PASSWORD, Some("000000"))).await;
    assert!(is_refused(&wrong));
    let code = code_at(&address, world.clock.now());
    let made = world.sign_in(ask("zoe", PASSWORD, Some(&code))).await;
    assert!(world.who(&made.unwrap().secret).await.unwrap().mfa);
    let replayed = world.sign_in(ask("zoe", PASSWORD, Some(&code))).await;
    assert!(is_refused(&replayed));
    // A step before the one that was used is no better.
    let earlier = world.clock.now() - std::time::Duration::from_secs(30);
    let earlier = code_at(&address, earlier);
    assert!(is_refused(
        &world.sign_in(ask("zoe", PASSWORD, Some(&earlier))).await
    ));
    world.pass(std::time::Duration::from_secs(30));
    let next = code_at(&address, world.clock.now());
    world
        .sign_in(ask("zoe", PASSWORD, Some(&next)))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_code_shown_twice_at_once_is_good_once() {
    let world = World::new();
    let made = world.settle("zoe", &[]).await;
    let zoe = world.who(&made.secret).await.unwrap();
    let (address, _) = world.second_factor(&zoe).await;
    let code = code_at(&address, world.clock.now());
    let both = (0..2).map(|_| world.sign_in(ask("zoe", PASSWORD, Some(&code))));
    let both = futures_util::future::join_all(both).await;
    assert_eq!(both.iter().filter(|it| it.is_ok()).count(), 1);
}

#[tokio::test]
async fn a_recovery_code_stands_in_once_and_a_new_factor_brings_new_ones() {
    let world = World::new();
    let made = world.settle("zoe", &[]).await;
    let zoe = world.who(&made.secret).await.unwrap();
    let (_, codes) = world.second_factor(&zoe).await;
    let code = codes[3].expose().to_uppercase();
    let made = world.sign_in(ask("zoe", PASSWORD, Some(&code))).await;
    assert!(made.unwrap().token.mfa);
    let again = world.sign_in(ask("zoe", PASSWORD, Some(&code))).await;
    assert!(is_refused(&again));
    let used = world
        .audit()
        .into_iter()
        .any(|event| matches!(event, Event::SignedIn { recovery: true, .. }));
    assert!(used);
    let removing = own(Some(codes[4].expose()));
    world.control.remove_totp(&zoe, removing).await.unwrap();
    world.sign_in(ask("zoe", PASSWORD, None)).await.unwrap();
    let (_, fresh) = world.second_factor(&zoe).await;
    let old = world
        .sign_in(ask("zoe", PASSWORD, Some(codes[5].expose())))
        .await;
    assert!(is_refused(&old));
    world
        .sign_in(ask("zoe", PASSWORD, Some(fresh[5].expose())))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_token_alone_changes_nothing_about_its_owner() {
    let world = World::new();
    let made = world.settle("zoe", &[]).await;
    let zoe = world.who(&made.secret).await.unwrap();
    let wrong = Own {
        password: Secret::new("wrong"),
        code: None,
    };
    let new = Secret::new("another long password");
    let refused = world.control.change_password(&zoe, wrong, new.clone());
    assert!(matches!(refused.await, Err(Error::SignIn)));
    let limited = Caller {
        scope: Some(Scope::of(&[Right::Read, Right::Request])),
        ..zoe.clone()
    };
    let refused = world
        .control
        .change_password(&limited, own(None), new.clone());
    assert!(matches!(refused.await, Err(Error::Forbidden(_))));
    let refused = world.control.make_token(&limited, wanted(None));
    assert!(matches!(refused.await, Err(Error::Forbidden(_))));

    world
        .control
        .change_password(&zoe, own(None), new.clone())
        .await
        .unwrap();
    assert!(world.who(&made.secret).await.is_none(), "signed in before");
    assert!(is_refused(&world.sign_in(ask("zoe", PASSWORD, None)).await));
    world.sign_in(ask("zoe", new.expose(), None)).await.unwrap();
}

fn wanted(owner: Option<&str>) -> MakeToken {
    MakeToken {
        owner: owner.map(|owner| owner.parse().unwrap()),
        scope: Scope::of(&[Right::Read, Right::Request]),
        lifetime: HOUR,
        note: "nightly".into(),
    }
}

#[tokio::test]
async fn nothing_that_is_kept_or_told_holds_a_secret() {
    let world = World::new();
    let made = world.settle("zoe", &[]).await;
    let zoe = world.who(&made.secret).await.unwrap();
    let (address, codes) = world.second_factor(&zoe).await;
    let seed = address.split("secret=").nth(1).unwrap();
    let seed = seed.split('&').next().unwrap();
    world
        .sign_in(ask("zoe", "wr0ng-canary-password", None))
        .await
        .unwrap_err();
    let audit = format!("{:?}", world.audit());
    let folder = world.audit_folder();
    let store = std::fs::read(folder.with_file_name("hallpass.db")).unwrap();
    let log = std::fs::read(folder.with_file_name("hallpass.db-wal")).unwrap();
    let kept = format!(
        "{audit}{}{}",
        String::from_utf8_lossy(&store),
        String::from_utf8_lossy(&log)
    );
    assert!(kept.contains("argon2id"), "the store was looked at");
    for secret in [
        PASSWORD,
        "wr0ng-canary-password",
        made.secret.expose(),
        codes[0].expose(),
        seed,
    ] {
        assert!(!kept.contains(secret), "{secret}");
    }
}

#[test]
fn the_tests_make_codes_as_apps_do() {
    let totp = Builder::new()
        .with_secret(b"12345678901234567890".to_vec())
        .with_account_name("zoe")
        .with_issuer(Some("hallpass"))
        .build()
        .unwrap();
    assert_eq!(code_at(&totp.to_url().unwrap(), at(59)), "287082");
}

#[tokio::test]
async fn a_right_password_without_the_second_factor_is_not_told_from_a_wrong_one() {
    let world = World::new();
    let made = world.settle("zoe", &["engineers"]).await;
    let zoe = world.who(&made.secret).await.unwrap();
    world.second_factor(&zoe).await;
    let with = |password: &str| SignIn {
        new_password: Some(Secret::new("another long password")),
        ..ask("zoe", password, Some("aaaa-bbbb-cccc-dddd"))
    };
    for password in [PASSWORD, "wrong"] {
        assert!(
            is_refused(&world.sign_in(with(password)).await),
            "{password}"
        );
    }
    let failed = world.audit_types();
    let failed = failed.iter().filter(|it| *it == "sign_in_failed");
    assert_eq!(failed.count(), 2, "both are recorded");
    let metrics = String::from_utf8(world.metrics.encode()).unwrap();
    for line in ["result=\"refused\"} 2", "result=\"done\"} 1"] {
        let line = format!("hallpass_sign_ins_total{{how=\"password\",{line}");
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
}
