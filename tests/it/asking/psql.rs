//! psql that asks, waits, and goes on; with everything real.

use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use hallpass::http::types::RequestView;
use reqwest::Method;
use serde_json::json;

use crate::support::hallpass::{Setup, token};
use crate::support::login::{Login, said};
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::wait;

const LIMIT: Duration = Duration::from_secs(20);

struct World {
    hallpass: Process,
    login: Login,
    _cluster: Cluster,
}

impl World {
    async fn start() -> Self {
        let cluster = Cluster::start();
        let setup = Setup::new(&cluster).section("[log]\nfilter = \"trace\"");
        let hallpass = Process::start(setup).await;
        let login = Login {
            host: "localhost".to_owned(),
            port: hallpass.proxy.port(),
            user: "noor~orders-admin".to_owned(),
            password: token("noor"),
            database: "orders".to_owned(),
            sslmode: "verify-full".to_owned(),
            ca: Some(hallpass.folder().join("data/server.crt")),
        };
        Self {
            hallpass,
            login,
            _cluster: cluster,
        }
    }

    /// psql that asks, with these options, and then says who it is.
    fn psql(&self, options: &str) -> Child {
        let mut psql = self.login.psql();
        psql.env("PGOPTIONS", options)
            .env("PGCONNECT_TIMEOUT", "0")
            .args(["-XAtc", "select current_user"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        psql.spawn().unwrap()
    }

    async fn pending(&self) -> Vec<RequestView> {
        let all = self.hallpass.call("dana", Method::GET, "/requests", ());
        all.await.unwrap()
    }

    /// The request that somebody filed by connecting.
    async fn filed(&self) -> RequestView {
        let look = || async { self.pending().await.pop() };
        wait::until_some("a request is filed", LIMIT, look).await
    }

    async fn decide(&self, request: &RequestView, how: &str, body: serde_json::Value) {
        let path = format!("/requests/{}/{how}", request.id);
        let decided = self.hallpass.call("dana", Method::POST, &path, body);
        let _: serde_json::Value = decided.await.unwrap();
    }
}

async fn output(psql: Child) -> Output {
    tokio::task::spawn_blocking(|| psql.wait_with_output().unwrap())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_waits_for_its_approval_and_goes_on() {
    let world = World::start().await;
    let psql = world.psql("-c hallpass.reason=INC-4312 -c hallpass.for=30m");
    let request = world.filed().await;
    assert_eq!(
        (request.requester.as_str(), &*request.reason),
        ("noor", "INC-4312")
    );
    assert_eq!(request.duration, "30m");
    let approved = Instant::now();
    world.decide(&request, "approve", json!({})).await;
    let output = output(psql).await;
    eprintln!("from the approval to psql's end: {:?}", approved.elapsed());
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "orders_admin\n");
    let told = String::from_utf8_lossy(&output.stderr);
    for words in [
        &format!(
            "access to orders-admin for 30m was requested: {}",
            request.id
        )[..],
        "Reason: INC-4312.",
        "hallpass: approved by dana; the session ends at ",
    ] {
        assert!(told.contains(words), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_nowhere_in_what_hallpass_writes() {
    let world = World::start().await;
    let psql = world.psql("-c hallpass.reason=INC-4312");
    let request = world.filed().await;
    world.decide(&request, "approve", json!({})).await;
    assert!(output(psql).await.status.success());
    let mut wrong = world.login.clone();
    wrong.password = "a-canary-token".to_owned();
    let refused = wrong
        .psql()
        .env("PGOPTIONS", "-c hallpass.wait=off")
        .args(["-c", "select 1"])
        .output()
        .unwrap();
    assert!(said(&refused).contains("no live session lets you in"));

    let mut written = world.hallpass.log();
    written += &world.hallpass.ops("/metrics").await.1;
    let data = world.hallpass.folder().join("data/audit");
    for file in std::fs::read_dir(data).unwrap() {
        written += &String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap());
    }
    assert!(written.contains("INC-4312"), "it looks in the right place");
    for secret in [&*token("noor"), "a-canary-token"] {
        assert!(!written.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_is_told_why_it_is_denied() {
    let world = World::start().await;
    let psql = world.psql(r"-c hallpass.reason=just\ looking");
    let request = world.filed().await;
    let body = json!({ "reason": "use the replica" });
    world.decide(&request, "deny", body).await;
    let output = output(psql).await;
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    let words = format!(
        "FATAL:  hallpass: dana denied {}: use the replica",
        request.id
    );
    assert!(told.contains(&words), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_connects_again_waits_for_the_same_request() {
    let world = World::start().await;
    let mut first = world.psql("-c hallpass.reason=INC-4312");
    let request = world.filed().await;
    first.kill().unwrap();
    first.wait().unwrap();
    let second = world.psql("-c hallpass.reason=INC-4312 -c hallpass.wait=off");
    let told = said(&output(second).await);
    assert!(
        told.contains(&format!("{} is waiting for approval", request.id)),
        "{told}"
    );
    assert_eq!(world.pending().await.len(), 1);
    world.decide(&request, "approve", json!({})).await;
    let third = output(world.psql("-c hallpass.wait=off")).await;
    assert!(third.status.success(), "{}", said(&third));
}
