//! The outbox of notices: in order, for each channel, and whatever fails.

use super::*;
use crate::store::tests::{approved, at, request, temporary};
use crate::store::{Change, Sqlite, Store, Write};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn submitted(n: u64) -> Act {
    Act {
        at: at(1),
        event: Event::RequestSubmitted {
            request: RequestId::from_random(n),
            principal: "maya".parse().unwrap(),
            target: "orders-ro".parse().unwrap(),
            seconds: 60,
            reason: "x".into(),
            kind: crate::access::RequestKind::Session,
            extends: None,
            ticket: None,
            starts_at: None,
        },
    }
}

fn withdrawn(n: u64) -> Act {
    Act {
        at: at(2),
        event: Event::RequestWithdrawn {
            request: RequestId::from_random(n),
            by: "maya".parse().unwrap(),
        },
    }
}

/// A store with a request that was submitted and withdrawn.
async fn store() -> (tempfile::TempDir, Sqlite) {
    let (dir, path) = temporary();
    let store = Sqlite::open(&path).unwrap();
    let channels = names(&["email", "slack"]);
    store.set_channels(&channels).await.unwrap();
    let pending = request(1, "maya", "orders-ro");
    let submits = Change::submits(pending.clone(), submitted(1));
    store.commit(&submits).await.unwrap();
    let maya = "maya".parse().unwrap();
    let new = pending.clone().withdraw(&maya, at(2)).unwrap();
    let moves = Change::moves(new, withdrawn(1));
    store.commit(&moves).await.unwrap();
    (dir, store)
}

#[tokio::test]
async fn each_channel_gets_each_act_in_order_and_others_nothing() {
    let (_dir, store) = store().await;
    let mut ids = Vec::new();
    for channel in ["email", "slack"] {
        let first = store.letters(channel, at(9)).await.unwrap();
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].act, submitted(1));
        store
            .letter_done(first[0].number, Some("C1/2"))
            .await
            .unwrap();
        let second = store.letters(channel, at(9)).await.unwrap();
        assert_eq!(second[0].act, withdrawn(1));
        assert_eq!(second[0].place.as_deref(), Some("C1/2"));
        store.letter_done(second[0].number, None).await.unwrap();
        assert_eq!(store.waiting(channel).await.unwrap(), Waiting::default());
        ids.extend([first[0].id.clone(), second[0].id.clone()]);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    assert!(store.letters("webhook", at(9)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_change_that_is_refused_tells_nobody() {
    let (_dir, store) = store().await;
    let pending = request(1, "maya", "orders-ro");
    let (granted, session) = approved(&pending, 10);
    let late = Change {
        session: Some(Write::New(session)),
        ..Change::moves(granted, submitted(2))
    };
    let late = store.commit(&late);
    assert!(matches!(late.await, Err(StoreError::Conflict(_))));
    let letters = store.letters("slack", at(99)).await.unwrap();
    assert!(letters.iter().all(|letter| letter.act != submitted(2)));
}

#[tokio::test]
async fn a_letter_becomes_one_for_each_recipient_and_each_keeps_its_own_order() {
    let (_dir, store) = store().await;
    for expected in [submitted(1), withdrawn(1)] {
        let letters = store.letters("email", at(9)).await.unwrap();
        let number = letters
            .iter()
            .find(|it| it.recipient.is_empty())
            .unwrap()
            .number;
        let to = names(&["a@x", "b@x"]);
        store.address_letter(number, &to).await.unwrap();
        let letters = store.letters("email", at(9)).await.unwrap();
        assert!(
            letters
                .iter()
                .any(|letter| letter.act == expected || letter.act == submitted(1))
        );
    }
    let letters = store.letters("email", at(9)).await.unwrap();
    let to: Vec<&str> = letters.iter().map(|it| it.recipient.as_str()).collect();
    assert_eq!(to, ["a@x", "b@x"]);
    store.letter_done(letters[0].number, None).await.unwrap();
    let letters = store.letters("email", at(9)).await.unwrap();
    let what: Vec<_> = letters
        .iter()
        .map(|it| (it.recipient.as_str(), &it.act))
        .collect();
    assert_eq!(what, [("b@x", &submitted(1)), ("a@x", &withdrawn(1))]);
    // Nobody is to be told: the letter is gone.
    let (_dir, store) = self::store().await;
    let letter = store.letters("email", at(9)).await.unwrap()[0].number;
    store.address_letter(letter, &[]).await.unwrap();
    assert_eq!(
        store.letters("email", at(9)).await.unwrap()[0].act,
        withdrawn(1)
    );
}

#[tokio::test]
async fn what_failed_waits_and_with_it_what_comes_behind() {
    let (_dir, store) = store().await;
    let letter = store.letters("slack", at(9)).await.unwrap()[0].number;
    store.put_off(letter, at(50), false).await.unwrap();
    assert!(store.letters("slack", at(49)).await.unwrap().is_empty());
    let waiting = store.waiting("slack").await.unwrap();
    assert_eq!((waiting.oldest, waiting.next), (Some(at(1)), Some(at(50))));
    let again = store.letters("slack", at(50)).await.unwrap();
    assert_eq!((again[0].number, again[0].attempts), (letter, 1));
    store.put_off(letter, at(80), true).await.unwrap();
    store.hurry("slack", at(60)).await.unwrap();
    assert_eq!(store.letters("slack", at(60)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_channel_that_is_gone_takes_its_letters_with_it() {
    let (_dir, store) = store().await;
    let left = names(&["slack", "webhook"]);
    assert_eq!(store.set_channels(&left).await.unwrap(), 2);
    assert!(store.letters("email", at(9)).await.unwrap().is_empty());
    assert_eq!(store.letters("slack", at(9)).await.unwrap().len(), 1);
}
