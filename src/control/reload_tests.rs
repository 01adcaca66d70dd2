//! Another configuration takes the place of one, and tickets are looked at.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;

use super::testing::{HOUR, World, caller, identity, rules, rules_of};
use super::{Ask, Configuration, Error, Identity, Reload, Rules, Telling};
use crate::access::{Ending, ReasonRule, TargetName};
use crate::audit::Event;
use crate::identity::Directory;
use crate::secret::ServerKey;
use crate::store::Store;
use crate::tickets::{Settings, Tickets};

fn reload(rules: Rules, revoke: bool) -> Reload {
    Reload {
        rules,
        identity: identity(&ServerKey::from_bytes([7; 32])),
        telling: Telling::default(),
        configuration: Configuration {
            facts: [("a".to_owned(), "b".to_owned())].into(),
            ..Configuration::default()
        },
        revoke,
    }
}

#[tokio::test]
async fn a_target_that_is_gone_takes_its_sessions_with_it() {
    let world = World::new();
    let session = world.session().await;
    let waiting = world.submit_for("noor", "billing", HOUR).await;
    let permit = world.connect(&session);
    let mut fewer = rules();
    fewer.targets.remove(&session.target);
    let ended = world.control.take_up(reload(fewer, false)).await;
    assert_eq!(ended.unwrap(), 1);
    let Ending::Revoked { by, reason } = permit.ended().await else {
        panic!("it was revoked");
    };
    assert_eq!(
        (by.as_str(), &*reason),
        ("hallpass", "orders-ro is no longer a target")
    );
    let granted = world.control.approve(&caller("omar"), waiting, None).await;
    assert!(granted.unwrap().1.is_some(), "others go on");
}

#[tokio::test]
async fn sessions_outlive_the_policy_that_allowed_them_unless_they_are_to_end() {
    let world = World::new();
    let session = world.session().await;
    let kept = world.control.take_up(reload(rules_of(""), false)).await;
    assert_eq!(kept.unwrap(), 0);
    assert_eq!(world.admission.live_sessions(), 1);
    let ended = world.control.take_up(reload(rules_of(""), true)).await;
    assert_eq!(ended.unwrap(), 1);
    let stored = world.store.session(session.id).await.unwrap().unwrap();
    assert_eq!(stored.state.name(), "revoked");
}

#[tokio::test]
async fn a_change_is_recorded_within_bounds_and_shown_to_administrators_alone() {
    let world = World::new();
    let changes = (0..300).map(|n| format!("~ {n}")).collect();
    world.control.announce(Vec::new(), changes).await.unwrap();
    let Some(Event::ConfigurationChanged {
        by, changes, more, ..
    }) = world.audit().pop()
    else {
        panic!("it is on record");
    };
    assert_eq!((by.as_str(), changes.len(), more), ("hallpass", 200, 100));
    world.control.take_up(reload(rules(), false)).await.unwrap();
    let session = world.session().await;
    let (shown, live) = world.control.configuration(&caller("ada")).await.unwrap();
    assert_eq!(shown.facts["a"], "b");
    assert_eq!(
        live.iter().map(|it| it.session.id).collect::<Vec<_>>(),
        [session.id]
    );
    for other in ["maya", "dana", "iris"] {
        let refused = world.control.configuration(&caller(other)).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))), "{other}");
    }
}

#[tokio::test]
async fn a_reload_that_failed_ends_at_the_next_try_what_it_should_have_ended() {
    let world = World::new();
    let session = world.session().await;
    let outsiders = || {
        let of = identity(&ServerKey::from_bytes([7; 32]));
        let mut entries = of.directory.entries().to_vec();
        for entry in &mut entries {
            entry.principal.groups.retain(|it| it != "engineers");
        }
        Reload {
            identity: Identity {
                directory: Directory::new(entries),
                ..of
            },
            ..reload(rules(), false)
        }
    };
    world.store.read_only.store(true, Ordering::SeqCst);
    world.control.take_up(outsiders()).await.unwrap_err();
    world.store.read_only.store(false, Ordering::SeqCst);
    // By now they are in no other groups than before.
    assert_eq!(world.control.take_up(outsiders()).await.unwrap(), 1);
    let stored = world.store.session(session.id).await.unwrap().unwrap();
    assert_eq!(stored.state.name(), "revoked");
    assert_eq!(world.control.take_up(outsiders()).await.unwrap(), 0);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_announced() {
    let world = World::new();
    world.break_audit(true);
    let refused = world.control.announce(Vec::new(), Vec::new()).await;
    assert!(matches!(refused, Err(Error::AuditUnavailable(_))));
}

/// INC-1 is a ticket; the tracker is out of order for INC-500.
async fn tracker() -> Tickets {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/{{ticket}}", listener.local_addr().unwrap());
    let issue = |Path(ticket): Path<String>| async move {
        match &*ticket {
            "INC-1" => (StatusCode::OK, "{}"),
            "INC-500" => (StatusCode::INTERNAL_SERVER_ERROR, ""),
            _ => (StatusCode::NOT_FOUND, ""),
        }
    };
    let app = Router::new().route("/{ticket}", get(issue));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Tickets::new(Settings {
        url,
        headers: Vec::new(),
        timeout: Duration::from_secs(5),
        expect: Vec::new(),
        tls: Arc::new(tls),
    })
    .unwrap()
}

#[tokio::test]
async fn a_ticket_is_looked_at_before_anything_is_requested() {
    let world = World::new();
    let name: TargetName = "orders-ro".parse().unwrap();
    let mut checked = rules();
    let terms = &mut checked.targets.get_mut(&name).unwrap().terms;
    terms.reason = Some(ReasonRule::new(r"(?<ticket>INC-\d+)", None).unwrap());
    terms.check_ticket = true;
    checked.tickets = Some(tracker().await);
    world.control.set_rules(checked);
    let submit = |who: &'static str, reason: &str, break_glass| {
        let ask = Ask {
            break_glass,
            ..Ask::new(name.clone(), HOUR, reason)
        };
        let control = Arc::clone(&world.control);
        async move { control.submit(&caller(who), ask).await.map(drop) }
    };
    let unknown = submit("maya", "INC-9", false).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no ticket INC-9");
    let down = submit("maya", "INC-500", false).await.unwrap_err();
    assert!(matches!(down, Error::Tracker(_)), "{down}");
    let glass = submit("maya", "INC-9", true).await.unwrap_err();
    assert!(matches!(glass, Error::Invalid(_)), "{glass}");
    let stranger = submit("sam", "INC-9", false).await.unwrap_err();
    assert!(matches!(stranger, Error::NotFound(_)), "{stranger}");
    assert_eq!(world.audit_types(), [""; 0], "nothing was requested");
    submit("maya", "INC-1", false).await.unwrap();
    submit("noor", "INC-500", true).await.unwrap();
    assert_eq!(world.admission.live_sessions(), 1, "the glass was broken");
}
