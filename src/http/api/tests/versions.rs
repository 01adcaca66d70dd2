//! What HTTP knows of lists and versions, and of what comes twice.

use super::*;

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
async fn what_still_goes_on_by_the_same_key_is_told_by_a_code_of_its_own() {
    let api = Api::new();
    let (who, control) = (caller("maya"), &api.world.control);
    let begun = control.once(&who, "/api/v1/requests", "k1", SUBMIT.as_bytes());
    let begun = begun.await.unwrap();
    assert!(matches!(begun, crate::control::Repeat::First(_)));
    let key = "idempotency-key";
    let reply = api.having("POST", "requests", key, "k1", SUBMIT).await;
    assert_eq!(reply.status, 409, "{}", reply.body);
    assert_eq!(reply.body["code"], "key_in_use");
}

#[tokio::test]
async fn a_token_is_made_once_and_never_shown_again() {
    let api = Api::new();
    let key = "idempotency-key";
    let made = api.having("POST", "tokens", key, "k1", TOKEN).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let again = api.having("POST", "tokens", key, "k1", TOKEN).await;
    assert_eq!(again.status, 409, "{}", again.body);
    assert_eq!(again.body["code"], "key_used");
    let secret = made.body["token"].as_str().unwrap();
    assert!(!again.body.to_string().contains(secret));
    let listed = api.call("maya", "GET", "tokens", "").await;
    assert_eq!(listed.body.as_array().unwrap().len(), 1);
    let mut wrong = request("wrong", "POST", "tokens", TOKEN);
    wrong.headers_mut().insert(key, "k1".parse().unwrap());
    assert_eq!(api.send(wrong).await.status, 401);
}
