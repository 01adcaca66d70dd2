use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;

use super::*;

const MAYA: Requester<'static> = Requester {
    name: "maya",
    email: Some("Maya@example.com"),
};

/// Tickets as Jira has them, for who has the token.
async fn issue(Path(ticket): Path<String>, headers: HeaderMap) -> axum::response::Response {
    let issue = |status: &str, assignee: &str| {
        let text = format!(
            r#"{{"fields":{{"status":{{"name":"{status}"}},"assignee":{{"emailAddress":"{assignee}"}},"labels":["a","urgent"]}}}}"#
        );
        text.into_response()
    };
    if headers
        .get("authorization")
        .is_none_or(|it| it != "Bearer hunter2")
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match &*ticket {
        "INC-1" => issue("Open", "maya@example.com"),
        "INC-2" => issue("Closed", "maya@example.com"),
        "INC-3" => issue("Open", "noor@example.com"),
        "a/../b c?" => issue("Open", "maya@example.com"),
        "INC-500" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "INC-302" => (StatusCode::FOUND, [("location", "/issue/INC-1")]).into_response(),
        "INC-text" => "<html>".into_response(),
        "INC-long" => "1".repeat(LONGEST + 1).into_response(),
        "INC-slow" => std::future::pending().await,
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn tracker(token: &str, expect: Vec<Expectation>) -> Tickets {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/issue/{ticket}", get(issue));
    tokio::spawn(axum::serve(listener, app).into_future());
    tickets(format!("http://{address}/issue/{{ticket}}"), token, expect)
}

fn tickets(url: String, token: &str, expect: Vec<Expectation>) -> Tickets {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let authorization = HeaderName::from_static("authorization");
    Tickets::new(Settings {
        url,
        headers: vec![(authorization, Secret::new(token))],
        timeout: Duration::from_millis(500),
        expect,
        tls: Arc::new(tls),
    })
    .unwrap()
}

fn open_and_mine() -> Vec<Expectation> {
    let expect = |pointer: &str, wanted| Expectation {
        pointer: pointer.to_owned(),
        wanted,
    };
    vec![
        expect(
            "/fields/status/name",
            Wanted::OneOf(vec!["Open".into(), "In Progress".into()]),
        ),
        expect("/fields/assignee/emailAddress", Wanted::RequesterEmail),
    ]
}

async fn refusal(tickets: &Tickets, ticket: &str) -> String {
    tickets.check(ticket, MAYA).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_ticket_that_says_what_it_has_to_is_taken_and_no_other() {
    let tracker = tracker("Bearer hunter2", open_and_mine()).await;
    assert_eq!(tracker.check("INC-1", MAYA).await, Ok(()));
    assert_eq!(refusal(&tracker, "INC-9").await, "there is no ticket INC-9");
    assert_eq!(
        refusal(&tracker, "INC-2").await,
        "ticket INC-2: /fields/status/name is \"Closed\", must be Open or In Progress"
    );
    let others = refusal(&tracker, "INC-3").await;
    assert!(others.contains("must be you"), "{others}");
    assert!(
        !others.contains("noor"),
        "whose it is stays there: {others}"
    );
    let nobody = Requester {
        email: None,
        ..MAYA
    };
    let unknown = tracker.check("INC-1", nobody).await.unwrap_err();
    assert!(unknown.to_string().contains("yours is not known here"));
}

#[tokio::test]
async fn a_tracker_that_does_not_answer_as_it_should_lets_nothing_through() {
    let tracker = tracker("Bearer hunter2", open_and_mine()).await;
    for (ticket, why) in [
        ("INC-500", "HTTP status 500"),
        ("INC-302", "HTTP status 302"),
        ("INC-text", "not JSON"),
        ("INC-long", "longer than"),
        ("INC-slow", "no answer within 500ms"),
    ] {
        let refused = refusal(&tracker, ticket).await;
        assert!(refused.contains("could not be looked up"), "{refused}");
        assert!(refused.contains(why), "{refused}");
    }
    let closed = tickets("http://127.0.0.1:1/{ticket}".into(), "x", Vec::new());
    let refused = closed.check("INC-1", MAYA).await.unwrap_err();
    assert!(matches!(refused, Refusal::Unreachable { .. }), "{refused}");
    assert!(!refused.to_string().contains("127.0.0.1:1/"), "{refused}");
}

#[tokio::test]
async fn a_wrong_token_is_said_without_the_token() {
    let tracker = tracker("Bearer hunter3", Vec::new()).await;
    let refused = refusal(&tracker, "INC-1").await;
    assert!(refused.contains("HTTP status 401"), "{refused}");
    assert!(!refused.contains("hunter"), "{refused}");
}

#[tokio::test]
async fn a_tickets_name_cannot_lead_elsewhere() {
    let tracker = tracker("Bearer hunter2", open_and_mine()).await;
    assert_eq!(tracker.check("a/../b c?", MAYA).await, Ok(()));
    assert_eq!(refusal(&tracker, "..").await, "there is no ticket ..");
}

#[test]
fn a_list_has_what_one_of_its_items_is() {
    let expect = Expectation {
        pointer: "/fields/labels".into(),
        wanted: Wanted::OneOf(vec!["urgent".into()]),
    };
    let said = serde_json::json!({ "fields": { "labels": ["a", "urgent"] } });
    assert_eq!(expect.unmet(&said, MAYA), None);
    let said = serde_json::json!({ "fields": { "labels": ["\u{1b}[31m"] } });
    let unmet = expect.unmet(&said, MAYA).unwrap();
    assert!(!unmet.contains('\u{1b}'), "{unmet}");
}
