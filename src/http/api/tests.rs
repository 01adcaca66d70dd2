//! The API from outside: every route for every kind of caller, and what strangers may send.

mod access;
mod audit;
mod bodies;
mod callers;
mod document;
mod people;
mod versions;

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

const SUBMIT: &str = r#"{"target":"orders-ro","duration":"30m","reason":"INC-1"}"#;

const LOGIN: &str = r#"{"name":"zoe","password":"correct horse battery"}"#;

const SHOW: &str = r#"{"password":"correct horse battery"}"#;

const PASSWORD: &str =
    r#"{"password":"correct horse battery","new_password":"another long password"}"#;

const EXPLAIN: &str = r#"{"action":"request","target":"orders-ro","duration":"30m"}"#;

const TOKEN: &str = r#"{"scope":"read","lifetime":"1h"}"#;

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
