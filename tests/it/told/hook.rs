//! A webhook, verified by the specification's own library.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};

use super::{REASON, SOON, ask, decide, python, script, secret, setup};
use crate::clients::text;
use crate::support::process::Process;
use crate::support::wait;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// What a receiver got.
#[derive(Debug, Clone, Serialize)]
struct Call {
    headers: BTreeMap<String, String>,
    body: String,
}

impl Call {
    /// What the specification's library makes of it.
    fn verify(&self, secret: &str) -> Output {
        let mut child = Command::new(python("python"))
            .arg(script("verify.py"))
            .arg(secret)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let call = serde_json::to_vec(self).unwrap();
        child.stdin.take().unwrap().write_all(&call).unwrap();
        child.wait_with_output().unwrap()
    }
}

type Calls = Arc<Mutex<Vec<Call>>>;

/// Refuses the first call and takes all others.
async fn receive(
    State(calls): State<Calls>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, &'static str) {
    let headers = headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()));
    let mut calls = calls.lock();
    calls.push(Call {
        headers: headers.collect(),
        body,
    });
    match calls.len() {
        1 => (StatusCode::BAD_GATEWAY, "try again"),
        _ => (StatusCode::NO_CONTENT, ""),
    }
}

#[tokio::test]
async fn a_webhook_gets_what_happens_signed_and_a_repetition_is_known() {
    let calls = Calls::default();
    let router = Router::new().route("/hook", post(receive));
    let router = router.with_state(Arc::clone(&calls));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let setup = setup();
    let old = secret(&setup.folder(), "old", SECRET);
    let new = secret(&setup.folder(), "new", NEW_SECRET);
    let hallpass = Process::start(setup.section(&format!(
        "[notify]\nlink_base = \"https://hallpass.example.com\"\n[notify.webhooks.chat]\n\
         url = \"http://127.0.0.1:{port}/hook\"\n\
         secrets = [{{ file = {new:?} }}, {{ file = {old:?} }}]\n"
    )))
    .await;
    let request = ask(&hallpass).await;
    decide(&hallpass, request, "approve", json!({ "duration": "10m" })).await;
    let all = || async {
        let calls = calls.lock();
        (calls.len() >= 3).then(|| calls.clone())
    };
    let got = wait::until_some("both arrive", SOON, all).await;

    let ids: Vec<&String> = got.iter().map(|it| &it.headers["webhook-id"]).collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
    assert_eq!(got[0].body, got[1].body);
    for call in &got {
        // Each of the two knows its own signature.
        for secret in [SECRET, NEW_SECRET] {
            let document: Value = serde_json::from_str(&text(&call.verify(secret))).unwrap();
            assert_eq!(document["data"]["request"], json!(request));
            assert_eq!(document["data"]["reason"], REASON);
        }
        let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert!(!call.verify(other).status.success());
        let mut changed = call.clone();
        changed.body = call.body.replace("maya", "noor");
        assert!(!changed.verify(SECRET).status.success());
    }
    let approved: Value = serde_json::from_str(&got[2].body).unwrap();
    assert_eq!(approved["type"], "request.approved");
    assert_eq!(approved["data"]["by"], "dana");
    assert_eq!(approved["data"]["seconds"], 600);
}
