//! What strangers may send.

use super::*;

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_problems_too() {
    let api = Api::new();
    for (method, path, expected) in [
        ("GET", "nothing", 404),
        ("GET", "", 404),
        ("GET", "whoami/", 404),
        ("GET", "requests/req-000000000000", 404),
        ("GET", "requests/%00", 404),
        ("GET", "requests/%ff", 400),
        ("POST", "sessions/ses-x/revoke", 404),
        ("DELETE", "requests", 405),
        ("POST", "whoami", 405),
        ("PUT", "audit/holds/ses-x", 404),
        ("GET", "audit/statements?colour=red", 400),
        ("GET", "audit/statements?limit=1001", 400),
        ("GET", "audit/statements?text=(&regex=true", 422),
        ("GET", "audit/statements?events=all", 400),
        ("GET", "audit/statements?outcome=completed,lost", 400),
        ("GET", "audit/statements?principal=a%20b", 422),
        ("GET", "audit/statements?sqlstate=4", 422),
        ("GET", "audit/statements?longer=5", 400),
        ("GET", "audit/sessions/ses-x", 404),
        ("DELETE", "audit/holds/ses-000000000000", 403),
        ("GET", "requests?state=maybe", 400),
        ("GET", "requests?colour=red", 400),
        ("GET", "requests?state=all&state=pending", 400),
        ("GET", "sessions?state=pending", 400),
        ("GET", "requests/req-000000000000?wait=31s", 422),
        ("GET", "requests/req-000000000000?wait=-1s", 400),
        ("GET", "requests/req-000000000000?wait=soon", 400),
        ("GET", "requests/req-000000000000?wait=1s", 404),
    ] {
        let reply = api.call("maya", method, path, "").await;
        assert_eq!(reply.status, expected, "{method} {path}: {}", reply.body);
        check_form(&reply);
    }
    let reply = api.call("maya", "DELETE", "requests", "").await;
    assert_eq!(reply.headers["allow"], "GET,HEAD,POST");
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused_and_grant_nothing() {
    let api = Api::new();
    let deep = format!("{{\"target\":{}", "[".repeat(10_000));
    let deep_unknown = format!("{{\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let mut bodies: Vec<Vec<u8>> = [
        "",
        "{",
        "null",
        "true",
        "1",
        "\"x\"",
        "[]",
        "[[]]",
        "{}",
        "NaN",
        "{}{}",
        "\u{feff}{}",
        r#"["orders-ro","30m","INC-1"]"#,
        r#"{"target":"orders-ro","duration":"30m"}"#,
        r#"{"target":null,"duration":"30m","reason":"x"}"#,
        r#"{"target":["orders-ro"],"duration":"30m","reason":"x"}"#,
        r#"{"target":"Orders Ro","duration":"30m","reason":"x"}"#,
        r#"{"target":"orders-ro","duration":30,"reason":"x"}"#,
        r#"{"target":"orders-ro","duration":"30m","reason":{"a":1}}"#,
        r#"{"target":"orders-ro","duration":"30m","reason":"x","approved":true}"#,
        r#"{"target":"orders-ro","target":"orders-ro","duration":"30m","reason":"x"}"#,
        r#"{"target":"orders-ro","duration":"30m","reason":"x"} trailing"#,
        r#"{"target":"orders-ro","duration":"30m","reason":"  "}"#,
        r#"{"target":"orders-ro","duration":"30m","reason":"a\u0000b"}"#,
        r#"{"target":"orders-ro","duration":"30m","reason":"\ud800"}"#,
        &deep,
        &deep_unknown,
    ]
    .map(|body| body.as_bytes().to_vec())
    .into();
    bodies.push(b"{\"target\":\"orders-ro\",\"duration\":\"30m\",\"reason\":\"\xff\"}".to_vec());
    let durations = [
        "",
        "0",
        "0s",
        "-5m",
        "9h",
        "500 years",
        "99999999999999999999y",
        "1e9s",
        "30",
        "m",
        "1s 1",
        "999ms",
        "\u{0663}m",
        "30m\n30m;",
    ];
    for duration in durations {
        let body = json!({ "target": "orders-ro", "duration": duration, "reason": "x" });
        bodies.push(body.to_string().into_bytes());
    }
    for body in bodies {
        let text = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
        let reply = api
            .send(request(&token("maya"), "POST", "requests", body))
            .await;
        assert!([400, 422].contains(&reply.status.as_u16()), "{text}");
        assert_eq!(reply.body["code"], "invalid", "{text}");
        check_form(&reply);
    }
    let id = api.world.submit("maya").await;
    for body in [
        "null",
        "[]",
        "[\"30m\"]",
        r#"{"duration":null,"x":1}"#,
        r#"{"duration":"0s"}"#,
        r#"{"duration":"2h"}"#,
    ] {
        let reply = api
            .call("dana", "POST", &format!("requests/{id}/approve"), body)
            .await;
        assert!([400, 422].contains(&reply.status.as_u16()), "{body}");
    }
    assert_eq!(api.world.admission.live_sessions(), 0);
}

#[tokio::test]
async fn what_is_too_large_or_not_json_is_refused() {
    let api = Api::new();
    let huge = format!(r#"{{"reason":"{}"}}"#, "x".repeat(70_000));
    let reply = api.call("maya", "POST", "requests", &huge).await;
    assert_eq!(reply.status, 413);
    check_form(&reply);
    // The same without a length that could be seen beforehand.
    let mut unsized_body = request(&token("maya"), "POST", "requests", "");
    let chunks = std::iter::repeat_n(vec![b' '; 4096], 20);
    *unsized_body.body_mut() = Body::new(Chunks(chunks.collect()));
    let reply = api.send(unsized_body).await;
    assert_eq!(reply.status, 413);
    check_form(&reply);
    let mut form = request(&token("maya"), "POST", "requests", SUBMIT);
    let urlencoded = "application/x-www-form-urlencoded".parse().unwrap();
    form.headers_mut().insert("content-type", urlencoded);
    let reply = api.send(form).await;
    assert_eq!(reply.status, 415);
    check_form(&reply);
}

/// A body that comes in pieces.
struct Chunks(std::collections::VecDeque<Vec<u8>>);

impl hyper::body::Body for Chunks {
    type Data = axum::body::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        let next = self.0.pop_front();
        let frame = next.map(|piece| Ok(hyper::body::Frame::data(piece.into())));
        std::task::Poll::Ready(frame)
    }
}
