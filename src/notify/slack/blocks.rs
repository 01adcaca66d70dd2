//! Notices in Slack's Block Kit.
//!
//! What somebody wrote stands in `rich_text` only, whose texts are taken as they are: no link, no
//! mention and no `<!channel>` comes out of them.

use serde_json::{Value, json};

use crate::access::RequestId;
use crate::notify::text::shortened;
use crate::notify::{Kind, Notice};

/// Slack's own limit for a header.
const HEADER: usize = 150;
/// Slack's own limit for a text.
const TEXT: usize = 3000;
/// The `action_id`s of the buttons.
pub(super) const APPROVE: &str = "approve";
pub(super) const DENY: &str = "deny";
/// The dialogue's `callback_id`, and the name of its only field.
pub(super) const DIALOGUE: &str = "deny";
pub(super) const REASON: &str = "reason";
/// The longest reason that hallpass takes, in characters as Slack counts them.
const MAX_REASON: usize = 1000;

/// Text for where Slack looks for markup.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The message that says what a notice says, with buttons while there is something to decide.
pub(super) fn message(notice: &Notice) -> Value {
    let headline = notice.headline();
    let mut blocks = vec![header(&headline), facts(notice)];
    blocks.extend(notice.reasons().iter().map(|(who, why)| reason(who, why)));
    blocks.push(buttons(notice));
    json!({
        // For notifications and readers of the screen.
        "text": escaped(&headline),
        "blocks": blocks,
        "mrkdwn": false,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

fn header(text: &str) -> Value {
    json!({ "type": "header", "text": plain(&shortened(text, HEADER)) })
}

fn plain(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

fn facts(notice: &Notice) -> Value {
    let field = |(label, value): &(&str, String)| {
        let text = format!("*{label}*\n`{}`", escaped(value).replace('`', "'"));
        json!({ "type": "mrkdwn", "text": text, "verbatim": true })
    };
    let fields: Vec<Value> = notice.facts().iter().map(field).collect();
    json!({ "type": "section", "fields": fields })
}

fn reason(who: &str, why: &str) -> Value {
    let text = |text: &str| json!({ "type": "text", "text": shortened(text, TEXT) });
    json!({ "type": "rich_text", "elements": [
        { "type": "rich_text_section", "elements": [text(&format!("{who}:"))] },
        { "type": "rich_text_quote", "elements": [text(why)] },
    ]})
}

fn buttons(notice: &Notice) -> Value {
    let button = |action: &str, label: &str, style: &str| {
        json!({
            "type": "button", "action_id": action, "text": plain(label), "style": style,
            "value": notice.request.to_string(),
        })
    };
    let mut elements = Vec::new();
    if notice.kind.asks() {
        elements.push(button(APPROVE, "Approve", "primary"));
        elements.push(button(DENY, "Deny", "danger"));
    }
    let label = if notice.kind == Kind::Test {
        "hallpass"
    } else {
        "Open in hallpass"
    };
    let link = json!({
        "type": "button", "action_id": "open", "text": plain(label), "url": notice.link,
    });
    elements.push(link);
    json!({ "type": "actions", "elements": elements })
}

/// Where whoever denies says why. What it is about comes back with the answer.
pub(super) fn dialogue(request: RequestId, channel: &str) -> Value {
    let about = json!({ "request": request, "channel": channel }).to_string();
    json!({
        "type": "modal",
        "callback_id": DIALOGUE,
        "private_metadata": about,
        "title": plain("Deny a request"),
        "submit": plain("Deny"),
        "close": plain("Cancel"),
        "blocks": [{
            "type": "input",
            "block_id": REASON,
            "label": plain(&format!("Why is {request} denied?")),
            "element": {
                "type": "plain_text_input", "action_id": REASON, "multiline": true,
                "max_length": MAX_REASON,
            },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::notice::example;

    /// Every text in which Slack looks for markup.
    fn marked_up(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                if object.get("type") == Some(&json!("mrkdwn")) {
                    found.push(object["text"].as_str().unwrap().to_owned());
                }
                object.values().for_each(|value| marked_up(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| marked_up(value, found)),
            _ => {}
        }
    }

    #[test]
    fn what_somebody_wrote_is_never_where_slack_looks_for_markup() {
        for kind in [Kind::Submitted, Kind::Denied] {
            let message = message(&example(kind));
            let mut texts = vec![message["text"].as_str().unwrap().to_owned()];
            marked_up(&message, &mut texts);
            assert!(texts.len() > 4);
            for text in texts {
                assert!(!text.contains("INC-4312") && !text.contains('<'), "{text}");
            }
            let quoted = message.to_string();
            assert!(quoted.contains("<!channel> <b>INC-4312"), "{quoted}");
            assert!(!quoted.contains('\u{202e}'), "{quoted}");
        }
    }

    #[test]
    fn there_are_buttons_while_there_is_something_to_decide() {
        let buttons = |kind| {
            let message = message(&example(kind)).to_string();
            (message.contains("Approve\""), message.contains("Deny\""))
        };
        assert_eq!(buttons(Kind::Submitted), (true, true));
        assert_eq!(buttons(Kind::Escalated), (true, true));
        for decided in [Kind::Approved, Kind::Denied, Kind::Lapsed, Kind::BreakGlass] {
            assert_eq!(buttons(decided), (false, false), "{decided:?}");
        }
    }

    #[test]
    fn a_header_fits_slacks_limit() {
        let mut notice = example(Kind::BreakGlass);
        notice.who = "m".repeat(63).parse().unwrap();
        notice.target = "t".repeat(63).parse().unwrap();
        let header = &message(&notice)["blocks"][0]["text"]["text"];
        assert_eq!(header.as_str().unwrap().chars().count(), HEADER);
    }
}
