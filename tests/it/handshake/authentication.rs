//! Who may come in, and what those who may not can learn.

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use tokio::io::DuplexStream;
use tokio_rustls::client::TlsStream;

use crate::support::stage::{PROCESS_ID, SECRET, Stage, USER};
use crate::support::wire::{self, Frame, Wire};

/// What a client that does not know the secret is shown: the offer, the challenge without its
/// nonce, and the answer.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    offer: Frame,
    salt_and_rounds: String,
    answer: Vec<Frame>,
}

async fn seen(stage: &Stage, user: &str) -> Seen {
    let mut client = stage.client();
    let parameters = [("user", user), ("database", "orders")];
    client.send(&wire::startup(3, 0, &parameters)).await;
    let offer = client.frame().await;
    let mut scram = ScramSha256::new(b"not the secret", ChannelBinding::unsupported());
    let initial = wire::initial_response("SCRAM-SHA-256", scram.message());
    client.send(&wire::message(b'p', &initial)).await;
    let challenge = client.frame().await;
    scram.update(&challenge.body[4..]).unwrap();
    client.send(&wire::message(b'p', scram.message())).await;
    let mut answer = Vec::new();
    while let Some(frame) = client.next().await {
        answer.push(frame);
    }
    let challenge = String::from_utf8(challenge.body[4..].to_vec()).unwrap();
    let (nonce, rest) = challenge.split_once(',').unwrap();
    assert!(nonce.len() > 40, "{nonce}");
    Seen {
        offer,
        salt_and_rounds: rest.to_owned(),
        answer,
    }
}

#[tokio::test]
async fn a_wrong_secret_and_an_unknown_principal_look_the_same() {
    let stage = Stage::new();
    let known = seen(&stage, USER).await;
    assert_eq!(known.answer.len(), 1);
    assert_eq!(known.answer[0].error()[&'C'], "28000");
    for user in ["noor~orders-ro", "~orders-ro", "no body~orders-ro", "~~"] {
        let unknown = seen(&stage, user).await;
        assert_eq!(unknown.offer, known.offer, "{user}");
        assert_eq!(unknown.salt_and_rounds.len(), known.salt_and_rounds.len());
        assert_ne!(unknown.salt_and_rounds, known.salt_and_rounds, "{user}");
        if user != "~~" {
            assert_eq!(unknown.answer, known.answer, "{user}");
        }
    }
    assert!(!stage.has_dialled().await);
}

#[tokio::test]
async fn an_unknown_target_looks_the_same_but_for_its_name() {
    let stage = Stage::new();
    let [known, unknown] = ["maya~orders-ro", "maya~orders-rw"].map(|user| seen(&stage, user));
    let (known, unknown) = (known.await, unknown.await);
    let fields = |seen: &Seen| {
        let mut fields = seen.answer[0].error();
        for field in fields.values_mut() {
            *field = field.replace("orders-rw", "orders-ro");
        }
        fields
    };
    assert_eq!(fields(&unknown), fields(&known));
}

#[tokio::test]
async fn the_salt_of_a_name_stays_the_same() {
    let stage = Stage::new();
    for user in [USER, "noor~orders-ro"] {
        let first = seen(&stage, user).await;
        assert_eq!(first, seen(&stage, user).await, "{user}");
    }
}

async fn under_tls(stage: &Stage) -> Wire<TlsStream<DuplexStream>> {
    let mut client = stage.client().ask_for_tls("localhost").await;
    let parameters = [("user", USER), ("database", "orders")];
    client.send(&wire::startup(3, 0, &parameters)).await;
    client
}

#[tokio::test]
async fn under_tls_both_mechanisms_are_offered_and_either_works() {
    let stage = Stage::with_tls();
    let secret = stage.secret();
    for plus in [true, false] {
        let mut client = under_tls(&stage).await;
        let (mechanism, binding) = match plus {
            true => ("SCRAM-SHA-256-PLUS", client.binding()),
            false => ("SCRAM-SHA-256", ChannelBinding::unsupported()),
        };
        let mut scram = ScramSha256::new(secret.as_bytes(), binding);
        let upstream = async { stage.upstream().await.welcome(PROCESS_ID, SECRET).await };
        let (greeting, _) = tokio::join!(client.authenticate(mechanism, &mut scram), upstream);
        assert_eq!(greeting.unwrap().status, b'I', "{mechanism}");
    }
    let offer = under_tls(&stage).await.frame().await;
    assert_eq!(&offer.body[4..], b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
}

#[tokio::test]
async fn channel_binding_is_never_downgraded() {
    let stage = Stage::with_tls();
    let secret = stage.secret();
    let refusal = async |mechanism: &str, binding: ChannelBinding| {
        let mut client = under_tls(&stage).await;
        let mut scram = ScramSha256::new(secret.as_bytes(), binding);
        let refused = client.authenticate(mechanism, &mut scram).await;
        refused.unwrap_err()[&'C'].clone()
    };
    let other = || ChannelBinding::tls_server_end_point(vec![7; 32]);
    // `y`: somebody took the offer of -PLUS out of the middle.
    let y = refusal("SCRAM-SHA-256", ChannelBinding::unrequested()).await;
    assert_eq!(y, "28000");
    let other_certificate = refusal("SCRAM-SHA-256-PLUS", other()).await;
    assert_eq!(other_certificate, "28000");
    for (mechanism, binding) in [
        ("SCRAM-SHA-256", other()),
        ("SCRAM-SHA-256-PLUS", ChannelBinding::unsupported()),
        ("SCRAM-SHA-256-PLUS", ChannelBinding::unrequested()),
        ("SCRAM-SHA-1", ChannelBinding::unsupported()),
        ("", ChannelBinding::unsupported()),
    ] {
        assert_eq!(refusal(mechanism, binding).await, "08P01", "{mechanism:?}");
    }
    assert!(!stage.has_dialled().await);
}

#[tokio::test]
async fn binding_is_not_offered_without_tls() {
    let stage = Stage::new();
    let offer = seen(&stage, USER).await.offer;
    assert_eq!(&offer.body[4..], b"SCRAM-SHA-256\0\0");
}

#[tokio::test]
async fn anything_but_a_sasl_message_is_refused_during_authentication() {
    let initial = |data: &[u8]| wire::message(b'p', &wire::initial_response("SCRAM-SHA-256", data));
    let overlong = [&text_of("SCRAM-SHA-256")[..], &i32::MAX.to_be_bytes()].concat();
    for (message, codes) in [
        (wire::query("select 1"), &["08P01"][..]),
        (wire::message(b'p', b""), &["08P01"]),
        (wire::message(b'p', b"SCRAM-SHA-256"), &["08P01"]),
        (wire::message(b'p', &overlong), &["08P01"]),
        (wire::header(b'p', 3), &["08P01"]),
        (wire::header(b'p', -1), &["08P01"]),
        (wire::header(b'p', i32::MAX), &["08P01"]),
        (wire::header(b'p', 4096 + 5), &["08P01"]),
        (initial(b""), &["28000"]),
        (initial(b"n,,"), &["28000"]),
        (initial(b"n,,n=,r="), &["28000", "08P01"]),
        (initial(b"n,,n=\xff,r=abc"), &["28000"]),
        (initial(b"n,a=dana,n=,r=abc,m=x"), &["28000"]),
    ] {
        let stage = Stage::new();
        let mut client = stage.client();
        client.send(&wire::startup(3, 0, &[("user", USER)])).await;
        assert_eq!(client.frame().await.tag, b'R');
        client.send(&message).await;
        let answer = client.frame().await;
        if answer.tag == b'R' {
            // It was taken for a first message; then a proof is due, and this is none.
            client.send(&wire::message(b'p', b"c=biws,r=abc,p=x")).await;
            assert_eq!(client.refused().await[&'C'], "28000");
            continue;
        }
        let code = answer.error()[&'C'].clone();
        assert!(codes.contains(&code.as_str()), "{code} for {message:?}");
        client.closed().await;
        assert!(!stage.has_dialled().await);
    }
}

fn text_of(name: &str) -> Vec<u8> {
    wire::text(&[name])
}
