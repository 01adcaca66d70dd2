//! The audit, by the API.

use super::*;

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
