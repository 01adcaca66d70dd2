mod strangers;

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::access::{RequestId, RequestState, SessionState};
use crate::control::testing::{World, caller, token};
use crate::control::{NewAccount, SignIn, Telling};
use crate::http::api::{ApiParts, Endpoint};
use crate::secret::Secret;
use crate::store::Store;

const PASSWORD: &str = "correct horse battery staple";

struct Site {
    world: World,
    router: Router,
}

struct Page {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Page {
    /// The value of a hidden field.
    fn hidden(&self, name: &str) -> String {
        let begin = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.text.split_once(&begin).expect("it has the field");
        rest.split('"').next().unwrap().to_owned()
    }

    fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.text);
        self.headers["location"].to_str().unwrap()
    }

    /// The cookie that it sets, as the browser sends it back.
    fn cookie(&self) -> String {
        let whole = self.headers["set-cookie"].to_str().unwrap();
        whole.split(';').next().unwrap().to_owned()
    }
}

impl Site {
    fn new() -> Self {
        Self::of(World::new(), false)
    }

    fn of(world: World, tls: bool) -> Self {
        let parts = ApiParts {
            control: Arc::clone(&world.control),
            endpoint: Arc::new(ArcSwap::from_pointee(Endpoint {
                host: "db.example.com".into(),
                port: 6432,
                sslmode: "verify-full".into(),
                ca_certificate: None,
            })),
            shutdown: CancellationToken::new(),
        };
        let router = crate::http::router(parts, tls);
        Self { world, router }
    }

    async fn send(&self, request: Request<Body>) -> Page {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let page = Page {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        };
        check_headers(&page);
        page
    }

    async fn get(&self, path: &str, cookie: &str) -> Page {
        let request = Request::builder().uri(path).header("cookie", cookie);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// A form that one of our own pages sends.
    async fn post(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Page {
        self.post_from("same-origin", path, cookie, fields).await
    }

    async fn post_from(
        &self,
        site: &str,
        path: &str,
        cookie: &str,
        fields: &[(&str, &str)],
    ) -> Page {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = Request::post(path)
            .header("cookie", cookie)
            .header("sec-fetch-site", site)
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    async fn state(&self, request: RequestId) -> RequestState {
        let request = self.world.store.request(request).await.unwrap();
        request.unwrap().state
    }

    /// An account of this group, with [`PASSWORD`].
    async fn account(&self, name: &str, group: &str) {
        let new = NewAccount {
            name: name.parse().unwrap(),
            groups: vec![group.into()],
            email: None,
            service: false,
        };
        let control = &self.world.control;
        let (_, code) = control.add_account(&caller("ada"), new).await.unwrap();
        let signing_in = SignIn {
            name: name.into(),
            password: code.unwrap(),
            code: None,
            new_password: Some(Secret::new(PASSWORD)),
        };
        control.sign_in(signing_in, None).await.unwrap();
    }
}

/// The cookie of somebody whom the configuration knows.
fn cookie(who: &str) -> String {
    format!("hallpass={}", token(who).expose())
}

/// What keeps others' pages and scripts out is on each answer.
fn check_headers(page: &Page) {
    let text = |name: &str| page.headers[name].to_str().unwrap();
    let policy = text("content-security-policy");
    for part in [
        "default-src 'none'",
        "style-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(text("x-frame-options"), "DENY");
    assert_eq!(text("x-content-type-options"), "nosniff");
    assert_eq!(text("cache-control"), "no-store");
    assert_eq!(text("referrer-policy"), "same-origin");
    assert!(!page.text.contains("<script"), "{}", page.text);
}

#[tokio::test]
async fn a_link_leads_through_the_sign_in_to_its_request_and_the_decision_opens_the_session() {
    let site = Site::new();
    site.account("zoe", "leads").await;
    let id = site.world.submit("maya").await;
    let path = format!("/requests/{id}");

    let page = site.get(&path, "").await;
    assert_eq!(page.status, 401);
    assert!(!page.text.contains("INC-1"), "{}", page.text);
    let next = page.hidden("next");
    let wrong = [("name", "zoe"), ("password", "wrong"), ("next", &next)];
    let page = site.post("/sign-in", "", &wrong).await;
    assert_eq!(page.status, 401);
    assert_eq!(page.hidden("next"), next);
    let right = [("name", "zoe"), ("password", PASSWORD), ("next", &next)];
    let page = site.post("/sign-in", "", &right).await;
    assert_eq!(page.location(), path);
    let set = page.headers["set-cookie"].to_str().unwrap();
    assert!(set.ends_with("; HttpOnly; SameSite=Lax"), "{set}");
    let cookie = page.cookie();

    let page = site.get("/", &cookie).await;
    assert!(page.text.contains(&path), "{}", page.text);
    let page = site.get(&path, &cookie).await;
    assert_eq!(page.status, 200);
    for part in [
        "<title>maya asks for orders-ro ",
        "<h1>maya asks for orders-ro",
        "INC-1",
        "<dt>Where</dt><dd>production",
        "1h",
        "Approve",
        "Deny",
    ] {
        assert!(page.text.contains(part), "{part} is not in {}", page.text);
    }
    let (mark, version) = (page.hidden("mark"), page.hidden("version"));
    let fields = [("mark", &*mark), ("version", &version), ("for", "10m")];
    let page = site
        .post(&format!("{path}/approve"), &cookie, &fields)
        .await;
    assert_eq!(page.location(), path);
    let RequestState::Approved { session, by, .. } = site.state(id).await else {
        panic!("it is not approved");
    };
    assert_eq!(by.to_string(), "zoe");
    let session = site.world.store.session(session).await.unwrap().unwrap();
    assert_eq!(session.state, SessionState::Active);
    assert_eq!(
        session
            .expires_at
            .duration_since(session.starts_at)
            .as_mins(),
        10
    );
    let page = site.get(&path, &cookie).await;
    assert!(page.text.contains("approved") && !page.text.contains(">Approve<"));

    let again = site
        .post(&format!("{path}/approve"), &cookie, &fields)
        .await;
    assert_eq!(
        again.status, 412,
        "what they saw has changed: {}",
        again.text
    );

    let out = site.post("/sign-out", &cookie, &[("mark", &mark)]).await;
    assert_eq!(out.location(), "/");
    assert!(
        out.headers["set-cookie"]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    let replayed = site
        .post(&format!("{path}/approve"), &cookie, &fields)
        .await;
    assert_eq!(replayed.status, 401);
    assert_eq!(site.get(&path, &cookie).await.status, 401);
}

#[tokio::test]
async fn a_form_that_is_not_from_this_sign_ins_own_pages_does_nothing() {
    let site = Site::new();
    let id = site.world.submit("maya").await;
    let path = format!("/requests/{id}");
    let page = site.get(&path, &cookie("dana")).await;
    let (mark, version) = (page.hidden("mark"), page.hidden("version"));
    let lees = site.get(&path, &cookie("lee")).await.hidden("mark");
    assert_ne!(mark, lees);
    let approve = format!("{path}/approve");
    for (from, mark, status) in [
        ("same-origin", "", 403),
        ("same-origin", &*lees, 403),
        ("cross-site", &mark, 403),
        ("same-site", &mark, 403),
        ("none", &mark, 403),
    ] {
        let fields = [("mark", mark), ("version", &version)];
        let page = site
            .post_from(from, &approve, &cookie("dana"), &fields)
            .await;
        assert_eq!(page.status, status, "{from} {mark}");
        assert_eq!(site.state(id).await, RequestState::Pending);
    }
    // Also the sign-in: nobody is to be signed in as somebody else without knowing.
    let fields = [("name", "zoe"), ("password", PASSWORD)];
    let page = site.post_from("cross-site", "/sign-in", "", &fields).await;
    assert_eq!(page.status, 403);
    let get = site.get(&approve, &cookie("dana")).await;
    assert_eq!(get.status, 405);
}

#[tokio::test]
async fn pages_show_and_do_what_the_use_cases_let_each_of_them() {
    let site = Site::new();
    let id = site.world.submit("maya").await;
    let path = format!("/requests/{id}");
    for (who, sees, decides) in [
        ("dana", true, true),
        ("maya", true, false),
        ("noor", false, false),
        ("omar", false, false),
    ] {
        let page = site.get(&path, &cookie(who)).await;
        assert_eq!(page.status, if sees { 200 } else { 404 }, "{who}");
        assert_eq!(page.text.contains("INC-1"), sees, "{who}");
        assert_eq!(page.text.contains(">Approve<"), decides, "{who}");
    }
    // Who builds the form that the page does not have is told why not.
    let page = site.get(&path, &cookie("maya")).await;
    let (mark, version) = (page.hidden("mark"), page.hidden("version"));
    let fields = [("mark", &*mark), ("version", &version)];
    let own = site
        .post(&format!("{path}/approve"), &cookie("maya"), &fields)
        .await;
    assert_eq!(own.status, 403);
    assert_eq!(site.state(id).await, RequestState::Pending);

    let page = site.get(&path, &cookie("dana")).await;
    let (mark, version) = (page.hidden("mark"), page.hidden("version"));
    let fields = [("mark", &*mark), ("version", &version)];
    let deny = format!("{path}/deny");
    let page = site.post(&deny, &cookie("dana"), &fields).await;
    assert_eq!(page.status, 422, "without a reason: {}", page.text);
    let fields = [
        ("mark", &*mark),
        ("version", &version),
        ("reason", "use the copy"),
    ];
    assert_eq!(
        site.post(&deny, &cookie("dana"), &fields).await.location(),
        path
    );
    let page = site.get(&path, &cookie("maya")).await;
    assert!(page.text.contains("use the copy"), "{}", page.text);
}

#[tokio::test]
async fn a_review_is_closed_where_its_request_is_shown() {
    let site = Site::new();
    let session = site.world.break_glass("maya").await;
    let page = site.get("/", &cookie("dana")).await;
    assert!(page.text.contains("maya broke the glass of orders-ro"));
    let page = site
        .get(&format!("/reviews/{session}"), &cookie("dana"))
        .await;
    let request = page.location().to_owned();
    let page = site.get(&request, &cookie("dana")).await;
    let fields = [("mark", &*page.hidden("mark")), ("note", "as it should be")];
    let close = format!("/reviews/{session}/close");
    let early = site.post(&close, &cookie("dana"), &fields).await;
    assert_eq!(early.status, 409, "the session goes on: {}", early.text);
    let control = &site.world.control;
    control
        .revoke(&caller("maya"), session, "done")
        .await
        .unwrap();
    let closed = site.post(&close, &cookie("dana"), &fields).await;
    assert_eq!(closed.location(), request);
    let page = site.get(&request, &cookie("maya")).await;
    assert!(page.text.contains("as it should be"), "{}", page.text);
}

#[tokio::test]
async fn what_people_wrote_is_shown_as_text_and_as_nothing_else() {
    let site = Site::new();
    let ask = crate::control::Ask::new(
        "orders-ro".parse().unwrap(),
        crate::control::testing::HOUR,
        "INC-1 <img src=x onerror=alert(1)> \u{202e}evil",
    );
    let status = site.world.control.submit(&caller("maya"), ask).await;
    let id = status.unwrap().request.id;
    for path in ["/".to_owned(), format!("/requests/{id}")] {
        let page = site.get(&path, &cookie("dana")).await;
        assert!(
            page.text
                .contains("&lt;img src=x onerror=alert(1)&gt; \u{fffd}evil")
        );
        assert!(!page.text.contains("<img") && !page.text.contains('\u{202e}'));
    }
}

#[tokio::test]
async fn behind_tls_the_cookie_is_for_tls_alone_and_links_begin_as_people_reach_them() {
    let telling = Telling {
        link_base: "https://hallpass.example.com/db".into(),
        ..Telling::default()
    };
    let site = Site::of(World::telling(telling), false);
    site.account("zoe", "leads").await;
    let next = "https://evil.example.com/";
    let fields = [("name", "zoe"), ("password", PASSWORD), ("next", next)];
    let page = site.post("/sign-in", "", &fields).await;
    assert_eq!(page.location(), "/db/", "and never elsewhere");
    let set = page.headers["set-cookie"].to_str().unwrap();
    assert!(
        set.starts_with("__Secure-hallpass=") && set.ends_with("; Secure"),
        "{set}"
    );
    assert!(
        set.contains("; Path=/db/;") && !set.contains("Domain"),
        "{set}"
    );
    let page = site.get("/", &page.cookie()).await;
    assert!(
        page.text.contains("href=\"/db/style.css\""),
        "{}",
        page.text
    );
    assert_eq!(
        site.get("/", &cookie("dana")).await.status,
        401,
        "the other cookie is none"
    );
}

#[tokio::test]
async fn who_guesses_waits_and_who_is_disabled_is_out() {
    let site = Site::new();
    site.account("zoe", "leads").await;
    let fields = [("name", "zoe"), ("password", PASSWORD)];
    let cookie = site.post("/sign-in", "", &fields).await.cookie();
    assert_eq!(site.get("/", &cookie).await.status, 200);
    let control = &site.world.control;
    let disabled = control.disable_account(&caller("ada"), "zoe", true).await;
    disabled.unwrap();
    assert_eq!(site.get("/", &cookie).await.status, 401);
    let mut last = StatusCode::UNAUTHORIZED;
    for guess in 0..40 {
        last = site
            .get("/", &format!("hallpass=guess{guess}"))
            .await
            .status;
    }
    assert_eq!(last, 429);
}
