//! HTTP towards those who are told.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, redirect};

use super::Failure;
use super::text::{one_line, shortened};

/// How long a receiver may take to be reached, and to answer.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(20);
/// However long it asks to be left alone, it is tried again after this.
const MOST_PATIENCE: Duration = Duration::from_secs(3600);
/// What is kept of an answer, in bytes and then in characters.
const BODY: usize = 64 * 1024;
const QUOTE: usize = 200;

/// A client that goes to the address that the operator wrote, and to no other.
///
/// # Errors
/// If TLS cannot be set up.
pub(super) fn client(tls: &Arc<rustls::ClientConfig>) -> Result<Client, reqwest::Error> {
    Client::builder()
        .tls_backend_preconfigured((**tls).clone())
        .user_agent(concat!("hallpass/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .timeout(ANSWER)
        .build()
}

/// Without the URL: a token may be part of it.
pub(super) fn unreachable(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Failure::Unreachable(shortened(&one_line(&cause.to_string()), QUOTE))
}

/// How long the other side wants to be left alone.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds).min(MOST_PATIENCE))
}

/// The beginning of an answer's body, however long it is.
pub(super) async fn body(mut answer: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= BODY {
            body.truncate(BODY);
            break;
        }
    }
    body
}

/// Why something was refused, from the status and the beginning of the body.
pub(super) async fn refusal(answer: Response) -> Failure {
    let status = answer.status();
    let retry_after = retry_after(answer.headers());
    let said = body(answer).await;
    let said = shortened(&one_line(&String::from_utf8_lossy(&said)), QUOTE);
    let why = match said.as_str() {
        "" => format!("HTTP status {status}"),
        said => format!("HTTP status {status}: {said}"),
    };
    match status.as_u16() {
        410 => Failure::Gone(why),
        _ => Failure::Refused { why, retry_after },
    }
}
