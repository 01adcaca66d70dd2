//! An upstream that is down, broken, or means harm.

use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::time::{Instant, advance};

use crate::support::stage::{PROCESS_ID, Plot, SECRET, Stage, Still, USER};
use crate::support::wire::{self, Fields, SSL_REQUEST, Wire};

const SECRETIVE: &str = "role \"orders_ro\" at 10.0.0.7";

/// Logs in twice, as hallpass tries protocol 3.0 where 3.2 seems to be the trouble, and each time
/// `play` has the upstream's part.
async fn refused(plot: Plot, play: impl AsyncFn(Wire<DuplexStream>)) -> Fields {
    let stage = plot.stage();
    let mut client = stage.client();
    let secret = stage.secret();
    let upstreams = async {
        loop {
            play(stage.upstream().await).await;
        }
    };
    tokio::select! {
        refused = client.login(USER, "orders", &secret) => refused.expect_err("a refusal"),
        () = upstreams => unreachable!(),
    }
}

/// What the client is told after the upstream, having read the startup message, sends this.
async fn answered_with(bytes: &[u8]) -> Fields {
    let play = async |mut upstream: Wire<DuplexStream>| {
        upstream.packet().await;
        // hallpass may have gone before it read everything.
        let _ = upstream.try_send(bytes).await;
        upstream.finish().await;
    };
    refused(Plot::default(), play).await
}

fn is_connection_failure(error: &Fields) {
    assert_eq!(error[&'C'], "08006", "{error:?}");
    assert_eq!(error[&'S'], "FATAL");
    for text in error.values() {
        for word in ["orders_ro", "10.0.0", "5432", "upstream.example", "denied"] {
            assert!(!text.contains(word), "{error:?}");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_is_08006_and_its_address_stays_here() {
    let stage = Stage::new();
    stage.no_upstream().await;
    let mut client = stage.client();
    let refused = client.login(USER, "orders", &stage.secret()).await;
    is_connection_failure(&refused.unwrap_err());
    client.closed().await;
}

#[tokio::test]
async fn an_upstream_that_refuses_hallpass_is_08006_and_its_words_stay_here() {
    for code in ["28P01", "28000"] {
        let error = wire::error(&[('S', "FATAL"), ('C', code), ('M', SECRETIVE)]);
        is_connection_failure(&answered_with(&error).await);
    }
}

#[tokio::test]
async fn what_the_upstream_says_about_the_clients_choice_is_passed_on() {
    let fields = [
        ('S', "FATAL"),
        ('V', "FATAL"),
        ('C', "3D000"),
        ('M', "no orders here"),
    ];
    let error = answered_with(&wire::error(&fields)).await;
    assert_eq!(
        error,
        Fields::from(fields.map(|(tag, text)| (tag, text.to_owned())))
    );
}

#[tokio::test]
async fn an_error_with_missing_empty_or_repeated_fields_is_08006() {
    let whole = [('S', "FATAL"), ('C', "3D000"), ('M', SECRETIVE)];
    for missing in 0..3 {
        let mut fields = whole.to_vec();
        fields.remove(missing);
        is_connection_failure(&answered_with(&wire::error(&fields)).await);
    }
    for fields in [
        vec![],
        vec![('C', "")],
        vec![('S', "FATAL"), ('C', "3D0"), ('M', SECRETIVE)],
        vec![('S', "FATAL"), ('C', "3D000 and more"), ('M', SECRETIVE)],
        vec![
            ('S', "FATAL"),
            ('C', "28P01"),
            ('C', "3D000"),
            ('M', SECRETIVE),
        ],
    ] {
        is_connection_failure(&answered_with(&wire::error(&fields)).await);
    }
    for body in [
        &b""[..],
        b"\0",
        b"C3D000",
        b"SFATAL\0C3D000\0Mcut",
        b"\xff\xff\xff",
    ] {
        is_connection_failure(&answered_with(&wire::message(b'E', body)).await);
    }
}

#[tokio::test]
async fn what_is_no_login_is_08006() {
    let challenge =
        |code: u32, data: &[u8]| wire::message(b'R', &[&code.to_be_bytes(), data].concat());
    let ok = challenge(0, b"");
    for bytes in [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        wire::header(b'R', 3),
        wire::header(b'R', -1),
        wire::header(b'R', i32::MAX),
        wire::header(b'S', 1 << 20),
        wire::message(b'R', b""),
        wire::message(b'R', b"\0\0\0"),
        challenge(5, b"md"),
        challenge(7, b""),
        challenge(10, b""),
        challenge(10, b"SCRAM-SHA-1\0\0"),
        challenge(11, b"r=abc,s=YWJj,i=4096"),
        challenge(12, b"v=abc"),
        [ok.clone(), wire::message(b'K', b"\0\0\0\x01")].concat(),
        [ok.clone(), wire::message(b'K', &[1; 300])].concat(),
        [ok.clone(), wire::message(b'Z', b"")].concat(),
        [ok.clone(), wire::message(b'Z', b"X")].concat(),
        [ok.clone(), wire::message(b'D', b"\0\0")].concat(),
        ok[..7].to_vec(),
        Vec::new(),
    ] {
        is_connection_failure(&answered_with(&bytes).await);
    }
}

#[tokio::test]
async fn parameters_without_end_are_08006_in_bounded_memory() {
    let play = async |mut upstream: Wire<DuplexStream>| {
        upstream.packet().await;
        let parameter = wire::message(b'S', &[b'x'; 60_000]);
        let mut sent = 0;
        while upstream.try_send(&parameter).await.is_ok() {
            sent += parameter.len();
            assert!(sent < 2 << 20, "{sent} bytes were taken");
        }
    };
    is_connection_failure(&refused(Plot::default(), play).await);
}

/// Takes hallpass' first SASL message and answers it with this.
async fn challenged_with(challenge: impl AsyncFn(&str) -> String) -> Fields {
    let plot = Plot {
        password: Some("hunter2"),
        ..Plot::default()
    };
    let play = async |mut upstream: Wire<DuplexStream>| {
        upstream.packet().await;
        let offer = [&10_u32.to_be_bytes()[..], b"SCRAM-SHA-256\0\0"].concat();
        upstream.send(&wire::message(b'R', &offer)).await;
        let initial = upstream.frame().await;
        let initial = String::from_utf8_lossy(&initial.body).into_owned();
        let (_, nonce) = initial.split_once("r=").expect("a nonce");
        let challenge = challenge(nonce).await;
        let answer = [&11_u32.to_be_bytes()[..], challenge.as_bytes()].concat();
        // Too long a one is not read to its end.
        let _ = upstream.try_send(&wire::message(b'R', &answer)).await;
        // A proof would be one of something that hallpass must not have worked for.
        assert_eq!(upstream.next().await, None, "{challenge:.80}");
    };
    refused(plot, play).await
}

#[tokio::test]
async fn a_challenge_that_burns_or_confuses_is_08006() {
    let started = Instant::now();
    let salt = "c2FsdHNhbHRzYWx0c2FsdA==";
    for challenge in [
        "r=%1,s=%2,i=100001",
        "r=%1,s=%2,i=4294967295",
        "r=%1,s=%2,i=99999999999999999999",
        "r=%1,s=%2,i=0",
        "r=%1,s=%2,i=-1",
        "r=%1,s=%2,i=",
        "r=%1,s=%2",
        "r=%1,s=not base64,i=4096",
        "r=%1,i=4096",
        "r=another,s=%2,i=4096",
        "s=%2,r=%1,i=4096",
        "",
        "\u{0}",
        "e=other-error",
    ] {
        let filled = async |nonce: &str| {
            challenge
                .replace("%1", &format!("{nonce}x"))
                .replace("%2", salt)
        };
        is_connection_failure(&challenged_with(filled).await);
    }
    let long = async |nonce: &str| format!("r={nonce}{},s={salt},i=4096", "x".repeat(1 << 20));
    is_connection_failure(&challenged_with(long).await);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_server_that_cannot_prove_that_it_knows_the_password_is_08006() {
    let plot = Plot {
        password: Some("hunter2"),
        ..Plot::default()
    };
    let play = async |mut upstream: Wire<DuplexStream>| {
        upstream.packet().await;
        let offer = [&10_u32.to_be_bytes()[..], b"SCRAM-SHA-256\0\0"].concat();
        upstream.send(&wire::message(b'R', &offer)).await;
        let initial = upstream.frame().await;
        let initial = String::from_utf8_lossy(&initial.body).into_owned();
        let (_, nonce) = initial.split_once("r=").expect("a nonce");
        let challenge = format!("r={nonce}x,s=c2FsdA==,i=4096");
        let answer = [&11_u32.to_be_bytes()[..], challenge.as_bytes()].concat();
        upstream.send(&wire::message(b'R', &answer)).await;
        upstream.frame().await;
        let proof = [&12_u32.to_be_bytes()[..], b"v=", &b"A".repeat(43), b"="].concat();
        upstream.send(&wire::message(b'R', &proof)).await;
        let _ = upstream.try_send(&wire::welcome(PROCESS_ID, SECRET)).await;
        assert_eq!(upstream.next().await, None);
    };
    is_connection_failure(&refused(plot, play).await);
}

#[tokio::test]
async fn an_upstream_without_tls_or_with_bytes_before_it_is_08006() {
    for answer in [
        &b"N"[..],
        b"E",
        b"SR\0\0\0\x08\0\0\0\0",
        b"S\x16",
        b"S",
        b"",
        &wire::error(&[('S', "FATAL"), ('C', "3D000"), ('M', SECRETIVE)]),
    ] {
        let plot = Plot {
            upstream_tls: true,
            ..Plot::default()
        };
        let play = async |mut upstream: Wire<DuplexStream>| {
            assert_eq!(upstream.packet().await, SSL_REQUEST[4..]);
            let _ = upstream.try_send(answer).await;
            upstream.finish().await;
            let clear = upstream.rest().await;
            assert!(
                !String::from_utf8_lossy(&clear).contains("user"),
                "in the clear"
            );
        };
        is_connection_failure(&refused(plot, play).await);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_says_nothing_is_08006_at_the_connect_timeout() {
    for timeouts in [[20, 10], [10, 10], [5, 10]] {
        let _still = Still::hold();
        let [handshake_timeout, connect_timeout] = timeouts.map(Duration::from_secs);
        let plot = Plot {
            handshake_timeout,
            connect_timeout,
            ..Plot::default()
        };
        let stage = plot.stage();
        let mut client = stage.client();
        let secret = stage.secret();
        let silence = async {
            let mut upstream = stage.upstream().await;
            upstream.packet().await;
            advance(handshake_timeout.min(connect_timeout)).await;
            upstream
        };
        let (refused, mut upstream) = tokio::join!(client.login(USER, "orders", &secret), silence);
        let error = refused.unwrap_err();
        is_connection_failure(&error);
        assert!(error[&'M'].contains("did not answer in time"), "{error:?}");
        client.closed().await;
        upstream.closed().await;
    }
}
