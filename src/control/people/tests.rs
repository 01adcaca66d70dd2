//! Who gets in, with what, and who does not; whatever is wrong, in the same words.

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
async fn a_services_token_does_what_it_is_for_until_it_ends() {
    let world = World::new();
    let ada = caller("ada");
    let new = NewAccount {
        name: "ci-deploy".parse().unwrap(),
        groups: vec!["engineers".into()],
        email: None,
        service: true,
    };
    let (_, code) = world.control.add_account(&ada, new).await.unwrap();
    assert!(code.is_none());
    let made = world.control.make_token(&ada, wanted(Some("ci-deploy")));
    let made = made.await.unwrap();
    assert!(made.secret.expose().starts_with("hp_svc_"));
    let bearer = world.who(&made.secret).await.unwrap();
    assert!(bearer.has(Right::Request) && !bearer.has(Right::Approve));
    let target: crate::access::TargetName = "orders-ro".parse().unwrap();
    let asked = world
        .control
        .submit(&bearer, Ask::new(target.clone(), HOUR, "deploy"))
        .await;
    asked.unwrap();
    let listed = world.control.tokens(&ada, true).await.unwrap();
    assert_eq!(listed[0].id, made.token.id);
    assert!(listed[0].last_used_at.is_some());

    let id = made.token.id;
    let not_theirs = world.control.revoke_token(&caller("maya"), id).await;
    assert!(matches!(not_theirs, Err(Error::NotFound(_))));
    world.control.revoke_token(&ada, id).await.unwrap();
    assert!(world.who(&made.secret).await.is_none());
    let again = world.control.make_token(&ada, wanted(Some("ci-deploy")));
    let again = again.await.unwrap();
    world.pass(HOUR);
    assert!(world.who(&again.secret).await.is_none());
}

#[tokio::test]
async fn a_token_without_the_right_to_it_opens_nothing() {
    let world = World::new();
    let reader = |name| Caller {
        scope: Some(Scope::of(&[Right::Read])),
        ..caller(name)
    };
    let request = world.submit("maya").await;
    let (control, dana) = (&world.control, reader("dana"));
    let approved = control.approve(&dana, request, None).await;
    assert!(matches!(approved, Err(Error::Forbidden(_))));
    let session = world.session().await;
    let secret = control.read_secret(&reader("maya"), session.id).await;
    assert!(matches!(secret, Err(Error::Forbidden(_))));
    let ended = control.revoke(&reader("maya"), session.id, "").await;
    assert!(matches!(ended, Err(Error::Forbidden(_))));
    let withdrawn = control.withdraw(&reader("maya"), request).await;
    assert!(matches!(withdrawn, Err(Error::Forbidden(_))));
    let target: crate::access::TargetName = "orders-ro".parse().unwrap();
    let asked = control
        .submit(&reader("maya"), Ask::new(target.clone(), HOUR, "x"))
        .await;
    assert!(asked.is_err());
    assert!(control.accounts(&reader("ada")).await.is_err());
    let until = world.clock.now() + HOUR;
    let lee = "lee".parse().unwrap();
    let delegated = control.delegate(&dana, &lee, until).await;
    assert!(matches!(delegated, Err(Error::Forbidden(_))));
}

#[tokio::test]
async fn nobody_makes_tokens_for_other_people() {
    let world = World::new();
    world.settle("zoe", &[]).await;
    let (control, ada) = (&world.control, caller("ada"));
    let for_person = control.make_token(&ada, wanted(Some("zoe"))).await;
    assert!(matches!(for_person, Err(Error::Forbidden(_))));
    let for_nobody = control.make_token(&ada, wanted(Some("nobody"))).await;
    assert!(matches!(for_nobody, Err(Error::NotFound(_))));
    let maya = caller("maya");
    let by_nobody = control.make_token(&maya, wanted(Some("ci"))).await;
    assert!(matches!(by_nobody, Err(Error::Forbidden(_))));
}

#[tokio::test]
async fn only_administrators_say_who_there_is() {
    let world = World::new();
    world.settle("zoe", &[]).await;
    for name in ["maya", "dana", "iris", "sam"] {
        let caller = caller(name);
        let control = &world.control;
        let new = NewAccount {
            name: "eve".parse().unwrap(),
            groups: vec!["admins".into()],
            email: None,
            service: false,
        };
        let refusals = [
            control.accounts(&caller).await.map(|_| ()),
            control.add_account(&caller, new).await.map(|_| ()),
            control
                .disable_account(&caller, "zoe", true)
                .await
                .map(|_| ()),
            control
                .set_groups(&caller, "zoe", vec!["admins".into()])
                .await
                .map(|_| ()),
            control
                .reset_account(&caller, "zoe", true)
                .await
                .map(|_| ()),
            control.tokens(&caller, true).await.map(|_| ()),
        ];
        for refusal in refusals {
            assert!(matches!(refusal, Err(Error::Forbidden(_))), "{name}");
        }
    }
}

#[tokio::test]
async fn a_name_is_one_persons() {
    let world = World::new();
    world.add("zoe", &[]).await;
    for name in ["zoe", "ZOE", "maya", "Maya"] {
        let new = NewAccount {
            name: name.parse().unwrap(),
            groups: Vec::new(),
            email: None,
            service: false,
        };
        let taken = world.control.add_account(&caller("ada"), new).await;
        assert!(matches!(taken, Err(Error::Conflict(_))), "{name}");
    }
}

#[tokio::test]
async fn who_is_disabled_or_leaves_a_group_loses_live_sessions() {
    for disable in [true, false] {
        let world = World::new();
        let made = world.settle("zoe", &["engineers"]).await;
        let zoe = world.who(&made.secret).await.unwrap();
        let target: crate::access::TargetName = "orders-ro".parse().unwrap();
        let control = &world.control;
        let asked = control
            .submit(&zoe, Ask::new(target.clone(), HOUR, "x"))
            .await
            .unwrap();
        let dana = caller("dana");
        let approved = control.approve(&dana, asked.request.id, None);
        let session = approved.await.unwrap().1.unwrap().session;
        let permit = world.connect(&session);
        let ada = caller("ada");
        if disable {
            control.disable_account(&ada, "zoe", true).await.unwrap();
        } else {
            let kept = vec!["engineers".to_owned(), "more".to_owned()];
            control.set_groups(&ada, "zoe", kept).await.unwrap();
            let now = control.session(&zoe, session.id).await.unwrap();
            assert_eq!(now.session.state, SessionState::Active);
            control
                .set_groups(&ada, "zoe", vec!["more".into()])
                .await
                .unwrap();
        }
        let now = control.session(&caller("dana"), session.id).await.unwrap();
        assert_eq!(now.session.state.name(), "revoked");
        drop(permit);
    }
}

#[tokio::test]
async fn a_reset_takes_the_old_password_the_tokens_and_if_asked_the_second_factor() {
    let world = World::new();
    let made = world.settle("zoe", &[]).await;
    let zoe = world.who(&made.secret).await.unwrap();
    world.second_factor(&zoe).await;
    let (control, ada) = (&world.control, caller("ada"));
    let (account, setup) = control.reset_account(&ada, "zoe", true).await.unwrap();
    let setup = setup.unwrap();
    assert!(!account.totp);
    assert!(world.who(&made.secret).await.is_none());
    assert!(is_refused(&world.sign_in(ask("zoe", PASSWORD, None)).await));
    let late = SignIn {
        new_password: Some(Secret::new(PASSWORD)),
        ..ask("zoe", setup.expose(), None)
    };
    world.pass(73 * HOUR);
    assert!(is_refused(&world.sign_in(late).await), "72 hours are over");
}

#[tokio::test]
async fn a_principal_of_the_configuration_makes_tokens_that_follow_it() {
    let world = World::new();
    let maya = world.who(&token("maya")).await.unwrap();
    assert_eq!(maya.groups, ["engineers"]);
    let made = world.control.make_token(&maya, wanted(None)).await.unwrap();
    let bearer = world.who(&made.secret).await.unwrap();
    assert_eq!(bearer.principal, maya.principal);
    assert!(world.who(&Secret::new("token-of-eve")).await.is_none());
    assert_eq!(made.token.origin, TokenOrigin::Made);
}

#[tokio::test]
async fn what_cannot_be_recorded_gives_no_token() {
    let world = World::new();
    world.settle("zoe", &[]).await;
    world.break_audit(true);
    let refused = world.sign_in(ask("zoe", PASSWORD, None)).await;
    assert!(matches!(refused, Err(Error::AuditUnavailable(_))));
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

/// A world with a provider that vouches for people and for the jobs of acme/api.
async fn with_provider() -> (World, StandIn) {
    let (world, provider) = (World::new(), StandIn::start().await);
    let job = Job {
        name: "deploy".into(),
        workload: provider.workload(),
        principal: "ci-deploy".parse().unwrap(),
        groups: vec!["engineers".into()],
        scope: Scope::of(&[Right::Request]),
        lifetime: HOUR / 4,
    };
    let identity = Identity {
        oidc: Some(Arc::new(provider.oidc())),
        jobs: vec![job],
        ..identity(&ServerKey::from_bytes([7; 32]))
    };
    let replaced = world.control.replace_rules(rules(), identity, false).await;
    replaced.unwrap();
    (world, provider)
}

/// A sign-in in a browser, for which the provider says this besides the nonce.
async fn vouched(world: &World, provider: &StandIn, mut claims: Value) -> Result<Made, Error> {
    let begun = world
        .control
        .begin_browser("http://127.0.0.1:1/callback", None);
    let begun = begun.await.unwrap();
    let address = reqwest::Url::parse(&begun.address).unwrap();
    let query: HashMap<_, _> = address.query_pairs().into_owned().collect();
    claims["nonce"] = json!(query["nonce"]);
    *provider.token.lock() = provider.signed(&claims);
    let (control, state) = (&world.control, &query["state"]);
    let made = control
        .finish_browser(&begun.flow, state, "code", peer())
        .await;
    let again = control
        .finish_browser(&begun.flow, state, "code", peer())
        .await;
    assert!(is_refused(&again), "a flow ends once");
    made
}

#[tokio::test]
async fn whom_a_provider_vouches_for_has_the_groups_that_it_says_at_each_sign_in() {
    let (world, provider) = with_provider().await;
    let engineer = || {
        let mut claims = provider.claims();
        claims["groups"] = json!(["engineers"]);
        claims
    };
    let made = vouched(&world, &provider, engineer()).await.unwrap();
    let zoe = world.who(&made.secret).await.unwrap();
    assert!(zoe.mfa);
    assert_eq!(zoe.groups, ["engineers"]);
    let target = "orders-ro".parse().unwrap();
    let control = &world.control;
    let ask = Ask::new(target, HOUR, "x");
    let asked = control.submit(&zoe, ask).await.unwrap();
    let dana = caller("dana");
    let approved = control.approve(&dana, asked.request.id, None).await;
    let session = approved.unwrap().1.unwrap().session;

    let made = vouched(&world, &provider, provider.claims()).await.unwrap();
    let zoe = world.who(&made.secret).await.unwrap();
    assert_eq!(zoe.groups, ["leads"]);
    let session = control.session(&zoe, session.id).await.unwrap();
    assert_eq!(session.session.state.name(), "revoked", "engineers no more");
}

#[tokio::test]
async fn a_name_does_not_pass_from_one_subject_to_another_nor_from_us_to_a_provider() {
    let (world, provider) = with_provider().await;
    vouched(&world, &provider, provider.claims()).await.unwrap();
    let mut other = provider.claims();
    other["sub"] = json!("43");
    world.add("eve", &[]).await;
    let named = |name: &str| {
        let mut claims = provider.claims();
        claims["preferred_username"] = json!(name);
        claims
    };
    for (claims, says, recorded) in [
        (
            other,
            "`hallpass user reset zoe`",
            "bound to another issuer",
        ),
        (named("eve"), "sets `name_claim`", "an account's that"),
        (named("EVE"), "sets `name_claim`", "an account's that"),
        (named("maya"), "[principals.maya]", "of the configuration"),
    ] {
        let refused = vouched(&world, &provider, claims).await;
        let Err(Error::Forbidden(told)) = refused else {
            panic!("{recorded}: {refused:?}");
        };
        assert!(told.contains(says), "{told}");
        let audit = format!("{:?}", world.audit());
        assert!(audit.contains(recorded), "{recorded}: {audit}");
    }
    assert!(is_refused(&vouched(&world, &provider, named("a~b")).await));
    let ada = caller("ada");
    let control = &world.control;
    control.disable_account(&ada, "zoe", true).await.unwrap();
    let disabled = vouched(&world, &provider, provider.claims()).await;
    assert!(is_refused(&disabled));
}

/// What somebody has whose name is about to become another's: a token, an open session.
async fn holdings(world: &World, name: &str, who: &Caller) -> (Secret, Session) {
    let control = &world.control;
    let token = control.make_token(who, wanted(None)).await.unwrap();
    let ask = Ask::new("orders-ro".parse().unwrap(), HOUR, "x");
    let asked = control.submit(who, ask.clone()).await.unwrap();
    let dana = caller("dana");
    let approved = control.approve(&dana, asked.request.id, None).await;
    let session = approved.unwrap().1.unwrap().session;
    control.submit(who, ask).await.unwrap();
    let until = world.clock.now() + HOUR;
    control.delegate(who, &dana.name, until).await.unwrap();
    assert_eq!(session.principal.as_str(), name);
    (token.secret, session)
}

async fn all_is_over(world: &World, (token, session): &(Secret, Session)) {
    assert!(world.who(token).await.is_none(), "the token is void");
    let session = world.store.session(session.id).await.unwrap().unwrap();
    assert_eq!(session.state.name(), "revoked");
    let open = Filter {
        open_only: true,
        ..Filter::default()
    };
    assert!(world.store.requests(&open).await.unwrap().is_empty());
    let (holder, now) = (&session.principal, world.clock.now());
    let delegations = world.store.delegations(holder, now).await.unwrap();
    assert!(delegations.is_empty());
}

#[tokio::test]
async fn an_account_inherits_nothing_from_the_principal_who_had_its_name() {
    let world = World::new();
    let held = holdings(&world, "maya", &caller("maya")).await;
    let others = ["ada", "dana"].map(|name| Entry {
        principal: caller(name).principal,
        email: None,
        token_sha256: hash(&token(name)),
        mfa: false,
    });
    let without = || Identity {
        directory: Directory::new(others.clone()),
        ..identity(&ServerKey::from_bytes([7; 32]))
    };
    let control = &world.control;
    control
        .replace_rules(rules(), without(), false)
        .await
        .unwrap();
    let maya = world.settle("maya", &["engineers"]).await;
    all_is_over(&world, &held).await;
    // And the other way round.
    let maya = world.who(&maya.secret).await.unwrap();
    let held = holdings(&world, "maya", &maya).await;
    let with = identity(&ServerKey::from_bytes([7; 32]));
    control.replace_rules(rules(), with, false).await.unwrap();
    all_is_over(&world, &held).await;
    let both = control.make_token(&caller("maya"), wanted(None)).await;
    assert!(matches!(both, Err(Error::Conflict(_))));
}

#[tokio::test]
async fn an_administrator_lets_go_of_a_name_for_the_next_whom_the_provider_calls_so() {
    let (world, provider) = with_provider().await;
    let engineer = |subject: &str| {
        let mut claims = provider.claims();
        claims["groups"] = json!(["engineers"]);
        claims["sub"] = json!(subject);
        claims
    };
    let made = vouched(&world, &provider, engineer("42")).await.unwrap();
    let zoe = world.who(&made.secret).await.unwrap();
    let held = holdings(&world, "zoe", &zoe).await;
    let control = &world.control;
    let released = control.reset_account(&caller("ada"), "zoe", false).await;
    assert!(released.unwrap().1.is_none(), "there is no password");
    all_is_over(&world, &held).await;
    assert!(world.who(&made.secret).await.is_none());
    vouched(&world, &provider, engineer("43")).await.unwrap();
    let former = vouched(&world, &provider, engineer("42")).await;
    assert!(matches!(former, Err(Error::Forbidden(_))));
}

#[tokio::test]
async fn tokens_shown_to_the_proxy_are_not_looked_at_after_too_many_wrong_ones() {
    let world = World::new();
    let desk = FrontDesk(Arc::clone(&world.control));
    let [guesser, other] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from);
    for _ in 0..40 {
        let right = desk.identify("maya", &token("maya"), guesser).await;
        assert!(right.is_some(), "who is right is not counted");
    }
    for _ in 0..30 {
        let wrong = Secret::new("a guess");
        assert!(desk.identify("maya", &wrong, guesser).await.is_none());
    }
    let right = desk.identify("maya", &token("maya"), guesser).await;
    assert!(right.is_none());
    assert!(world.control.guesses().wait(guesser).is_some());
    let right = desk.identify("maya", &token("maya"), other).await;
    assert!(right.is_some());
}

#[tokio::test]
async fn a_flow_is_ended_by_who_began_it_with_the_state_that_it_has() {
    let (world, provider) = with_provider().await;
    *provider.token.lock() = provider.signed(&provider.claims());
    let control = &world.control;
    let begun = control
        .begin_browser("http://127.0.0.1:1/", None)
        .await
        .unwrap();
    let stranger = Secret::new("0".repeat(64));
    let refused = control.finish_browser(&stranger, "x", "code", peer()).await;
    assert!(is_refused(&refused));
    let refused = control.finish_browser(&begun.flow, "x", "code", peer());
    assert!(is_refused(&refused.await));
    let elsewhere = control
        .begin_browser("https://evil.example.com/", None)
        .await;
    assert!(matches!(elsewhere, Err(Error::Invalid(_))));
    let device = control.begin_device(None).await;
    assert!(matches!(device, Err(Error::NoDeviceFlow)));
}

#[tokio::test]
async fn a_job_exchanges_its_token_for_a_short_one_that_does_what_it_is_for() {
    let (world, provider) = with_provider().await;
    let token = Secret::new(provider.signed(&provider.claims()));
    let made = world.control.exchange(&token, peer()).await.unwrap();
    assert!(made.secret.expose().starts_with("hp_svc_"));
    assert_eq!(made.token.note, "deploy: 42");
    let job = world.who(&made.secret).await.unwrap();
    assert_eq!(job.name.as_str(), "ci-deploy");
    assert!(job.has(Right::Request) && !job.has(Right::Read));
    world.pass(HOUR / 4);
    assert!(world.who(&made.secret).await.is_none());

    let mut fork = provider.claims();
    fork["repository"] = json!("acme/fork");
    let fork = Secret::new(provider.signed(&fork));
    assert!(is_refused(&world.control.exchange(&fork, peer()).await));
    let nonsense = Secret::new("a.b.c");
    assert!(is_refused(&world.control.exchange(&nonsense, peer()).await));
    let kept = format!("{:?}", world.audit());
    assert!(kept.contains("no workload of the configuration"));
    assert!(!kept.contains(token.expose()));
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
async fn a_token_lets_its_bearer_connect_only_if_it_lets_them_ask() {
    let world = World::new();
    let maya = caller("maya");
    let desk = FrontDesk(Arc::clone(&world.control));
    for (right, expected) in [(Right::Read, false), (Right::Request, true)] {
        let asked = MakeToken {
            scope: Scope::of(&[right]),
            ..wanted(None)
        };
        let made = world.control.make_token(&maya, asked).await.unwrap();
        let known = desk.identify("maya", &made.secret, [192, 0, 2, 1].into());
        assert_eq!(known.await.is_some(), expected, "{right:?}");
        let other = desk.identify("noor", &made.secret, [192, 0, 2, 1].into());
        assert!(other.await.is_none(), "another name");
    }
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

#[tokio::test]
async fn who_is_gone_or_disabled_has_no_session_after_a_restart() {
    let world = World::new();
    let made = world.settle("zoe", &["engineers"]).await;
    let zoe = world.who(&made.secret).await.unwrap();
    let ask = Ask::new("orders-ro".parse().unwrap(), HOUR, "x");
    let asked = world.control.submit(&zoe, ask).await.unwrap();
    let approved = world
        .control
        .approve(&caller("dana"), asked.request.id, None)
        .await;
    approved.unwrap();
    assert_eq!(world.admission.live_sessions(), 1);
    // As if hallpass had died between the two things that disabling does.
    let account = world.store.account("zoe").await.unwrap().unwrap();
    let change = AccountChange::Disabled(Some(world.clock.now()));
    let act = crate::store::Act {
        at: world.clock.now(),
        event: Event::AccountChanged {
            principal: account.name.clone(),
            by: "ada".parse().unwrap(),
            change: "disabled".into(),
            groups: None,
        },
    };
    let disabled = world
        .store
        .change_account(&account.name, None, &change, &act);
    disabled.await.unwrap();
    let world = world.restart().await;
    world.control.recover().await.unwrap();
    assert_eq!(world.admission.live_sessions(), 0);
}
