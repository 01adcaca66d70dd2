//! More time in a session, without losing what is open under it.

use std::time::Duration;

use hallpass::clock::Clock;
use hallpass::http::types::{Approved, RequestView};
use reqwest::Method;
use serde_json::json;

use super::World;
use crate::support::raw_client::{RawClient, query};
use crate::support::wait;

#[tokio::test]
async fn an_open_connection_goes_on_beyond_the_first_end_of_its_session() {
    let world = World::plain().await;
    let grant = world.grant("6s").await;
    let mut client = RawClient::login(&grant.login).await;
    client.query("set application_name = 'the same'").await;
    let path = format!("/sessions/{}/extend", grant.session);
    let more = json!({ "duration": "1h", "reason": "not done yet" });
    let asked: RequestView = world
        .hallpass
        .call("maya", Method::POST, &path, more)
        .await
        .unwrap();
    let path = format!("/requests/{}/approve", asked.id);
    let approved: Approved = world
        .hallpass
        .call("dana", Method::POST, &path, json!({}))
        .await
        .unwrap();
    let session = approved.session.unwrap();
    assert_eq!(session.id, grant.session);
    assert_eq!(
        session.expires_at,
        grant.secret.expires_at + Duration::from_secs(3600)
    );

    let first_end = grant.secret.expires_at;
    let over = || async { Clock::system().now() > first_end + Duration::from_millis(500) };
    wait::until("the first end is over", Duration::from_secs(20), over).await;
    client.send(&query("show application_name")).await;
    let told = client.until(b'N').await;
    let told = String::from_utf8_lossy(&told.body).into_owned();
    assert!(told.contains("goes on until"), "{told}");
    let row = client.until(b'D').await;
    assert!(row.body.ends_with(b"the same"));
    client.until(b'Z').await;
    client.hang_up().await;
}
