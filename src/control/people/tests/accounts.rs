//! Administrators say who there is.

use super::*;

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
