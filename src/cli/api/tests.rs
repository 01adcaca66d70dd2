//! Calls against servers that answer what a test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::header::AUTHORIZATION;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use parking_lot::Mutex;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::testing::{api, stand_in};
use super::*;
use crate::access::RequestId;
use crate::http::types::{Approve, RequestView, SubmitRequest, Whoami};

async fn whoami_against(router: Router) -> Result<Whoami, CliError> {
    api(&stand_in(router).await).whoami().await
}

#[tokio::test]
async fn the_token_goes_into_the_header_and_the_document_comes_back() {
    let router = Router::new().route(
        "/api/v1/whoami",
        get(|headers: HeaderMap| async move {
            assert_eq!(headers[AUTHORIZATION], "Bearer hpt_test");
            r#"{"name": "maya", "groups": ["engineers"], "added_later": 1}"#
        }),
    );
    let whoami = whoami_against(router).await.unwrap();
    assert_eq!(whoami.name.as_str(), "maya");
}

#[tokio::test]
async fn a_refusal_is_told_in_the_problems_words() {
    let router = Router::new().fallback(|| async {
        let body = r#"{"status": 409, "code": "conflict", "detail": "already denied"}"#;
        (StatusCode::CONFLICT, body).into_response()
    });
    let error = whoami_against(router).await.unwrap_err();
    assert_eq!(error.to_string(), "already denied");
}

#[tokio::test]
async fn an_unknown_token_is_told_by_where_it_came_from() {
    let router = Router::new().fallback(|| async { StatusCode::UNAUTHORIZED });
    let error = whoami_against(router).await.unwrap_err();
    assert!(error.to_string().contains("HALLPASS_TOKEN"), "{error}");
    assert!(!format!("{error:?} {error}").contains("hpt_test"));
}

#[tokio::test]
async fn some_other_server_is_not_taken_for_hallpass() {
    for status in [StatusCode::OK, StatusCode::BAD_GATEWAY, StatusCode::FOUND] {
        let router = Router::new().fallback(move || async move { (status, "<html>") });
        let error = whoami_against(router).await.unwrap_err();
        assert!(matches!(error, CliError::NotHallpass { .. }), "{error}");
    }
}

#[tokio::test]
async fn when_nothing_answers_the_address_is_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = api(&url).whoami().await.unwrap_err();
    assert!(matches!(error, CliError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&url), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

fn submission() -> SubmitRequest {
    SubmitRequest {
        target: "orders-ro".parse().unwrap(),
        duration: "30m".into(),
        reason: "INC-1".into(),
        starts_at: None,
        break_glass: false,
    }
}

fn request() -> String {
    json!({
        "id": "req-4m0t8z1kqc7e", "requester": "maya", "target": "orders-ro", "duration": "30m",
        "reason": "INC-1", "created_at": "2026-01-01T00:00:00Z",
        "lapses_at": "2026-01-01T01:00:00Z", "state": "pending", "may_decide": false,
    })
    .to_string()
}

/// A server that gives these answers, one after the other and the last one for ever, and keeps the
/// headers of what it was asked.
struct Script {
    url: String,
    asked: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Script {
    async fn of(answers: &[(u16, &str)]) -> Self {
        let answers: Vec<_> = answers.iter().map(|&(s, b)| (s, b.to_owned())).collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let answer = move |headers: HeaderMap| {
            let mut seen = seen.lock();
            let (status, body) = answers[seen.len().min(answers.len() - 1)].clone();
            seen.push(headers);
            async move { (StatusCode::from_u16(status).unwrap(), body).into_response() }
        };
        let url = stand_in(Router::new().fallback(answer)).await;
        Self { url, asked }
    }

    async fn submit(&self) -> Result<RequestView, CliError> {
        api(&self.url).submit(&submission()).await
    }

    async fn approve(&self, seen: Option<u64>) -> Result<RequestId, CliError> {
        let id = RequestId::from_random(1);
        let body = Approve { duration: None };
        let approved = api(&self.url).approve(id, seen, &body).await?;
        Ok(approved.request.id)
    }

    /// What came in the header, of each call.
    fn header(&self, name: &str) -> Vec<Option<String>> {
        let value = |headers: &HeaderMap| Some(headers.get(name)?.to_str().unwrap().to_owned());
        self.asked.lock().iter().map(value).collect()
    }
}

#[tokio::test]
async fn what_creates_is_sent_again_by_its_key_and_the_next_has_another() {
    let request = request();
    let script = Script::of(&[(503, "<html>"), (502, ""), (201, &request)]).await;
    script.submit().await.unwrap();
    script.submit().await.unwrap();
    let keys = script.header(KEY);
    assert_eq!(keys.len(), 4, "three for the first");
    assert!(keys[0].as_ref().is_some_and(|key| key.len() == 32));
    assert!(keys[0] == keys[1] && keys[1] == keys[2], "{keys:?}");
    assert_ne!(keys[2], keys[3]);
}

#[tokio::test]
async fn reads_are_tried_again_and_not_for_ever() {
    let script = Script::of(&[(502, "<html>")]).await;
    let error = api(&script.url).whoami().await.unwrap_err();
    assert!(matches!(error, CliError::NotHallpass { .. }), "{error}");
    assert_eq!(script.asked.lock().len(), 4);
    let script = Script::of(&[(502, "<html>")]).await;
    let error = api(&script.url).impatient().whoami().await;
    assert!(error.is_err());
    assert_eq!(script.asked.lock().len(), 1);
}

#[tokio::test]
async fn a_decision_is_sent_once_and_says_what_was_looked_at() {
    let script = Script::of(&[(503, "<html>")]).await;
    assert!(script.approve(Some(4)).await.is_err());
    assert!(script.approve(None).await.is_err());
    assert_eq!(script.header("if-match"), [Some("\"4\"".into()), None]);
}

#[tokio::test]
async fn what_hallpass_itself_answered_to_a_key_is_the_answer() {
    let body = r#"{"status": 503, "code": "audit_unavailable", "detail": "no record"}"#;
    let script = Script::of(&[(503, body)]).await;
    let error = script.submit().await.unwrap_err();
    assert_eq!(error.to_string(), "no record");
    assert_eq!(script.asked.lock().len(), 1);
}

#[tokio::test]
async fn a_call_that_was_cut_off_and_is_still_in_the_works_is_asked_after() {
    let request = request();
    let begun = json!({
        "status": 409, "code": "key_in_use",
        "detail": "a call with the same Idempotency-Key was begun; look at what became of it",
    });
    let begun = begun.to_string();
    let script = Script::of(&[(502, ""), (409, &begun), (201, &request)]).await;
    script.submit().await.unwrap();
    let script = Script::of(&[(502, ""), (409, &begun)]).await;
    let error = script.submit().await.unwrap_err();
    assert!(matches!(error, CliError::Uncertain { .. }), "{error}");
    assert!(error.advice().unwrap().contains("Look before"));
    let script = Script::of(&[(409, &begun)]).await;
    script.submit().await.unwrap_err();
    assert_eq!(script.asked.lock().len(), 1, "a first answer stands");
    let conflict = r#"{"status": 409, "code": "conflict", "detail": "there is one already"}"#;
    let script = Script::of(&[(502, ""), (409, conflict)]).await;
    let error = script.submit().await.unwrap_err();
    assert_eq!(error.to_string(), "there is one already");
    assert_eq!(script.asked.lock().len(), 2, "what hallpass decided stands");
}

/// A server that hangs up on the first connection without a word.
async fn hangs_up_once(router: Router) -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(1));
    let counted = Arc::clone(&connections);
    let router = router.layer(axum::middleware::map_request(
        move |request: axum::extract::Request| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move { request }
        },
    ));
    tokio::spawn(async move {
        drop(listener.accept().await.unwrap());
        axum::serve(listener, router).await.unwrap();
    });
    (url, connections)
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_answer_to_what_may_come_twice() {
    let submit = post(|| async { (StatusCode::CREATED, request()) });
    let router = Router::new().route("/api/v1/requests", submit);
    let (url, calls) = hangs_up_once(router.clone()).await;
    api(&url).submit(&submission()).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    // An approval may have been done: whoever approved has to look.
    let (url, calls) = hangs_up_once(router).await;
    let (id, body) = (RequestId::from_random(1), Approve { duration: None });
    let error = api(&url).approve(id, None, &body).await.unwrap_err();
    assert!(matches!(error, CliError::Unreachable { .. }), "{error}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_other_scheme_is_told_from_a_server_that_is_not_there() {
    let url = stand_in(Router::new()).await.replace("http", "https");
    let error = api(&url).whoami().await.unwrap_err();
    assert!(matches!(error, CliError::WrongScheme { .. }), "{error}");
    // An alert, which is what TLS says to what is none.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        stream.write_all(&[21, 3, 3, 0, 2, 2, 70]).await.unwrap();
    });
    let error = api(&url).whoami().await.unwrap_err();
    assert!(matches!(error, CliError::WrongScheme { .. }), "{error}");
}
