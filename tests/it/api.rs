//! The REST API, by its document.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use hallpass::http::types::RequestView;
use hallpass::secret::{hex, sha256};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::clients::drivers::installed;
use crate::clients::text;
use crate::support::hallpass::{Hallpass, Setup, token};
use crate::support::login::said;
use crate::support::postgres::free_port;
use crate::support::process::Process;

/// Somebody who may do everything.
fn setup() -> Setup {
    let hash = hex(&sha256(token("root").as_bytes()));
    Setup::in_front_of(free_port()).section(&format!(
        "[principals.root]\ngroups = [\"admins\", \"engineers\", \"leads\", \"oncall\", \"security\"]\n\
         token_sha256 = {hash:?}\n"
    ))
}

/// Forwards to `to`, each connection from an address of its own: who guesses is held back by theirs,
/// and wrong tokens are among what is tried out.
async fn many_addresses(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for n in 0u32.. {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut server = dial(to, n).await;
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

async fn dial(to: SocketAddr, n: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + n % 0xff_0000);
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

async fn ask(hallpass: &Hallpass, who: &str, target: &str) -> String {
    let body = json!({ "target": target, "duration": "30m", "reason": "INC-4312" });
    let asked = hallpass.call(who, Method::POST, "/requests", body).await;
    let asked: RequestView = asked.unwrap();
    asked.id.to_string()
}

/// What there is to try calls out on: the operation, its parameter, and something that fits.
async fn something(hallpass: &Hallpass) -> Vec<(&'static str, &'static str, String)> {
    let session = async |who| {
        hallpass
            .grant(who, "orders-ro", "10m")
            .await
            .session
            .to_string()
    };
    let (mayas, noors, own) = (
        session("maya").await,
        session("noor").await,
        session("root").await,
    );
    vec![
        (
            "showRequest",
            "id",
            ask(hallpass, "noor", "orders-admin").await,
        ),
        (
            "approveRequest",
            "id",
            ask(hallpass, "maya", "orders-admin").await,
        ),
        (
            "denyRequest",
            "id",
            ask(hallpass, "noor", "orders-admin").await,
        ),
        (
            "withdrawRequest",
            "id",
            ask(hallpass, "root", "orders-admin").await,
        ),
        ("showSession", "id", mayas.clone()),
        ("sessionRecords", "session", mayas.clone()),
        ("placeHold", "session", mayas.clone()),
        ("releaseHold", "session", mayas),
        ("revokeSession", "id", noors),
        ("extendSession", "id", own.clone()),
        ("readSecret", "id", own),
    ]
}

/// The configuration of schemathesis, with `something` to try calls out on.
fn config(something: Vec<(&str, &str, String)>) -> String {
    let config = include_str!("api/schemathesis.toml").to_owned();
    let operations = something.into_iter().map(|(operation, name, value)| {
        // Nobody decides here: half a minute would be waited.
        let wait = match operation {
            "showRequest" => ", \"query.wait\" = \"1s\"",
            _ => "",
        };
        format!(
            "[[operations]]\ninclude-operation-id = {operation:?}\n\
             parameters = {{ \"path.{name}\" = {value:?}{wait} }}\n\n"
        )
    });
    // Nor does it end by itself.
    let config = config
        + "[[operations]]\ninclude-operation-id = \"listenEvents\"\n\
           parameters = { \"query.for\" = \"0s\" }\n\n";
    operations.fold(config, |config, operation| config + &operation)
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing() {
    let hallpass = Process::start(setup()).await;
    let something = something(&hallpass).await;
    let api = many_addresses(hallpass.api).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("schemathesis.toml");
    fs::write(&file, config(something)).unwrap();
    let mut schemathesis = Command::new(installed().join("api/bin/st"));
    schemathesis
        .current_dir(folder.path())
        .arg("--config-file")
        .arg(file)
        .arg("run")
        .arg(format!("http://{api}/api/v1/openapi.json"))
        .args(["--checks", "all", "--max-examples", "5", "--workers", "2"])
        .args(["--suppress-health-check", "all", "--no-color"])
        .args([
            "--header",
            &format!("Authorization: Bearer {}", token("root")),
        ])
        // A connection a call, and so an address.
        .args(["--header", "Connection: close"]);
    let output = tokio::task::spawn_blocking(move || schemathesis.output());
    let output = output.await.unwrap().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_prints_the_document_that_the_server_answers_with() {
    let hallpass = Process::start(setup()).await;
    let url = format!("http://{}/api/v1/openapi.json", hallpass.api);
    let answer = reqwest::get(url).await.unwrap();
    let served: Value = answer.json().await.unwrap();
    let printed = text(&Process::command().arg("openapi").output().unwrap());
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(served, printed);
    assert!(served["paths"]["/api/v1/requests"]["post"].is_object());
}
