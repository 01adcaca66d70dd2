//! People are told: by Slack, where they decide too, by mail and by webhooks, also of what happened
//! while they could not be reached.

mod hook;
mod mail;
mod slack;
mod try_out;
pub(crate) mod workspace;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hallpass::access::RequestId;
use hallpass::http::types::{Problem, RequestView};
use reqwest::Method;
use serde_json::{Value, json};

use crate::clients::drivers::installed;
use crate::support::hallpass::{Hallpass, Setup};
use crate::support::postgres::free_port;

/// How long anything here may take to arrive.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Hostile text, as a reason.
const REASON: &str = "INC-4312 <!channel> <b>bold</b> *x* stuck refunds";

/// A hallpass that no database stands behind.
fn setup() -> Setup {
    Setup::in_front_of(free_port())
}

/// A file with a secret, in `folder`.
fn secret(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn python(program: &str) -> PathBuf {
    installed().join("notify/bin").join(program)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/told")
        .join(name)
}

/// A request of maya's for half an hour.
async fn ask(hallpass: &Hallpass) -> RequestId {
    let body = json!({ "target": "orders-ro", "duration": "30m", "reason": REASON });
    let request: RequestView = hallpass
        .call("maya", Method::POST, "/requests", body)
        .await
        .unwrap();
    request.id
}

/// What dana does with it.
async fn decide(hallpass: &Hallpass, request: RequestId, deed: &str, body: Value) -> Value {
    let path = format!("/requests/{request}/{deed}");
    let answer: Result<Value, Problem> = hallpass.call("dana", Method::POST, &path, body).await;
    answer.unwrap()
}

/// How a request stands.
async fn state(hallpass: &Hallpass, request: RequestId) -> Value {
    let path = format!("/requests/{request}");
    let answer: Result<Value, Problem> = hallpass.call("maya", Method::GET, &path, ()).await;
    answer.unwrap()
}
