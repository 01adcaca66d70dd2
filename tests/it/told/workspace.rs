//! A stand-in for Slack: it checks the bot's token, keeps what it is sent, and signs like Slack.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use hallpass::access::RequestId;
use hallpass::clock::Clock;
use hallpass::secret::hex;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{SOON, secret};
use crate::support::hallpass::Hallpass;
use crate::support::wait;

const TOKEN: &str = "xoxb-of-the-tests";
const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// A method that was called, with what.
pub type Call = (String, Value);

/// A workspace, with maya, dana and somebody else in it.
#[derive(Clone, Default)]
pub struct Workspace {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    calls: Mutex<Vec<Call>>,
    broken: AtomicBool,
    messages: AtomicU64,
    port: AtomicU64,
}

impl Workspace {
    pub async fn start() -> Self {
        let workspace = Self::default();
        let router = Router::new()
            .route("/api/{method}", post(method))
            .with_state(workspace.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        workspace.inner.port.store(port.into(), Ordering::SeqCst);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        workspace
    }

    /// The configuration that goes there.
    pub fn section(&self, folder: &std::path::Path) -> String {
        let token = secret(folder, "slack.token", TOKEN);
        let signing = secret(folder, "slack.signing", SIGNING_SECRET);
        format!(
            "[notify]\nlink_base = \"https://hallpass.example.com\"\n\
             [notify.slack]\nchannel = \"C0TEST\"\napi = \"http://127.0.0.1:{}/api\"\n\
             token = {{ file = {token:?} }}\nsigning_secret = {{ file = {signing:?} }}\n\
             [notify.slack.users]\nUMAYA = \"maya\"\nUDANA = \"dana\"\n",
            self.inner.port.load(Ordering::SeqCst)
        )
    }

    /// Answers everything with an error, or no longer.
    pub fn break_down(&self, broken: bool) {
        self.inner.broken.store(broken, Ordering::SeqCst);
    }

    /// What was called so far.
    pub fn calls(&self) -> Vec<Call> {
        self.inner.calls.lock().clone()
    }

    /// Waits for the next call, which must be of this method; its body. It is then forgotten.
    pub async fn next(&self, method: &str) -> Value {
        let look = || async {
            let mut calls = self.inner.calls.lock();
            (!calls.is_empty()).then(|| calls.remove(0))
        };
        let (called, body) = wait::until_some(method, SOON, look).await;
        assert_eq!(called, method, "{body:#}");
        body
    }

    /// Somebody clicks on a button; what hallpass answers.
    pub async fn click(
        &self,
        hallpass: &Hallpass,
        user: &str,
        action: &str,
        request: RequestId,
    ) -> (u16, String) {
        let payload = json!({
            "type": "block_actions", "user": { "id": user }, "trigger_id": "t.1",
            "channel": { "id": "C0TEST" },
            "actions": [{ "action_id": action, "value": request, "type": "button" }],
        });
        post_signed(hallpass, &Post::of(&payload)).await
    }

    /// Somebody sends the dialogue off that was opened for them.
    pub async fn submit(
        &self,
        hallpass: &Hallpass,
        user: &str,
        opened: &Value,
        reason: &str,
    ) -> (u16, String) {
        let mut view = opened["view"].clone();
        view["state"] = json!({ "values": { "reason": { "reason": { "value": reason } } } });
        let payload = json!({ "type": "view_submission", "user": { "id": user }, "view": view });
        post_signed(hallpass, &Post::of(&payload)).await
    }
}

/// A call of Slack's, as it goes over the wire.
#[derive(Clone)]
pub struct Post {
    pub timestamp: String,
    pub signature: String,
    pub body: String,
}

impl Post {
    /// Signed now, with the right secret.
    pub fn of(payload: &Value) -> Self {
        Self::signed(payload, SIGNING_SECRET, 0)
    }

    /// Signed with some secret, so many seconds ago. Two are never the same.
    pub fn signed(payload: &Value, secret: &str, ago: i64) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("number", &number.to_string())
            .append_pair("payload", &payload.to_string())
            .finish();
        let timestamp = (Clock::system().now().as_second() - ago).to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("v0:{timestamp}:{body}").as_bytes());
        let signature = format!("v0={}", hex(&mac.finalize().into_bytes()));
        Self {
            timestamp,
            signature,
            body,
        }
    }
}

/// Posts a call to hallpass; status and body of the answer.
pub async fn post_signed(hallpass: &Hallpass, post: &Post) -> (u16, String) {
    let url = format!("http://{}/api/v1/slack/interactions", hallpass.api);
    let answer = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-slack-request-timestamp", &post.timestamp)
        .header("x-slack-signature", &post.signature)
        .body(post.body.clone())
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    (status, answer.text().await.unwrap())
}

async fn method(
    State(workspace): State<Workspace>,
    Path(method): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let inner = &workspace.inner;
    if inner.broken.load(Ordering::SeqCst) {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({})));
    }
    let sent = headers.get("authorization").and_then(|it| it.to_str().ok());
    if sent != Some(&format!("Bearer {TOKEN}")) {
        let answer = json!({ "ok": false, "error": "invalid_auth" });
        return (StatusCode::OK, Json(answer));
    }
    let ts = match method.as_str() {
        "chat.postMessage" => format!("{}.1", inner.messages.fetch_add(1, Ordering::SeqCst)),
        _ => body["ts"].as_str().unwrap_or_default().to_owned(),
    };
    let answer = json!({ "ok": true, "channel": body["channel"], "ts": ts });
    inner.calls.lock().push((method, body));
    (StatusCode::OK, Json(answer))
}
