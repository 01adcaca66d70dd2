//! Who calls: the routes for each, and who gets none.

use super::*;

/// The columns of [`ROUTES`].
const CALLERS: [&str; 5] = ["maya", "dana", "omar", "sam", "iris"];

/// Method, path, body; then what a requester (whose it is), an approver of the target, an
/// approver of another target, one who may do nothing, and an auditor are answered.
pub(super) const ROUTES: &[(&str, &str, &str, [u16; 5])] = &[
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
