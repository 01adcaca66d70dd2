//! Accounts, jobs and policies.

use super::*;

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
async fn who_holds_a_body_back_does_not_act_by_what_they_were_before() {
    for key in [false, true] {
        let api = Api::new();
        let new = r#"{"name":"zoe","groups":["engineers"]}"#;
        let added = api.call("ada", "POST", "accounts", new).await;
        let code = added.body["setup_code"].as_str().unwrap();
        let login =
            json!({"name": "zoe", "password": code, "new_password": "correct horse battery"});
        let login = login.to_string();
        let made = api.call("nobody", "POST", "login", &login).await;
        let token = made.body["token"].as_str().unwrap();
        let control = Arc::clone(&api.world.control);
        let held = futures_util::stream::once(async move {
            let disabled = control.disable_account(&caller("ada"), "zoe", true).await;
            disabled.unwrap();
            Ok::<_, std::convert::Infallible>(SUBMIT)
        });
        let mut request = request(token, "POST", "requests", Body::from_stream(held));
        if key {
            let key = "once-1".parse().unwrap();
            request.headers_mut().insert("idempotency-key", key);
        }
        let reply = api.send(request).await;
        assert_eq!(reply.status, 401, "{key}: {}", reply.body);
        let all = api.world.control.requests(&caller("dana"), false).await;
        assert_eq!(all.unwrap().len(), 0);
    }
}

#[tokio::test]
async fn another_sites_page_begins_no_sign_in_and_its_visitors_do_not_wait() {
    let api = Api::new();
    for path in ["login/oidc", "token/exchange"] {
        for _ in 0..40 {
            let mut request = request("x", "POST", path, "");
            let site = "cross-site".parse().unwrap();
            request.headers_mut().insert("sec-fetch-site", site);
            assert_eq!(api.send(request).await.status, 403, "{path}");
        }
    }
    let reply = api.call("maya", "GET", "whoami", "").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}
