//! Slack: what is shown there, and what people decide there.

use serde_json::json;

use super::workspace::{Post, Workspace, post_signed};
use super::{SOON, ask, decide, setup, state};
use crate::support::process::Process;
use crate::support::wait;

async fn start(slack: &Workspace) -> Process {
    let setup = setup();
    let section = slack.section(&setup.folder());
    Process::start(setup.section(&section)).await
}

#[tokio::test]
async fn who_may_approve_does_so_in_slack_and_others_are_told_why_not() {
    let slack = Workspace::start().await;
    let hallpass = start(&slack).await;
    let request = ask(&hallpass).await;
    let message = slack.next("chat.postMessage").await;
    assert_eq!(message["channel"], "C0TEST");
    assert_eq!(message["text"], "maya asks for orders-ro for 30m");
    let shown = message.to_string();
    for part in ["INC-4312", "30m", "\"Approve\"", "\"Deny\""] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let link = format!("https://hallpass.example.com/requests/{request}");
    assert!(shown.contains(&link), "{shown}");

    for (user, why) in [
        ("USTRANGER", "nobody in hallpass"),
        ("UMAYA", "Nothing was decided"),
    ] {
        let answer = slack.click(&hallpass, user, "approve", request).await;
        assert_eq!(answer, (200, String::new()));
        let whispered = slack.next("chat.postEphemeral").await;
        assert_eq!(whispered["user"], user);
        let text = whispered["text"].as_str().unwrap();
        assert!(text.contains(why), "{text}");
    }
    assert_eq!(state(&hallpass, request).await["state"], "pending");

    slack.click(&hallpass, "UDANA", "approve", request).await;
    let update = slack.next("chat.update").await;
    assert_eq!(
        (&update["ts"], &update["channel"]),
        (&json!("0.1"), &json!("C0TEST"))
    );
    assert_eq!(update["text"], "dana approved orders-ro for maya");
    assert!(!update.to_string().contains("\"Approve\""), "{update:#}");
    let now = state(&hallpass, request).await;
    assert_eq!(
        (&now["state"], &now["by"]),
        (&json!("approved"), &json!("dana"))
    );

    slack.click(&hallpass, "UDANA", "approve", request).await;
    let whispered = slack.next("chat.postEphemeral").await;
    assert!(whispered["text"].as_str().unwrap().contains("approved"));
}

#[tokio::test]
async fn a_denial_in_slack_has_a_reason() {
    let slack = Workspace::start().await;
    let hallpass = start(&slack).await;
    let request = ask(&hallpass).await;
    slack.next("chat.postMessage").await;
    // Who may not is told before they write anything.
    slack.click(&hallpass, "UMAYA", "deny", request).await;
    slack.next("chat.postEphemeral").await;

    slack.click(&hallpass, "UDANA", "deny", request).await;
    let opened = slack.next("views.open").await;
    assert_eq!(opened["trigger_id"], "t.1");
    let (status, answer) = slack.submit(&hallpass, "UDANA", &opened, " ").await;
    assert_eq!(status, 200);
    assert!(
        answer.contains("\"response_action\":\"errors\""),
        "{answer}"
    );
    // Somebody else's dialogue gives nobody rights.
    let (_, answer) = slack.submit(&hallpass, "UMAYA", &opened, "mine").await;
    assert!(answer.contains("errors"), "{answer}");
    let sent = slack
        .submit(&hallpass, "UDANA", &opened, "not during the freeze")
        .await;
    assert_eq!(sent, (200, String::new()));
    let update = slack.next("chat.update").await;
    assert_eq!(update["text"], "dana denied orders-ro to maya");
    assert!(update.to_string().contains("not during the freeze"));
    let now = state(&hallpass, request).await;
    assert_eq!(now["denial_reason"], "not during the freeze");
}

#[tokio::test]
async fn the_message_follows_what_is_decided_elsewhere_also_after_an_outage_and_a_kill() {
    let slack = Workspace::start().await;
    let mut hallpass = start(&slack).await;
    let first = ask(&hallpass).await;
    let posted = slack.next("chat.postMessage").await;
    assert!(posted.to_string().contains(&first.to_string()));
    slack.break_down(true);
    let approved = decide(&hallpass, first, "approve", json!({})).await;
    let session = approved["session"]["id"].as_str().unwrap().parse().unwrap();
    hallpass.revoke(session).await;
    let failed = "hallpass_notices_total{channel=\"slack\",outcome=\"failed\"}";
    let fails = || async { hallpass.metric(failed).await >= 1.0 };
    wait::until("a try fails", SOON, fails).await;
    hallpass.kill();
    slack.break_down(false);
    hallpass.start_again().await;
    for text in [
        "dana approved orders-ro for maya",
        "dana ended maya's session for orders-ro",
    ] {
        let update = slack.next("chat.update").await;
        assert_eq!(
            (&update["ts"], &update["text"]),
            (&json!("0.1"), &json!(text))
        );
    }
    let oldest = "hallpass_notice_oldest_seconds{channel=\"slack\"}";
    let idle = || async { hallpass.metric(oldest).await == 0.0 };
    wait::until("nothing waits", SOON, idle).await;
    assert!(!hallpass.log().contains("xoxb"), "{}", hallpass.log());
}

#[tokio::test]
async fn what_slack_did_not_sign_just_now_and_once_is_refused() {
    let slack = Workspace::start().await;
    let hallpass = start(&slack).await;
    let request = ask(&hallpass).await;
    slack.next("chat.postMessage").await;
    let payload = json!({
        "type": "block_actions", "user": { "id": "UDANA" }, "channel": { "id": "C0TEST" },
        "actions": [{ "action_id": "approve", "value": request }],
    });
    let good = Post::of(&payload);
    let secret = "8f742231b10e8888abcd99yyyzzz85a5";
    let swapped = Post {
        body: good.body.replace("approve", "deny"),
        ..good.clone()
    };
    let unsigned = Post {
        signature: String::new(),
        ..good.clone()
    };
    let later = Post {
        timestamp: (good.timestamp.parse::<u64>().unwrap() + 1).to_string(),
        ..good.clone()
    };
    let forged = [
        Post::signed(&payload, "a guess", 0),
        Post::signed(&payload, secret, 301),
        swapped,
        unsigned,
        later,
    ];
    for post in forged {
        let (status, answer) = post_signed(&hallpass, &post).await;
        assert_eq!(status, 401, "{answer}");
    }
    assert_eq!(state(&hallpass, request).await["state"], "pending");
    // The same call, in time, is good once.
    let click = json!({
        "type": "block_actions", "user": { "id": "USTRANGER" }, "channel": { "id": "C0TEST" },
        "actions": [{ "action_id": "approve", "value": request }],
    });
    let good = Post::of(&click);
    assert_eq!(post_signed(&hallpass, &good).await.0, 200);
    let (status, answer) = post_signed(&hallpass, &good).await;
    assert_eq!(status, 401);
    assert!(answer.contains("made before"), "{answer}");
    slack.next("chat.postEphemeral").await;
    // Signed, but about something else.
    for strange in [json!({ "type": "shortcut" }), json!([1]), json!("x")] {
        let (status, _) = post_signed(&hallpass, &Post::of(&strange)).await;
        assert_eq!(status, 400, "{strange}");
    }
    assert_eq!(slack.calls(), []);
}
