//! Whom a provider vouches for, and what passes from one owner of a name to the next.

use super::*;

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
async fn a_flow_is_ended_by_who_began_it_with_the_state_that_it_has() {
    let (world, provider) = with_provider().await;
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
    // Whoever sent the browser back with that ended nothing.
    let address = reqwest::Url::parse(&begun.address).unwrap();
    let query: HashMap<_, _> = address.query_pairs().into_owned().collect();
    let mut claims = provider.claims();
    claims["nonce"] = json!(query["nonce"]);
    *provider.token.lock() = provider.signed(&claims);
    let made = control.finish_browser(&begun.flow, &query["state"], "code", peer());
    assert_eq!(made.await.unwrap().token.owner.as_str(), "zoe");
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
