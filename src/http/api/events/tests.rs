use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures_util::StreamExt;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::super::{ApiParts, Endpoint, router};
use crate::control::testing::{HOUR, World, caller, token};
use crate::control::{MakeToken, NewAccount, SignIn};
use crate::secret::Secret;

struct Api {
    world: World,
    router: Router,
    shutdown: CancellationToken,
}

/// A stream that is being read.
struct Stream {
    body: BodyDataStream,
    text: String,
}

impl Api {
    fn new() -> Self {
        let world = World::new();
        let shutdown = CancellationToken::new();
        let router = router(ApiParts {
            control: Arc::clone(&world.control),
            endpoint: Arc::new(ArcSwap::from_pointee(Endpoint {
                host: "db.example.com".into(),
                port: 6432,
                sslmode: "verify-full".into(),
                ca_certificate: None,
            })),
            shutdown: shutdown.clone(),
        });
        Self {
            world,
            router,
            shutdown,
        }
    }

    async fn listen(&self, token: &Secret, since: Option<&str>) -> Stream {
        let mut request = Request::builder()
            .uri("/api/v1/events")
            .header("authorization", format!("Bearer {}", token.expose()));
        if let Some(since) = since {
            request = request.header("last-event-id", since);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        Stream {
            body: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }
}

impl Stream {
    /// The next event's id and data; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = event.lines();
                    lines.find_map(|line| line.strip_prefix(name).map(|it| it.trim().to_owned()))
                };
                let event = field("data:").map(|data| {
                    let data: Value = serde_json::from_str(&data).unwrap();
                    assert_eq!(data["what"], field("event:").unwrap());
                    (field("id:").unwrap(), data)
                });
                self.text = rest.to_owned();
                match event {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let chunk = self.body.next().await?.unwrap();
            self.text += std::str::from_utf8(&chunk).unwrap();
        }
    }
}

#[tokio::test]
async fn an_approver_hears_of_a_request_and_a_stranger_of_nothing() {
    let api = Api::new();
    let mut dana = api.listen(&token("dana"), None).await;
    let mut omar = api.listen(&token("omar"), None).await;
    assert_eq!(dana.next().await.unwrap().1["what"], "reset");
    let session = api.world.session().await;
    let (mark, pending) = dana.next().await.unwrap();
    assert_eq!(pending["request"]["state"], "pending");
    assert_eq!(pending["request"]["reason"], "INC-1");
    let (_, approved) = dana.next().await.unwrap();
    assert_eq!(
        (
            &approved["id"],
            &approved["version"],
            &approved["request"]["state"]
        ),
        (&pending["id"], &2.into(), &"approved".into())
    );
    let (_, opened) = dana.next().await.unwrap();
    assert_eq!(opened["session"]["id"], session.id.to_string());
    assert_eq!(opened["session"]["state"], "active");

    let mut again = api.listen(&token("dana"), Some(&mark)).await;
    assert_eq!(again.next().await.unwrap().1, approved);
    let mut lost = api.listen(&token("dana"), Some("0-1")).await;
    assert_eq!(lost.next().await.unwrap().1["what"], "reset");

    assert_eq!(omar.next().await.unwrap().1["what"], "reset");
    api.shutdown.cancel();
    assert!(omar.next().await.is_none(), "nothing of orders-ro");
    assert!(dana.next().await.is_none());
}

#[tokio::test]
async fn a_stream_ends_with_the_token_and_with_the_account() {
    let api = Api::new();
    let control = &api.world.control;
    let new = NewAccount {
        name: "zoe".parse().unwrap(),
        groups: vec!["leads".into()],
        email: None,
        service: false,
    };
    let (_, code) = control.add_account(&caller("ada"), new).await.unwrap();
    let signing_in = SignIn {
        name: "zoe".into(),
        password: code.unwrap(),
        code: None,
        new_password: Some(Secret::new("correct horse battery staple")),
    };
    let made = control.sign_in(signing_in, None).await.unwrap();
    let zoe = control
        .authenticate(&made.secret, None)
        .await
        .unwrap()
        .unwrap();
    let asked = MakeToken {
        owner: None,
        scope: "read".parse().unwrap(),
        lifetime: HOUR,
        note: String::new(),
    };
    let token = control.make_token(&zoe, asked).await.unwrap();
    let mut by_token = api.listen(&token.secret, None).await;
    let mut by_sign_in = api.listen(&made.secret, None).await;
    for stream in [&mut by_token, &mut by_sign_in] {
        assert_eq!(stream.next().await.unwrap().1["what"], "reset");
    }
    control.revoke_token(&zoe, token.token.id).await.unwrap();
    assert!(by_token.next().await.is_none());
    let disabled = control.disable_account(&caller("ada"), "zoe", true).await;
    disabled.unwrap();
    api.world.submit("maya").await;
    assert!(by_sign_in.next().await.is_none(), "and hears nothing more");
}
