//! Requests and sessions: asked, waited for, decided, used.

use super::*;

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
