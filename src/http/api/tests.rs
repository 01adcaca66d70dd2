//! The API from outside: every route for every kind of caller, and what strangers may send.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::super::types::{AuditHead, RequestView, SessionView, StatementsView, TargetView};
use super::{ApiParts, Endpoint, router};
use crate::access::{RequestState, SessionState};
use crate::audit::{Event, reader};
use crate::control::testing::{HOUR, World, caller};

struct Api {
    world: World,
    router: Router,
    shutdown: CancellationToken,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

/// The token of `name`.
fn token(name: &str) -> String {
    format!("token-of-{name}")
}

impl Api {
    fn new() -> Self {
        let world = World::new();
        let endpoint = Endpoint {
            host: "db.example.com".into(),
            port: 6432,
            sslmode: "verify-full".into(),
            ca_certificate: Some("PEM".into()),
        };
        let shutdown = CancellationToken::new();
        let router = router(ApiParts {
            control: Arc::clone(&world.control),
            endpoint: Arc::new(ArcSwap::from_pointee(endpoint)),
            shutdown: shutdown.clone(),
        });
        Self {
            world,
            router,
            shutdown,
        }
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    async fn call(&self, who: &str, method: &str, path: &str, body: &str) -> Reply {
        self.send(request(&token(who), method, path, body.to_owned()))
            .await
    }

    /// A call of maya's with one header more.
    async fn having(
        &self,
        method: &str,
        path: &str,
        name: &'static str,
        value: &str,
        body: &str,
    ) -> Reply {
        let mut request = request(&token("maya"), method, path, body.to_owned());
        request.headers_mut().insert(name, value.parse().unwrap());
        self.send(request).await
    }

    /// A change of what `who` saw in the version of the tag.
    async fn as_seen(&self, who: &str, path: &str, tag: &str, body: &str) -> Reply {
        let mut request = request(&token(who), "POST", path, body.to_owned());
        request
            .headers_mut()
            .insert("if-match", tag.parse().unwrap());
        self.send(request).await
    }

    /// `path` with `{request}`, `{session}` and the like replaced by something that maya has.
    async fn fill(&self, path: &str) -> String {
        if path.contains("{session}") {
            let session = self.world.session().await.id.to_string();
            return path.replace("{session}", &session);
        }
        if path.contains("{held}") {
            let (session, iris) = (self.world.session().await.id, caller("iris"));
            let held = self.world.control.place_hold(&iris, session, "x").await;
            return path.replace("{held}", &held.unwrap().0.session.to_string());
        }
        if path.contains("{broken}") {
            let broken = self.world.break_glass("maya").await;
            let maya = caller("maya");
            let ended = self.world.control.revoke(&maya, broken, "done").await;
            ended.unwrap();
            return path.replace("{broken}", &broken.to_string());
        }
        if path.contains("{delegate}") {
            let (dana, lee) = (caller("dana"), caller("lee"));
            let until = self.world.clock.now() + HOUR;
            let made = self.world.control.delegate(&dana, &lee.name, until).await;
            return path.replace("{delegate}", made.unwrap().to.as_str());
        }
        if path.contains("{request}") {
            let request = self.world.submit("maya").await.to_string();
            return path.replace("{request}", &request);
        }
        path.to_owned()
    }
}

fn request(token: &str, method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(format!("/api/v1/{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

/// The columns of [`ROUTES`].
const CALLERS: [&str; 5] = ["maya", "dana", "omar", "sam", "iris"];

const SUBMIT: &str = r#"{"target":"orders-ro","duration":"30m","reason":"INC-1"}"#;

const LOGIN: &str = r#"{"name":"zoe","password":"correct horse battery"}"#;

const SHOW: &str = r#"{"password":"correct horse battery"}"#;

const PASSWORD: &str =
    r#"{"password":"correct horse battery","new_password":"another long password"}"#;

const EXPLAIN: &str = r#"{"action":"request","target":"orders-ro","duration":"30m"}"#;

const TOKEN: &str = r#"{"scope":"read","lifetime":"1h"}"#;

/// Method, path, body; then what a requester (whose it is), an approver of the target, an
/// approver of another target, one who may do nothing, and an auditor are answered.
const ROUTES: &[(&str, &str, &str, [u16; 5])] = &[
    ("GET", "openapi.json", "", [200; 5]),
    ("GET", "whoami", "", [200, 200, 200, 200, 200]),
    ("POST", "login", LOGIN, [401; 5]),
    ("POST", "login/oidc", "", [404; 5]),
    ("POST", "login/oidc/finish", r#"{"flow":"x"}"#, [401; 5]),
    ("POST", "token/exchange", "", [400; 5]),
    ("POST", "logout", "", [404; 5]),
    ("POST", "account/password", PASSWORD, [403; 5]),
    ("POST", "account/totp", SHOW, [403; 5]),
    ("DELETE", "account/totp", SHOW, [403; 5]),
    ("POST", "account/totp/confirm", r#"{"code":"1"}"#, [403; 5]),
    ("GET", "accounts", "", [403; 5]),
    ("POST", "accounts", r#"{"name":"zoe"}"#, [403; 5]),
    ("POST", "accounts/zoe/disable", "", [403; 5]),
    ("POST", "accounts/zoe/enable", "", [403; 5]),
    ("POST", "accounts/zoe/reset", "", [403; 5]),
    ("PUT", "accounts/zoe/groups", r#"{"groups":[]}"#, [403; 5]),
    ("GET", "tokens", "", [200; 5]),
    ("POST", "tokens", TOKEN, [201; 5]),
    ("DELETE", "tokens/tok-000000000000", "", [404; 5]),
    ("GET", "targets", "", [200, 200, 200, 200, 200]),
    ("GET", "policy", "", [403, 403, 403, 403, 200]),
    ("POST", "policy/explain", EXPLAIN, [200, 200, 404, 404, 404]),
    ("GET", "config/summary", "", [403, 403, 403, 403, 403]),
    ("GET", "requests", "", [200, 200, 200, 200, 200]),
    ("POST", "requests", SUBMIT, [201, 403, 404, 404, 404]),
    ("GET", "requests/{request}", "", [200, 200, 404, 404, 404]),
    (
        "POST",
        "requests/{request}/approve",
        "{}",
        [403, 200, 404, 404, 404],
    ),
    (
        "POST",
        "requests/{request}/deny",
        r#"{"reason":"no"}"#,
        [403, 200, 404, 404, 404],
    ),
    (
        "POST",
        "requests/{request}/withdraw",
        "",
        [200, 403, 404, 404, 404],
    ),
    ("GET", "sessions", "", [200, 200, 200, 200, 200]),
    ("GET", "sessions/{session}", "", [200, 200, 404, 404, 404]),
    (
        "POST",
        "sessions/{session}/revoke",
        "{}",
        [200, 200, 404, 404, 404],
    ),
    (
        "POST",
        "sessions/{session}/extend",
        r#"{"duration":"5m","reason":"not done"}"#,
        [201, 403, 404, 404, 404],
    ),
    ("GET", "reviews", "", [200, 200, 200, 200, 200]),
    (
        "POST",
        "reviews/{broken}/close",
        r#"{"note":"as it should be"}"#,
        [403, 200, 404, 404, 404],
    ),
    ("GET", "events?for=0s", "", [200; 5]),
    ("GET", "delegations", "", [200, 200, 200, 200, 200]),
    (
        "POST",
        "delegations",
        r#"{"to":"lee","until":"1970-01-20T00:00:00Z"}"#,
        [201, 201, 201, 201, 201],
    ),
    (
        "DELETE",
        "delegations/{delegate}",
        "",
        [404, 200, 404, 404, 404],
    ),
    (
        "POST",
        "sessions/{session}/secret",
        "",
        [200, 403, 404, 404, 404],
    ),
    ("GET", "connections", "", [200, 200, 200, 200, 200]),
    ("POST", "notify/test", "", [403; 5]),
    ("POST", "slack/interactions", "", [401; 5]),
    ("GET", "audit/statements", "", [403, 403, 403, 403, 200]),
    (
        "GET",
        "audit/sessions/{session}",
        "",
        [403, 403, 403, 403, 200],
    ),
    ("GET", "audit/head", "", [403, 403, 403, 403, 200]),
    ("GET", "audit/holds", "", [403, 403, 403, 403, 200]),
    (
        "PUT",
        "audit/holds/{session}",
        r#"{"reason":"a letter"}"#,
        [403, 403, 403, 403, 201],
    ),
    (
        "DELETE",
        "audit/holds/{held}",
        r#"{"reason":"settled"}"#,
        [403, 403, 403, 403, 200],
    ),
];

#[test]
fn every_route_has_a_line_in_the_table() {
    let document: Value = serde_json::from_str(&super::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut documented: Vec<(String, &str)> = Vec::new();
    for (path, item) in paths {
        let methods = item.as_object().unwrap().keys();
        documented.extend(methods.map(|method| (method.to_uppercase(), path.as_str())));
    }
    for (method, path, ..) in ROUTES {
        let path = path.split('?').next().unwrap();
        let whole = format!("/api/v1/{path}");
        let is = |(its, template): &(String, &str)| its == method && fits(template, &whole);
        let place = documented.iter().position(is);
        documented.remove(place.unwrap_or_else(|| panic!("{method} {path} is in no document")));
    }
    assert!(documented.is_empty(), "without a line: {documented:?}");
}

/// Whether a path is one of a template's.
fn fits(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template
            .zip(path)
            .all(|(part, text)| part.starts_with('{') || part == text)
}

#[test]
fn the_document_says_of_every_call_what_it_takes_and_what_it_answers() {
    let document: Value = serde_json::from_str(&super::openapi()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{id} twice");
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{id}");
            let problem = "#/components/responses/Problem";
            assert_eq!(
                operation["responses"]["4XX"]["$ref"], problem,
                "{method} {path}"
            );
            let parameters = operation["parameters"].as_array();
            let named = path.matches('{').count();
            let in_path = parameters
                .into_iter()
                .flatten()
                .filter(|it| it["in"] == "path");
            assert_eq!(in_path.count(), named, "{method} {path}");
        }
    }
    for (path, names) in [
        ("requests", &["state", "limit", "cursor"][..]),
        ("requests/{id}", &["wait", "id", "If-None-Match"]),
        ("audit/sessions/{session}", &["after", "limit", "session"]),
    ] {
        let parameters = &document["paths"][format!("/api/v1/{path}")]["get"]["parameters"];
        let documented = parameters.as_array().unwrap().iter().map(|it| &it["name"]);
        assert_eq!(documented.collect::<Vec<_>>(), names, "{path}");
        assert!(!parameters.to_string().contains("null"), "{parameters}");
    }
    let request = &document["components"]["schemas"]["RequestId"];
    assert_eq!(request["pattern"], "^req-[0-9a-hjkmnp-tv-z]{12}$");
}

#[tokio::test]
async fn every_route_answers_each_kind_of_caller_as_the_table_says() {
    for (method, path, body, expected) in ROUTES {
        for (who, expected) in CALLERS.iter().zip(expected) {
            let api = Api::new();
            let filled = api.fill(path).await;
            let reply = api.call(who, method, &filled, body).await;
            assert_eq!(
                reply.status, *expected,
                "{method} {path} as {who}: {}",
                reply.body
            );
            check_form(&reply);
        }
    }
}

/// Where those go who have no token yet.
const OPEN: [&str; 5] = [
    "openapi.json",
    "login",
    "login/oidc",
    "login/oidc/finish",
    "token/exchange",
];

#[tokio::test]
async fn no_route_answers_without_a_valid_token() {
    let closed = ROUTES.iter().filter(|(_, path, ..)| !OPEN.contains(path));
    for (method, path, body, _) in closed {
        let api = Api::new();
        let path = api.fill(path).await;
        for credentials in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            "Basic token-of-maya",
            "token-of-maya",
        ] {
            let mut request = request("x", method, &path, (*body).to_owned());
            request
                .headers_mut()
                .insert("authorization", credentials.parse().unwrap());
            let reply = api.send(request).await;
            assert_eq!(reply.status, 401, "{method} {path} {credentials}");
            assert!(reply.headers.contains_key("www-authenticate"));
            check_form(&reply);
        }
    }
}

/// What every answer has, and every error besides.
fn check_form(reply: &Reply) {
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert_eq!(reply.headers["x-content-type-options"], "nosniff");
    if reply.status.is_success() {
        let form = &reply.headers["content-type"];
        let is_one = form == "application/json" || form == "text/event-stream";
        assert!(is_one, "{form:?}");
        return;
    }
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    assert_eq!(reply.body["status"], reply.status.as_u16());
    for field in ["code", "detail"] {
        assert!(
            !reply.body[field].as_str().unwrap().is_empty(),
            "{}",
            reply.body
        );
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_problems_too() {
    let api = Api::new();
    for (method, path, expected) in [
        ("GET", "nothing", 404),
        ("GET", "", 404),
        ("GET", "whoami/", 404),
        ("GET", "requests/req-000000000000", 404),
        ("GET", "requests/%00", 404),
        ("GET", "requests/%ff", 400),
        ("POST", "sessions/ses-x/revoke", 404),
        ("DELETE", "requests", 405),
        ("POST", "whoami", 405),
        ("PUT", "audit/holds/ses-x", 404),
        ("GET", "audit/statements?colour=red", 400),
        ("GET", "audit/statements?limit=1001", 400),
        ("GET", "audit/statements?text=(&regex=true", 422),
        ("GET", "audit/statements?events=all", 400),
        ("GET", "audit/statements?outcome=completed,lost", 400),
        ("GET", "audit/statements?principal=a%20b", 422),
        ("GET", "audit/statements?sqlstate=4", 422),
        ("GET", "audit/statements?longer=5", 400),
        ("GET", "audit/sessions/ses-x", 404),
        ("DELETE", "audit/holds/ses-000000000000", 403),
        ("GET", "requests?state=maybe", 400),
        ("GET", "requests?colour=red", 400),
        ("GET", "requests?state=all&state=pending", 400),
        ("GET", "sessions?state=pending", 400),
        ("GET", "requests/req-000000000000?wait=31s", 422),
        ("GET", "requests/req-000000000000?wait=-1s", 400),
        ("GET", "requests/req-000000000000?wait=soon", 400),
        ("GET", "requests/req-000000000000?wait=1s", 404),
    ] {
        let reply = api.call("maya", method, path, "").await;
        assert_eq!(reply.status, expected, "{method} {path}: {}", reply.body);
        check_form(&reply);
    }
    let reply = api.call("maya", "DELETE", "requests", "").await;
    assert_eq!(reply.headers["allow"], "GET,HEAD,POST");
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused_and_grant_nothing() {
    let api = Api::new();
    let deep = format!("{{\"target\":{}", "[".repeat(10_000));
    let deep_unknown = format!("{{\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let mut bodies: Vec<Vec<u8>> = [
        "",
        "{",
        "null",
        "true",
        "1",
        "\"x\"",
        "[]",
        "[[]]",
        "{}",
        "NaN",
        "{}{}",
        "\u{feff}{}",
        r#"["orders-ro","30m","INC-1"]"#,
        r#"{"target":"orders-ro","duration":"30m"}"#,
        r#"{"target":null,"duration":"30m","reason":"x"}"#,
        r#"{"target":["orders-ro"],"duration":"30m","reason":"x"}"#,
        r#"{"target":"Orders Ro","duration":"30m","reason":"x"}"#,
        r#"{"target":"orders-ro","duration":30,"reason":"x"}"#,
        r#"{"target":"orders-ro","duration":"30m","reason":{"a":1}}"#,
        r#"{"target":"orders-ro","duration":"30m","reason":"x","approved":true}"#,
        r#"{"target":"orders-ro","target":"orders-ro","duration":"30m","reason":"x"}"#,
        r#"{"target":"orders-ro","duration":"30m","reason":"x"} trailing"#,
        r#"{"target":"orders-ro","duration":"30m","reason":"  "}"#,
        r#"{"target":"orders-ro","duration":"30m","reason":"a\u0000b"}"#,
        r#"{"target":"orders-ro","duration":"30m","reason":"\ud800"}"#,
        &deep,
        &deep_unknown,
    ]
    .map(|body| body.as_bytes().to_vec())
    .into();
    bodies.push(b"{\"target\":\"orders-ro\",\"duration\":\"30m\",\"reason\":\"\xff\"}".to_vec());
    let durations = [
        "",
        "0",
        "0s",
        "-5m",
        "9h",
        "500 years",
        "99999999999999999999y",
        "1e9s",
        "30",
        "m",
        "1s 1",
        "999ms",
        "\u{0663}m",
        "30m\n30m;",
    ];
    for duration in durations {
        let body = json!({ "target": "orders-ro", "duration": duration, "reason": "x" });
        bodies.push(body.to_string().into_bytes());
    }
    for body in bodies {
        let text = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
        let reply = api
            .send(request(&token("maya"), "POST", "requests", body))
            .await;
        assert!([400, 422].contains(&reply.status.as_u16()), "{text}");
        assert_eq!(reply.body["code"], "invalid", "{text}");
        check_form(&reply);
    }
    let id = api.world.submit("maya").await;
    for body in [
        "null",
        "[]",
        "[\"30m\"]",
        r#"{"duration":null,"x":1}"#,
        r#"{"duration":"0s"}"#,
        r#"{"duration":"2h"}"#,
    ] {
        let reply = api
            .call("dana", "POST", &format!("requests/{id}/approve"), body)
            .await;
        assert!([400, 422].contains(&reply.status.as_u16()), "{body}");
    }
    assert_eq!(api.world.admission.live_sessions(), 0);
}

#[tokio::test]
async fn what_is_too_large_or_not_json_is_refused() {
    let api = Api::new();
    let huge = format!(r#"{{"reason":"{}"}}"#, "x".repeat(70_000));
    let reply = api.call("maya", "POST", "requests", &huge).await;
    assert_eq!(reply.status, 413);
    check_form(&reply);
    // The same without a length that could be seen beforehand.
    let mut unsized_body = request(&token("maya"), "POST", "requests", "");
    let chunks = std::iter::repeat_n(vec![b' '; 4096], 20);
    *unsized_body.body_mut() = Body::new(Chunks(chunks.collect()));
    let reply = api.send(unsized_body).await;
    assert_eq!(reply.status, 413);
    check_form(&reply);
    let mut form = request(&token("maya"), "POST", "requests", SUBMIT);
    let urlencoded = "application/x-www-form-urlencoded".parse().unwrap();
    form.headers_mut().insert("content-type", urlencoded);
    let reply = api.send(form).await;
    assert_eq!(reply.status, 415);
    check_form(&reply);
}

/// A body that comes in pieces.
struct Chunks(std::collections::VecDeque<Vec<u8>>);

impl hyper::body::Body for Chunks {
    type Data = axum::body::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        let next = self.0.pop_front();
        let frame = next.map(|piece| Ok(hyper::body::Frame::data(piece.into())));
        std::task::Poll::Ready(frame)
    }
}

#[tokio::test]
async fn a_request_goes_from_submission_to_a_secret() {
    let api = Api::new();
    let submitted = api.call("maya", "POST", "requests", SUBMIT).await;
    assert_eq!(submitted.body["state"], "pending");
    assert_eq!(submitted.body["duration"], "30m");
    assert_eq!(submitted.body["may_decide"], false);
    let id = submitted.body["id"].as_str().unwrap();
    assert_eq!(
        submitted.headers["location"],
        format!("/api/v1/requests/{id}")
    );
    let seen = api.call("dana", "GET", "requests", "").await;
    assert_eq!(seen.body[0]["id"], id);
    assert_eq!(seen.body[0]["may_decide"], true);

    let approve = format!("requests/{id}/approve");
    let approved = api
        .call("dana", "POST", &approve, r#"{"duration":"10m"}"#)
        .await;
    assert_eq!(approved.body["request"]["state"], "approved");
    assert_eq!(approved.body["session"]["state"], "active");
    let again = api.call("lee", "POST", &approve, "").await;
    assert_eq!(
        (again.status.as_u16(), &again.body["code"]),
        (409, &json!("conflict"))
    );

    let session = approved.body["session"]["id"].as_str().unwrap();
    let secret = api
        .call("maya", "POST", &format!("sessions/{session}/secret"), "")
        .await;
    assert_eq!(secret.body["user"], "maya~orders-ro");
    assert_eq!(secret.body["host"], "db.example.com");
    assert_eq!(secret.body["database"], "orders");
    let expected = api.world.admission.secret(session.parse().unwrap());
    assert_eq!(secret.body["password"], expected.expose());

    let revoke = format!("sessions/{session}/revoke");
    let revoked = api
        .call("maya", "POST", &revoke, r#"{"reason":"done"}"#)
        .await;
    assert_eq!(revoked.body["state"], "revoked");
    let live = api.call("maya", "GET", "sessions", "").await;
    assert_eq!(live.body, json!([]));
    let all = api.call("maya", "GET", "sessions?state=all", "").await;
    assert_eq!(all.body[0]["reason"], "INC-1");
    assert_eq!(all.body[0]["revocation_reason"], "done");
}

#[tokio::test]
async fn what_the_api_answers_reads_back_as_its_documents() {
    let api = Api::new();
    let session = api.world.session().await;
    let control = &api.world.control;
    let other = api.world.submit("noor").await;
    control.deny(&caller("dana"), other, "no").await.unwrap();
    control
        .revoke(&caller("dana"), session.id, "stop")
        .await
        .unwrap();
    let requests = api.call("dana", "GET", "requests?state=all", "").await;
    let requests: Vec<RequestView> = serde_json::from_value(requests.body).unwrap();
    assert_eq!(requests[0].reason, "INC-1");
    assert!(matches!(&requests[0].state, RequestState::Denied { reason, .. } if reason == "no"));
    assert!(matches!(requests[1].state, RequestState::Approved { .. }));
    let sessions = api.call("dana", "GET", "sessions?state=all", "").await;
    let sessions: Vec<SessionView> = serde_json::from_value(sessions.body).unwrap();
    assert!(matches!(&sessions[0].state, SessionState::Revoked { reason, .. } if reason == "stop"));
    let targets = api.call("dana", "GET", "targets", "").await;
    let targets: Vec<TargetView> = serde_json::from_value(targets.body).unwrap();
    assert_eq!(targets[0].max_duration, "8h");
}

#[tokio::test]
async fn a_long_poll_answers_upon_the_decision() {
    let api = Api::new();
    let id = api.world.submit("maya").await;
    let path = format!("requests/{id}?wait=30s");
    let mut poll = std::pin::pin!(api.call("maya", "GET", &path, ""));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut poll).await;
    assert!(early.is_err(), "it waits while the request is pending");
    // Another's decision is no reason to answer.
    let other = api.world.submit("noor").await;
    api.world
        .control
        .deny(&caller("dana"), other, "no")
        .await
        .unwrap();
    let early = tokio::time::timeout(Duration::from_millis(50), &mut poll).await;
    assert!(early.is_err(), "it waits for its own request");
    api.world
        .control
        .approve(&caller("dana"), id, None)
        .await
        .unwrap();
    let reply = tokio::time::timeout(Duration::from_secs(5), poll)
        .await
        .unwrap();
    assert_eq!(reply.body["state"], "approved");
}

#[tokio::test]
async fn a_long_poll_ends_with_its_time_and_with_the_server() {
    let api = Api::new();
    let id = api.world.submit("maya").await;
    let reply = api
        .call("maya", "GET", &format!("requests/{id}?wait=20ms"), "")
        .await;
    assert_eq!(reply.body["state"], "pending");
    api.shutdown.cancel();
    let path = format!("requests/{id}?wait=30s");
    let poll = api.call("maya", "GET", &path, "");
    let reply = tokio::time::timeout(Duration::from_secs(5), poll)
        .await
        .unwrap();
    assert_eq!(reply.body["state"], "pending");
}

#[tokio::test]
async fn failures_inside_are_told_apart() {
    let api = Api::new();
    let id = api.world.submit("maya").await;
    api.world.break_audit(true);
    let reply = api
        .call("dana", "POST", &format!("requests/{id}/approve"), "")
        .await;
    assert_eq!(
        (reply.status.as_u16(), &reply.body["code"]),
        (503, &json!("audit_unavailable"))
    );
    check_form(&reply);
    api.world.break_audit(false);
    api.world
        .store
        .down
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let reply = api.call("dana", "GET", "requests", "").await;
    assert_eq!(
        (reply.status.as_u16(), &reply.body["code"]),
        (503, &json!("store_unavailable"))
    );
    check_form(&reply);
}

#[tokio::test]
async fn an_address_that_guesses_tokens_is_held_off_and_others_are_not() {
    let api = Api::new();
    let from = |peer: &str, token: &str| {
        let mut request = request(token, "GET", "whoami", "");
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    };
    let mut statuses = Vec::new();
    for n in 0..100 {
        let reply = api
            .send(from(&format!("192.0.2.1:{}", 1000 + n), "guess"))
            .await;
        statuses.push(reply.status.as_u16());
    }
    assert_eq!(statuses[..30], [401; 30]);
    assert_eq!(statuses[40..], [429; 60]);
    let held = api.send(from("192.0.2.1:1", &token("maya"))).await;
    assert_eq!(held.status, 429);
    assert!(held.headers.contains_key("retry-after"));
    check_form(&held);
    assert_eq!(
        api.send(from("192.0.2.2:1", &token("maya"))).await.status,
        200
    );
}

#[tokio::test]
async fn auditors_find_what_they_look_for_and_that_they_looked_is_on_record() {
    let api = Api::new();
    let session = api.world.session().await;
    let path = "audit/statements?events=only&principal=maya&oldest_first=true&limit=1";
    let reply = api.call("iris", "GET", path, "").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.body["found"][0]["type"], "request_submitted");
    assert_eq!(reply.body["found"][0]["reason"], "INC-1");
    assert_eq!(reply.body["more"], true);
    let found: StatementsView = serde_json::from_value(reply.body).unwrap();
    assert_eq!(found.found.len(), 1);

    let path = format!("audit/sessions/{}", session.id);
    let reply = api.call("iris", "GET", &path, "").await;
    assert_eq!(reply.body["records"][0]["type"], "request_approved");
    let behind = format!("{path}?after={}", reply.body["records"][0]["seq"]);
    let reply = api.call("iris", "GET", &behind, "").await;
    assert_eq!(reply.body, json!({ "records": [], "more": false }));
    let none = api
        .call("iris", "GET", "audit/sessions/ses-000000000000", "")
        .await;
    assert_eq!(none.status, 404);

    let reply = api.call("iris", "GET", "audit/head", "").await;
    let folder = api.world.audit_folder();
    let records = || reader::records(&folder).unwrap().flatten();
    let last = records().last().unwrap();
    let head: AuditHead = serde_json::from_value(reply.body).unwrap();
    assert_eq!(head.head.seq, last.seq);

    let refused = api.call("maya", "GET", "audit/statements?text=x", "").await;
    assert_eq!(refused.status, 403);
    let read = |record: crate::audit::Record| match record.event {
        Event::AuditRead { by, query, refused } => Some((by.to_string(), query, refused)),
        _ => None,
    };
    let reads: Vec<_> = records().filter_map(read).collect();
    let expected = [
        (
            "iris",
            "statements?events=only&principal=maya&oldest_first=true&limit=1".to_owned(),
            false,
        ),
        ("iris", format!("sessions/{}", session.id), false),
        (
            "iris",
            behind.trim_start_matches("audit/").to_owned(),
            false,
        ),
        ("iris", "sessions/ses-000000000000".to_owned(), false),
        ("iris", "head".to_owned(), false),
        ("maya", "statements?text=x".to_owned(), true),
    ];
    let expected = expected.map(|(by, query, refused)| (by.to_owned(), query, refused));
    assert_eq!(reads, expected);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_the_audit_is_shown_while_that_cannot_be_recorded() {
    let api = Api::new();
    api.world.session().await;
    api.world.break_audit(true);
    for path in ["audit/statements?events=only", "audit/head"] {
        let reply = api.call("iris", "GET", path, "").await;
        assert_eq!(reply.status, 503, "{}", reply.body);
        assert_eq!(reply.body["code"], "audit_unavailable");
    }
    let refused = api.call("maya", "GET", "audit/head", "").await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn an_account_signs_in_over_the_api_and_what_it_gets_opens_it() {
    let api = Api::new();
    let new = r#"{"name":"zoe","groups":["engineers"]}"#;
    let added = api.call("ada", "POST", "accounts", new).await;
    assert_eq!(added.status, 201, "{}", added.body);
    let code = added.body["setup_code"].as_str().unwrap();
    let login = json!({"name": "zoe", "password": code});
    let refused = api
        .call("nobody", "POST", "login", &login.to_string())
        .await;
    assert_eq!(
        (refused.status.as_u16(), &refused.body["code"]),
        (403, &json!("password_needed"))
    );
    let login = json!({"name": "zoe", "password": code, "new_password": "correct horse battery"});
    let made = api
        .call("nobody", "POST", "login", &login.to_string())
        .await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(made.headers["cache-control"], "no-store");
    let token = made.body["token"].as_str().unwrap();
    let who = api.send(request(token, "GET", "whoami", "")).await;
    assert_eq!(who.body["name"], "zoe");
    assert_eq!(who.body["mfa"], false);
    let listed = api.call("ada", "GET", "accounts", "").await;
    let listed = listed.body.to_string();
    assert!(
        !listed.contains("argon2") && !listed.contains(code),
        "{listed}"
    );

    let scoped = r#"{"scope":"approve","lifetime":"1h"}"#;
    let made = api.send(request(token, "POST", "tokens", scoped)).await;
    let scoped = made.body["token"].as_str().unwrap();
    let reading = api.send(request(scoped, "GET", "requests", "")).await;
    assert_eq!(reading.status, 403, "it may not read");

    let out = api.send(request(token, "POST", "logout", "")).await;
    assert_eq!(out.status, 200, "{}", out.body);
    let who = api.send(request(token, "GET", "whoami", "")).await;
    assert_eq!(who.status, 401);
}

#[tokio::test]
async fn guesses_of_passwords_are_bounded_by_address_too() {
    let api = Api::new();
    let guesses = (0..31).map(|n| {
        let login = json!({"name": format!("zoe{n}"), "password": "wrong horse battery"});
        api.send(request("x", "POST", "login", login.to_string()))
    });
    let replies = futures_util::future::join_all(guesses).await;
    let throttled = replies.iter().filter(|reply| reply.status == 429);
    assert_eq!(
        throttled.count(),
        1,
        "all came before the first was answered"
    );
}

#[tokio::test]
async fn policies_are_explained_about_oneself_and_to_administrators_about_others() {
    let api = Api::new();
    let own = api.call("maya", "POST", "policy/explain", EXPLAIN).await;
    assert_eq!(own.body["allowed"], true);
    assert_eq!(own.body["policies"][0]["id"], "engineers-request");
    assert_eq!(own.body["policies"][0]["file"], "world.cedar");
    assert_eq!(own.body["alone"]["allowed"], false);
    assert_eq!(own.body["approvers"][0]["name"], "@leads");
    let of_others = EXPLAIN.replace('{', r#"{"principal":"sam","#);
    let refused = api.call("dana", "POST", "policy/explain", &of_others).await;
    assert_eq!(refused.status, 403);
    let told = api.call("ada", "POST", "policy/explain", &of_others).await;
    assert_eq!(told.body, json!({"allowed": false, "policies": []}));
    let wrong = EXPLAIN.replace("request", "aprove");
    let wrong = api.call("maya", "POST", "policy/explain", &wrong).await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn a_job_sends_its_token_as_a_form_and_nobody_s_job_gets_none() {
    let api = Api::new();
    let grant = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange";
    let kind = "subject_token_type=urn:ietf:params:oauth:token-type:id_token";
    let form = |body: String| {
        let mut request = request("x", "POST", "token/exchange", body);
        let headers = request.headers_mut();
        let form = "application/x-www-form-urlencoded".parse().unwrap();
        headers.insert("content-type", form);
        request
    };
    let nobodys = format!("{grant}&{kind}&subject_token=a.b.c");
    let reply = api.send(form(nobodys)).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.body["code"]),
        (401, &json!("sign_in_failed"))
    );
    for wrong in [
        format!("{grant}&{kind}"),
        format!("{kind}&subject_token=x"),
        format!("grant_type=password&{kind}&subject_token=x"),
    ] {
        assert_eq!(api.send(form(wrong)).await.status, 400);
    }
}

#[tokio::test]
async fn who_has_the_version_that_there_is_gets_nothing_again() {
    let api = Api::new();
    let request = api.world.submit("maya").await;
    let session = api.world.session().await.id;
    for path in [format!("requests/{request}"), format!("sessions/{session}")] {
        let first = api.call("maya", "GET", &path, "").await;
        let tag = first.headers["etag"].to_str().unwrap().to_owned();
        assert_eq!(tag, format!("\"{}\"", first.body["version"]));
        for (known, expected) in [
            (tag.clone(), 304),
            (format!("W/{tag}"), 304),
            (format!("\"99\", {tag}"), 304),
            ("\"99\"".to_owned(), 200),
            ("99".to_owned(), 400),
        ] {
            let reply = api.having("GET", &path, "if-none-match", &known, "").await;
            assert_eq!(reply.status, expected, "{path} {known}");
        }
    }
}

#[tokio::test]
async fn what_has_changed_since_it_was_seen_is_not_changed_again() {
    let api = Api::new();
    let request = api.world.submit("maya").await;
    let session = api.world.session().await.id;
    for (path, body) in [
        (format!("requests/{request}/approve"), "{}"),
        (format!("requests/{request}/deny"), r#"{"reason":"no"}"#),
        (format!("requests/{request}/withdraw"), ""),
        (
            format!("sessions/{session}/extend"),
            r#"{"duration":"5m","reason":"x"}"#,
        ),
        (format!("sessions/{session}/revoke"), r#"{"reason":"x"}"#),
    ] {
        for who in ["maya", "dana"] {
            let reply = api.as_seen(who, &path, "\"9\"", body).await;
            assert!(
                [412, 403, 404].contains(&reply.status.as_u16()),
                "{who} {path} {}",
                reply.body
            );
        }
        let reply = api.as_seen("dana", &path, "3", body).await;
        assert_eq!(reply.status, 400, "{path}");
    }
    let path = format!("sessions/{session}/revoke");
    let reply = api.as_seen("dana", &path, "\"9\"", "{}").await;
    assert_eq!(
        (reply.status.as_u16(), &reply.body["code"]),
        (412, &json!("changed"))
    );
    assert_eq!(api.world.admission.live_sessions(), 1);
    let reply = api.as_seen("dana", &path, "\"1\"", "{}").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.headers["etag"], "\"2\"");
    let reply = api
        .as_seen("dana", &format!("requests/{request}/approve"), "*", "{}")
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

#[tokio::test]
async fn a_list_comes_in_pages_that_what_is_new_does_not_move() {
    let api = Api::new();
    let mut submitted = Vec::new();
    for _ in 0..5 {
        submitted.push(api.world.submit("maya").await.to_string());
    }
    submitted.reverse();
    let (mut seen, mut pages) = (Vec::new(), 0);
    let mut next = Some("requests?limit=2&state=all".to_owned());
    while let Some(path) = next.take() {
        let reply = api.call("maya", "GET", &path, "").await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let ids = reply
            .body
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].as_str().unwrap());
        seen.extend(ids.map(str::to_owned));
        let link = reply.headers.get("link").map(|it| it.to_str().unwrap());
        next = link.map(|link| {
            let path = link.strip_prefix("</api/v1/").unwrap();
            path.strip_suffix(">; rel=\"next\"").unwrap().to_owned()
        });
        pages += 1;
        api.world.submit("maya").await;
    }
    assert_eq!((seen, pages), (submitted, 3));
    for (path, expected) in [
        ("sessions?limit=1", 200),
        ("reviews?limit=500", 200),
        ("tokens?limit=501", 400),
        ("requests?limit=0", 400),
        ("requests?cursor=", 422),
        ("requests?cursor=nonsense", 422),
    ] {
        let reply = api.call("maya", "GET", path, "").await;
        assert_eq!(reply.status, expected, "{path}");
    }
}

#[tokio::test]
async fn what_creates_is_done_once_by_the_same_key() {
    let api = Api::new();
    let key = "idempotency-key";
    let first = api.having("POST", "requests", key, "k1", SUBMIT).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let again = api.having("POST", "requests", key, "k1", SUBMIT).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.headers["location"], first.headers["location"]);
    check_form(&again);
    let other = SUBMIT.replace("30m", "20m");
    let reply = api.having("POST", "requests", key, "k1", &other).await;
    assert_eq!(reply.status, 422, "{}", reply.body);
    let listed = api.call("maya", "GET", "requests", "").await;
    assert_eq!(listed.body.as_array().unwrap().len(), 1);

    // Another's key is another key, and so is one for something else.
    let mut others = request(&token("dana"), "POST", "requests", SUBMIT);
    others.headers_mut().insert(key, "k1".parse().unwrap());
    assert_eq!(api.send(others).await.status, 403);
    let second = api.having("POST", "requests", key, "k2", SUBMIT).await;
    assert_ne!(second.body["id"], first.body["id"]);

    // What was refused may be tried again.
    let wrong = SUBMIT.replace("30m", "500h");
    for body in [wrong.as_str(), SUBMIT] {
        let reply = api.having("POST", "requests", key, "k3", body).await;
        assert_eq!(reply.status, if body == SUBMIT { 201 } else { 422 });
    }
    let reply = api.having("POST", "requests", key, "", SUBMIT).await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn a_token_is_made_once_and_never_shown_again() {
    let api = Api::new();
    let key = "idempotency-key";
    let made = api.having("POST", "tokens", key, "k1", TOKEN).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let again = api.having("POST", "tokens", key, "k1", TOKEN).await;
    assert_eq!(again.status, 409, "{}", again.body);
    let secret = made.body["token"].as_str().unwrap();
    assert!(!again.body.to_string().contains(secret));
    let listed = api.call("maya", "GET", "tokens", "").await;
    assert_eq!(listed.body.as_array().unwrap().len(), 1);
    let mut wrong = request("wrong", "POST", "tokens", TOKEN);
    wrong.headers_mut().insert(key, "k1".parse().unwrap());
    assert_eq!(api.send(wrong).await.status, 401);
}
