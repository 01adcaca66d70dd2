//! What such a client is told, and when, with a desk where the test decides.

use std::time::Duration;

use hallpass::asking::{Declined, Verdict};
use tokio::io::DuplexStream;
use tokio_rustls::client::TlsStream;

use crate::support::stage::{PROCESS_ID, SECRET, Stage};
use crate::support::wire::{self, Wire};

type Client = Wire<TlsStream<DuplexStream>>;

const USER: &str = "noor~orders-ro";
const OPTIONS: &str = r"-c hallpass.reason=INC-4312\ is\ urgent -c geqo=off --hallpass.for=30m";

async fn start(stage: &Stage, user: &str, options: &str) -> Client {
    let mut client = stage.client().ask_for_tls("localhost").await;
    let parameters = [("user", user), ("database", "orders"), ("options", options)];
    client.send(&wire::startup(3, 0, &parameters)).await;
    client
}

/// A client up to its token.
async fn ask(stage: &Stage, options: &str, token: &str) -> Client {
    let mut client = start(stage, USER, options).await;
    let request = client.frame().await;
    assert_eq!((request.tag, &request.body[..]), (b'R', &[0, 0, 0, 3][..]));
    let token = wire::text(&[token]);
    client.send(&wire::message(b'p', &token)).await;
    client
}

/// One that is known, and has been told that its request is filed.
async fn waiting(stage: &Stage) -> Client {
    let mut client = ask(stage, OPTIONS, "noor-token").await;
    let known = client.frame().await;
    assert_eq!((known.tag, &known.body[..]), (b'R', &[0, 0, 0, 0][..]));
    let fields = client.frame().await.notice();
    assert_eq!((&*fields[&'S'], &*fields[&'C']), ("NOTICE", "00000"));
    assert!(fields[&'M'].contains("access to orders-ro for 30m was requested: req-"));
    let detail = &fields[&'D'];
    assert!(
        detail.contains("INC-4312 is urgent. Can approve: dana, @leads."),
        "{detail}"
    );
    assert!(fields[&'H'].contains("hallpass approve req-"));
    client
}

#[tokio::test]
async fn who_is_granted_a_session_goes_on_at_once() {
    let stage = Stage::with_tls();
    let mut client = waiting(&stage).await;
    assert!(
        !stage.has_dialled().await,
        "nothing is dialled for who waits"
    );
    let ask = stage.desk.asked.lock()[0].clone();
    assert_eq!(ask.reason, "INC-4312 is urgent");
    assert_eq!(ask.duration, Some(Duration::from_secs(1800)));

    let expires_at = stage.open("noor");
    let by = "dana".to_owned();
    stage.desk.decide(Verdict::Granted { by, expires_at });
    assert!(client.frame().await.notice()[&'M'].contains("approved by dana"));
    let mut upstream = stage.upstream().await;
    let startup = upstream.welcome(PROCESS_ID, SECRET).await;
    let startup = String::from_utf8_lossy(&startup).into_owned();
    assert!(startup.contains("options\0-c geqo=off\0"), "{startup:?}");
    assert!(
        !startup.contains("hallpass.") && !startup.contains("INC"),
        "{startup:?}"
    );
    // What comes now is what any server sends, without a second AuthenticationOk.
    let greeting = client.until(b'Z').await;
    assert!(greeting.iter().all(|frame| frame.tag != b'R'));
}

#[tokio::test]
async fn who_has_a_session_need_not_ask() {
    let stage = Stage::with_tls();
    stage.open("noor");
    let mut client = ask(&stage, "-c hallpass.wait=off", "noor-token").await;
    stage.upstream().await.welcome(PROCESS_ID, SECRET).await;
    client.until(b'Z').await;
    assert!(stage.desk.asked.lock().is_empty());
}

#[tokio::test]
async fn who_is_refused_is_told_why() {
    let stage = Stage::with_tls();
    let mut client = waiting(&stage).await;
    stage.desk.decide(Verdict::Refused(Declined {
        message: "hallpass: dana denied req-x: not today".to_owned(),
        hint: None,
    }));
    let refused = client.refused().await;
    assert_eq!((&*refused[&'S'], &*refused[&'C']), ("FATAL", "28000"));
    assert_eq!(refused[&'M'], "hallpass: dana denied req-x: not today");
    assert!(!stage.has_dialled().await);
}

#[tokio::test]
async fn a_wrong_token_and_an_unknown_name_look_the_same() {
    let stage = Stage::with_tls();
    let wrong = ask(&stage, OPTIONS, "maya-token").await.refused().await;
    assert_eq!(wrong[&'C'], "28000");
    let mut stranger = start(&stage, "no body~orders-ro", OPTIONS).await;
    stranger.frame().await;
    let token = wire::message(b'p', &wire::text(&["noor-token"]));
    stranger.send(&token).await;
    assert_eq!(stranger.refused().await, wrong);
    assert!(stage.desk.asked.lock().is_empty());
}

#[tokio::test]
async fn without_a_reason_the_hint_has_the_line_to_type() {
    let stage = Stage::with_tls();
    let mut client = ask(&stage, "-c hallpass.for=1h", "noor-token").await;
    client.frame().await;
    let refused = client.refused().await;
    assert!(refused[&'M'].contains("gave no reason"), "{refused:?}");
    assert!(refused[&'H'].contains("PGOPTIONS='-c hallpass.reason=WHY -c hallpass.for=30m'"));
}

#[tokio::test]
async fn who_does_not_wait_is_told_at_once_what_was_filed() {
    let stage = Stage::with_tls();
    let options = "-c hallpass.reason=x -c hallpass.wait=off";
    let mut client = ask(&stage, options, "noor-token").await;
    client.frame().await;
    let refused = client.refused().await;
    assert!(
        refused[&'M'].contains("is waiting for approval"),
        "{refused:?}"
    );
    assert_eq!(stage.desk.asked.lock().len(), 1);
}

#[tokio::test]
async fn a_wish_that_makes_no_sense_is_refused_before_anything_is_asked() {
    let stage = Stage::with_tls();
    let mut client = start(&stage, USER, "-c hallpass.for=soon").await;
    assert_eq!(client.refused().await[&'C'], "22023");
}

#[tokio::test]
async fn a_token_is_never_asked_for_in_the_clear() {
    let stage = Stage::new();
    let mut client = stage.client();
    let parameters = [("user", USER), ("options", OPTIONS)];
    client.send(&wire::startup(3, 0, &parameters)).await;
    let refused = client.refused().await;
    assert!(refused[&'M'].contains("under TLS only"), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_hears_of_it_and_longer_than_a_handshake_may_take() {
    let stage = Stage::with_tls();
    let mut client = waiting(&stage).await;
    for minutes in ["1m", "2m"] {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let reminder = client.frame().await.notice();
        let said = format!("is waiting for approval since {minutes}");
        assert!(reminder[&'M'].contains(&said), "{reminder:?}");
    }
}

#[tokio::test]
async fn who_goes_away_or_talks_out_of_turn_no_longer_waits() {
    let stage = Stage::with_tls();
    let mut gone = waiting(&stage).await;
    gone.send(&wire::message(b'X', &[])).await;
    gone.closed().await;
    let mut early = waiting(&stage).await;
    early.send(&wire::query("select 1")).await;
    assert_eq!(early.refused().await[&'C'], "08P01");
    assert!(!stage.has_dialled().await);
}
