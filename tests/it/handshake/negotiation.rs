//! Encryption, protocol versions, and packets that are none.

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

use crate::support::stage::{PROCESS_ID, SECRET, Stage, USER};
use crate::support::wire::{self, GSS_REQUEST, Greeting, SSL_REQUEST, Wire};

/// Sends this StartupMessage on a new connection without TLS, and logs in.
async fn enter(stage: &Stage, major: u16, minor: u16, more: &[(&str, &str)]) -> Greeting {
    let mut client = stage.client();
    let parameters = [&[("user", USER), ("database", "orders")], more].concat();
    client.send(&wire::startup(major, minor, &parameters)).await;
    let secret = stage.secret();
    let mut scram = ScramSha256::new(secret.as_bytes(), ChannelBinding::unsupported());
    let upstream = async { stage.upstream().await.welcome(PROCESS_ID, SECRET).await };
    let (greeting, startup) =
        tokio::join!(client.authenticate("SCRAM-SHA-256", &mut scram), upstream);
    let startup = String::from_utf8_lossy(&startup);
    assert!(!startup.contains("_pq_."), "{startup}");
    greeting.unwrap()
}

#[tokio::test]
async fn gss_is_declined_and_tls_may_follow() {
    let stage = Stage::with_tls();
    let mut client = stage.client();
    client.send(GSS_REQUEST).await;
    assert_eq!(client.byte().await, b'N');
    let mut client = client.ask_for_tls("localhost").await;
    let refused = client.login(USER, "orders", "wrong").await.unwrap_err();
    assert_eq!(refused[&'C'], "28000");
}

#[tokio::test]
async fn encryption_is_asked_for_once() {
    for request in [SSL_REQUEST, GSS_REQUEST] {
        let stage = Stage::new();
        let mut client = stage.client();
        client.send(request).await;
        assert_eq!(client.byte().await, b'N');
        client.send(request).await;
        assert_eq!(client.refused().await[&'C'], "08P01");

        let mut client = Stage::with_tls().client().ask_for_tls("localhost").await;
        client.send(request).await;
        assert_eq!(client.refused().await[&'C'], "08P01");
    }
}

#[tokio::test]
async fn a_client_without_tls_is_refused_where_tls_is_required() {
    let mut client = Stage::with_tls().client();
    client.send(&wire::startup(3, 0, &[("user", USER)])).await;
    let error = client.refused().await;
    assert_eq!(error[&'C'], "28000");
    assert!(error[&'H'].contains("sslmode"), "{error:?}");
}

#[tokio::test]
async fn direct_tls_needs_alpn_postgresql() {
    let stage = Stage::with_tls();
    let client = stage.client();
    let mut client = client.tls("localhost", &[b"postgresql"]).await.unwrap();
    let refused = client.login(USER, "orders", "wrong").await.unwrap_err();
    assert_eq!(refused[&'C'], "28000");

    let mut without = stage.client().tls("localhost", &[]).await.unwrap();
    let _ = without
        .try_send(&wire::startup(3, 0, &[("user", USER)]))
        .await;
    without.closed().await;
    assert!(stage.client().tls("localhost", &[b"h2"]).await.is_err());
}

#[tokio::test]
async fn what_is_stuffed_behind_the_ssl_request_is_refused() {
    let startup = wire::startup(3, 0, &[("user", USER)]);
    for stuffing in [&startup[..], &wire::query("select 1"), b"\0", SSL_REQUEST] {
        let mut client = Stage::with_tls().client();
        client.send(&[SSL_REQUEST, stuffing].concat()).await;
        assert_eq!(client.refused().await[&'C'], "08P01");
    }
}

#[tokio::test]
async fn what_is_stuffed_behind_the_gss_request_is_read_as_what_it_is() {
    let mut client = Stage::with_tls().client();
    client.send(&[GSS_REQUEST, SSL_REQUEST].concat()).await;
    assert_eq!(client.byte().await, b'N');
    assert_eq!(client.byte().await, b'S');
}

#[tokio::test]
async fn each_version_gets_the_cancel_key_that_it_can_take() {
    let stage = Stage::new();
    for (minor, len) in [(0, 4), (2, 32)] {
        let greeting = enter(&stage, 3, minor, &[]).await;
        assert_eq!(greeting.negotiated, None);
        let (process_id, secret) = greeting.key.split_at(4);
        assert_eq!(process_id, PROCESS_ID.to_be_bytes());
        assert_eq!(secret.len(), len);
        assert_ne!(secret, SECRET, "the upstream's secret stays here");
        assert_eq!(greeting.parameters["server_version"], "15.0 (scripted)");
    }
}

#[tokio::test]
async fn a_newer_version_and_unknown_options_are_negotiated() {
    let stage = Stage::new();
    let options = [("_pq_.one", "1"), ("_pq_.two", ""), ("_pq_.one", "2")];
    for (minor, newest, more) in [
        (9999, 2, &[][..]),
        (9999, 2, &options),
        (2, 2, &options),
        (0, 0, &options),
    ] {
        let options = more.iter().map(|(name, _)| (*name).to_owned()).collect();
        let greeting = enter(&stage, 3, minor, more).await;
        let expected = Some((3 << 16 | newest, options));
        assert_eq!(greeting.negotiated, expected, "3.{minor}");
        assert_eq!(greeting.key.len(), if newest == 2 { 36 } else { 8 });
    }
}

#[tokio::test]
async fn other_major_versions_are_refused() {
    for tls in [false, true] {
        let stage = if tls { Stage::with_tls() } else { Stage::new() };
        for (major, minor) in [(2, 0), (1, 0), (4, 0), (1234, 5677)] {
            let mut client = stage.client();
            client.send(&wire::startup(major, minor, &[])).await;
            assert_eq!(client.refused().await[&'C'], "0A000", "{major}.{minor}");
        }
    }
}

#[tokio::test]
async fn a_length_that_no_packet_has_is_refused_before_its_body() {
    for len in [0, 3, 7, 10_001, i32::MAX, -1, i32::MIN] {
        let mut client = Stage::new().client();
        client.send(&len.to_be_bytes()).await;
        assert_eq!(client.refused().await[&'C'], "08P01", "{len}");
    }
}

#[tokio::test]
async fn a_packet_that_is_not_what_its_code_says_is_refused() {
    for packet in [
        wire::packet(3 << 16, b"user\0maya"),
        wire::packet(3 << 16, b"user\0maya\0"),
        wire::packet(3 << 16, b"user\0maya\0\0more"),
        wire::packet(3 << 16, b""),
        wire::packet(0x04d2_162f, b"x"),
        wire::packet(0x04d2_162e, b""),
        wire::packet(0x04d2_162e, b"1234567"),
    ] {
        let mut client = Stage::new().client();
        client.send(&packet).await;
        assert_eq!(client.refused().await[&'C'], "08P01", "{packet:?}");
    }
}

#[tokio::test]
async fn a_login_byte_by_byte_is_a_login() {
    let stage = Stage::with_tls();
    let mut client = stage.client();
    client.dribble(SSL_REQUEST).await;
    assert_eq!(client.byte().await, b'S');
    let mut client = client.tls("localhost", &[]).await.unwrap();
    let parameters = [("user", USER), ("database", "orders")];
    client.dribble(&wire::startup(3, 2, &parameters)).await;
    let secret = stage.secret();
    let mut scram = ScramSha256::new(secret.as_bytes(), client.binding());
    let (greeting, mut upstream) = tokio::join!(
        client.authenticate("SCRAM-SHA-256-PLUS", &mut scram),
        async {
            let mut upstream = stage.upstream().await;
            upstream.packet().await;
            upstream.dribble(&wire::welcome(PROCESS_ID, SECRET)).await;
            upstream
        }
    );
    assert_eq!(greeting.unwrap().status, b'I');

    client.dribble(&wire::query("select 1")).await;
    assert_eq!(upstream.frame().await.body, "select 1\0");
    upstream.dribble(&wire::done("SELECT 1")).await;
    assert_eq!(client.until(b'Z').await.len(), 2);
}

#[tokio::test]
async fn a_client_that_goes_in_the_middle_leaves_nothing_behind() {
    let stage = Stage::with_tls();
    let startup = wire::startup(3, 0, &[("user", USER)]);
    for cut in [0, 1, 4, 7] {
        let mut client = stage.client();
        client.send(&SSL_REQUEST[..cut]).await;
        client.finish().await;
        client.closed().await;
    }
    for cut in [0, 3, 9, startup.len() - 1, startup.len()] {
        let mut client = stage.client().ask_for_tls("localhost").await;
        client.send(&startup[..cut]).await;
        client.finish().await;
        client.rest().await;
    }
    assert!(!stage.has_dialled().await);
    let mut client: Wire<_> = stage.client().ask_for_tls("localhost").await;
    assert!(client.login(USER, "orders", "wrong").await.is_err());
}
