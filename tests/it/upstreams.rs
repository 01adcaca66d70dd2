//! The way from hallpass to real servers: how it logs in, what it checks, what it shows.

use std::path::Path;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::support::certificates::Authority;
use crate::support::hallpass::Setup;
use crate::support::login::{Login, said};
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::stage::{Plot, USER};
use crate::support::wait;
use crate::support::wire::{self, Wire};

/// Each role is asked for something else; and no TLS for `analytics`, only TLS for `orders`.
const HBA: &str = "\
hostssl orders orders_admin 127.0.0.0/8 scram-sha-256
hostnossl analytics orders_admin 127.0.0.0/8 scram-sha-256
host all orders_ro 127.0.0.0/8 password
host all orders_md5 127.0.0.0/8 md5
host all orders_trust 127.0.0.0/8 trust
hostssl all orders_cert 127.0.0.0/8 cert";

/// Who the server says is logged in, and whether under TLS.
const WHO: &str = "select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()";

fn cluster() -> Cluster {
    let options = Cluster::options().tls().hba(HBA);
    options
        .setting("listen_addresses", "127.0.0.1,127.0.0.2")
        .start()
}

/// A target of its own lines.
fn target(name: &str, cluster: &Cluster, role: &str, lines: &str) -> String {
    let password = match role {
        "orders_cert" | "orders_trust" => String::new(),
        role => format!("password = {{ file = {:?} }}\n", password(cluster, role)),
    };
    format!(
        "[targets.{name}]\nport = {}\nuser = {role:?}\n{password}databases = [\"*\"]\n\
         default_database = \"orders\"\n\
         {lines}\n",
        cluster.port()
    )
}

/// A file with the role's password.
fn password(cluster: &Cluster, role: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = cluster.folder().join(format!("{role}.password"));
    std::fs::write(&path, format!("{}-secret\n", role.replace('_', "-"))).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn full(ca: &Path) -> String {
    format!("host = \"localhost\"\ntls = \"verify-full\"\nca = {ca:?}")
}

#[tokio::test]
async fn hallpass_logs_in_by_each_method_that_a_server_may_ask_for() {
    let cluster = cluster();
    let ca = full(&cluster.authority().certificate());
    let (certificate, key) = cluster.authority().issue("orders_cert", &[]);
    let by_certificate =
        format!("{ca}\nclient_certificate = {certificate:?}\nclient_key = {key:?}");
    let plain = "host = \"127.0.0.1\"\ntls = \"off\"\ndefault_database = \"analytics\"";
    let plain = target("plain", &cluster, "orders_admin", plain).replacen(
        "default_database = \"orders\"\n",
        "",
        1,
    );
    let mut setup = Setup::new(&cluster).section(&plain);
    for (name, role, lines) in [
        ("scram", "orders_admin", &ca),
        ("password", "orders_ro", &ca),
        ("md5", "orders_md5", &ca),
        ("trust", "orders_trust", &ca),
        ("certificate", "orders_cert", &by_certificate),
    ] {
        setup = setup.section(&target(name, &cluster, role, lines));
    }
    let hallpass = Process::start(setup).await;
    for (name, expected) in [
        ("scram", "orders_admin|t"),
        ("plain", "orders_admin|f"),
        ("password", "orders_ro|t"),
        ("md5", "orders_md5|t"),
        ("trust", "orders_trust|t"),
        ("certificate", "orders_cert|t"),
    ] {
        let grant = hallpass.grant("maya", name, "10m").await;
        assert_eq!(grant.login.ask(WHO), expected, "{name}");
        let missing = grant.login.database("nowhere");
        let output = missing.psql().args(["-XAtc", WHO]).output().unwrap();
        let said = said(&output);
        // Where pg_hba.conf has a line for it, the server gets so far as to miss it.
        if !["scram", "plain"].contains(&name) {
            assert!(
                said.contains("database \"nowhere\" does not exist"),
                "{said}"
            );
        }
    }
}

/// What psql says of a login that fails.
fn refusal(login: &Login) -> String {
    let output = login.psql().args(["-XAtc", WHO]).output().unwrap();
    assert!(!output.status.success(), "{}", said(&output));
    said(&output)
}

#[tokio::test]
async fn each_tls_mode_checks_what_libpq_checks_under_its_name() {
    let cluster = cluster();
    let folder = tempfile::tempdir().unwrap();
    let right = cluster.authority().certificate();
    let wrong = Authority::new(folder.path()).certificate();
    let (here, elsewhere) = ("localhost", "127.0.0.2");
    let modes = [
        ("require-here", "require", here, None, true),
        ("require-elsewhere", "require", elsewhere, None, true),
        ("ca-here", "verify-ca", here, Some(&right), true),
        ("ca-elsewhere", "verify-ca", elsewhere, Some(&right), true),
        ("ca-wrong", "verify-ca", here, Some(&wrong), false),
        ("ca-system", "verify-ca", here, None, false),
        ("full-here", "verify-full", here, Some(&right), true),
        (
            "full-elsewhere",
            "verify-full",
            elsewhere,
            Some(&right),
            false,
        ),
        ("full-wrong", "verify-full", here, Some(&wrong), false),
        ("full-system", "verify-full", here, None, false),
    ];
    let mut setup = Setup::new(&cluster);
    for (name, mode, host, ca, _) in modes {
        let ca = ca.map_or_else(String::new, |path| format!("ca = {path:?}"));
        let lines = format!("host = {host:?}\ntls = {mode:?}\n{ca}");
        setup = setup.section(&target(name, &cluster, "orders_admin", &lines));
    }
    let hallpass = Process::start(setup).await;
    for (name, _, _, _, works) in modes {
        let login = hallpass.grant("maya", name, "10m").await.login;
        if works {
            assert_eq!(login.ask(WHO), "orders_admin|t", "{name}");
        } else {
            let said = refusal(&login);
            assert!(said.contains("upstream server cannot be reached"), "{said}");
            assert!(!said.to_lowercase().contains("certificate"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_not_spoken_to_where_tls_is_configured() {
    let cluster = Cluster::start();
    let lines = "host = \"127.0.0.1\"\ntls = \"require\"";
    let setup = Setup::new(&cluster).section(&target("tls", &cluster, "orders_ro", lines));
    let hallpass = Process::start(setup).await;
    let login = hallpass.grant("maya", "tls", "10m").await.login;
    let said = refusal(&login);
    assert!(said.contains("upstream server cannot be reached"), "{said}");
    assert!(hallpass.log().contains("does not speak TLS"));
}

#[tokio::test]
async fn what_the_server_thinks_of_hallpass_credentials_stays_in_the_log() {
    let cluster = cluster();
    let ca = full(&cluster.authority().certificate());
    std::fs::write(cluster.folder().join("wrong"), "not-the-password\n").unwrap();
    let wrong =
        target("wrong", &cluster, "orders_admin", &ca).replace("orders_admin.password", "wrong");
    let none = target("none", &cluster, "orders_cert", &ca).replace("orders_cert", "orders_md5");
    let hallpass = Process::start(Setup::new(&cluster).section(&wrong).section(&none)).await;
    for name in ["wrong", "none"] {
        let said = refusal(&hallpass.grant("maya", name, "10m").await.login);
        assert!(said.contains("upstream server refused hallpass"), "{said}");
        for word in [
            "orders_",
            "password",
            "not-the-password",
            "28P01",
            "127.0.0.1",
        ] {
            let said = said.replace("at \"localhost\" (127.0.0.1)", "");
            let said = said.replace("server at \"127.0.0.1\"", "");
            assert!(!said.contains(word), "{word}: {said}");
        }
    }
    let log = hallpass.log();
    assert!(log.contains("password authentication failed"), "{log}");
    assert!(!log.contains("not-the-password"), "{log}");
}

#[tokio::test]
async fn scram_is_bound_to_the_upstreams_certificate_where_the_server_can() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = Authority::new(folder.path()).issue("server", &["localhost"]);
    let files = hallpass::tls::ServerFiles { certificate, key };
    let tls = hallpass::tls::ServerTls::load(files).unwrap();
    let acceptor = TlsAcceptor::from(tls.identity().postgresql.clone());
    for (offer, expected) in [
        (
            "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0",
            "SCRAM-SHA-256-PLUS\0",
        ),
        (
            "SCRAM-SHA-256\0SCRAM-SHA-256-PLUS\0\0",
            "SCRAM-SHA-256-PLUS\0",
        ),
        ("SCRAM-SHA-256\0\0", "SCRAM-SHA-256\0"),
    ] {
        let plot = Plot {
            upstream_tls: true,
            password: Some("hunter2"),
            ..Plot::default()
        };
        let stage = plot.stage();
        let (mut client, secret) = (stage.client(), stage.secret());
        let upstream = async {
            let mut upstream = stage.upstream().await;
            upstream.packet().await;
            upstream.send(b"S").await;
            let tls = acceptor.accept(upstream.into_io()).await.unwrap();
            let mut upstream = Wire::new(tls);
            upstream.packet().await;
            let methods = [&10_u32.to_be_bytes()[..], offer.as_bytes()].concat();
            upstream.send(&wire::message(b'R', &methods)).await;
            let initial = upstream.frame().await.body;
            assert!(initial.starts_with(expected.as_bytes()), "{initial:?}");
            let flag = if expected.contains("PLUS") {
                "p=tls-server-end-point,,"
            } else {
                "y,,"
            };
            let first = &initial[expected.len() + 4..];
            assert!(first.starts_with(flag.as_bytes()), "{initial:?}");
        };
        let (refused, ()) = tokio::join!(client.login(USER, "orders", &secret), upstream);
        assert!(refused.is_err());
    }
}

#[tokio::test]
async fn the_server_sees_who_it_is_and_the_client_sees_no_credentials() {
    let cluster = Cluster::options().tls().start();
    let setup = Setup::new(&cluster).proxy("tls = \"off\"");
    let hallpass = Process::start(setup).await;
    let grant = hallpass.grant("maya", "orders-admin", "10m").await;
    let sql = "select application_name from pg_stat_activity where pid = pg_backend_pid()";
    let expected = format!("psql maya/{}", grant.session);
    assert_eq!(grant.login.ask(sql), expected);
    let mut psql = grant.login.psql();
    psql.env("PGAPPNAME", "x".repeat(200)).args(["-XAtc", sql]);
    let said = said(&psql.output().unwrap());
    assert!(said.contains(&format!(" maya/{}", grant.session)), "{said}");

    let mut client = Wire::new(TcpStream::connect(hallpass.proxy).await.unwrap());
    let login = &grant.login;
    client
        .login(&login.user, "orders", &login.password)
        .await
        .unwrap();
    client.send(&wire::message(b'X', b"")).await;
    client.rest().await;
    for text in [hallpass.log(), format!("{:?}", hallpass.records())] {
        assert!(!text.contains("orders-admin-secret"), "{text}");
        assert!(!text.contains(&login.password), "{text}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_dropping_a_connection() {
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let (certificate, key) = authority.issue("localhost", &["localhost"]);
    let tls = format!(
        "[tls]\ncertificate = {certificate:?}\nkey = {key:?}\nca = {:?}",
        authority.certificate()
    );
    let hallpass = Process::start(Setup::new(&cluster).section(&tls)).await;
    let grant = hallpass.grant("maya", "orders-admin", "10m").await;
    let client = grant.login.connect().await;
    let shown = async || {
        let socket = TcpStream::connect(hallpass.proxy).await.unwrap();
        Wire::new(socket)
            .ask_for_tls("localhost")
            .await
            .certificate()
    };
    let first = shown().await;

    std::fs::write(&certificate, "half a file").unwrap();
    let warned = || async { hallpass.log().contains("the certificate stays as it was") };
    wait::until("the bad file is noticed", Duration::from_secs(10), warned).await;
    assert_eq!(shown().await, first, "the old one stays");

    authority.issue("localhost", &["localhost"]);
    let renewed = || async { shown().await != first };
    wait::until("the new one is shown", Duration::from_secs(10), renewed).await;
    client.simple_query("select 1").await.unwrap();
    assert_eq!(
        grant.login.ask("select 2"),
        "2",
        "the new one can be bound to"
    );
}
