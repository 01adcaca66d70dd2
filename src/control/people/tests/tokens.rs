//! What tokens let their bearers do, and until when.

use super::*;

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
