//! What somebody did in Slack, read from the call that Slack makes of it.

use serde::Deserialize;

use super::blocks::{APPROVE, DENY, DIALOGUE, REASON};
use crate::access::RequestId;

/// The call is signed by Slack but is none that hallpass's messages bring about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no interaction with a message of hallpass")]
pub struct Unreadable;

/// What somebody did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interaction {
    /// Slack's id of who did it.
    pub user: String,
    /// The channel in which they did it.
    pub channel: String,
    /// What they did.
    pub deed: Deed,
}

/// What can be done in Slack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// They clicked on Approve.
    Approve(RequestId),
    /// They clicked on Deny, and have to say why; `trigger` opens the dialogue.
    WantToDeny {
        /// The request.
        request: RequestId,
        /// What Slack wants to see when the dialogue is opened.
        trigger: String,
    },
    /// They said why.
    Deny {
        /// The request.
        request: RequestId,
        /// Why, in their words.
        reason: String,
    },
    /// They followed a link; Slack tells of that too.
    Nothing,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Payload {
    BlockActions {
        user: User,
        channel: Option<Named>,
        #[serde(default)]
        trigger_id: String,
        actions: Vec<Action>,
    },
    ViewSubmission {
        user: User,
        view: View,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct User {
    id: String,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct Action {
    action_id: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct View {
    callback_id: String,
    private_metadata: String,
    state: serde_json::Value,
}

#[derive(Deserialize)]
struct About {
    request: RequestId,
    channel: String,
}

impl Interaction {
    /// Reads the body of Slack's call: a form with the JSON document `payload`.
    ///
    /// # Errors
    /// [`Unreadable`] if it is something else.
    pub fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let payload = form_urlencoded::parse(body)
            .find(|(key, _)| key == "payload")
            .ok_or(Unreadable)?;
        match serde_json::from_str(&payload.1).map_err(|_| Unreadable)? {
            Payload::BlockActions {
                user,
                channel,
                trigger_id,
                actions,
            } => Ok(Self {
                user: user.id,
                channel: channel.map(|channel| channel.id).unwrap_or_default(),
                deed: click(actions.first().ok_or(Unreadable)?, trigger_id)?,
            }),
            Payload::ViewSubmission { user, view } => submission(user.id, &view),
            Payload::Other => Err(Unreadable),
        }
    }
}

fn click(action: &Action, trigger: String) -> Result<Deed, Unreadable> {
    let request = || action.value.parse().map_err(|_| Unreadable);
    Ok(match action.action_id.as_str() {
        APPROVE => Deed::Approve(request()?),
        DENY => Deed::WantToDeny {
            request: request()?,
            trigger,
        },
        _ => Deed::Nothing,
    })
}

fn submission(user: String, view: &View) -> Result<Interaction, Unreadable> {
    if view.callback_id != DIALOGUE {
        return Err(Unreadable);
    }
    let about: About = serde_json::from_str(&view.private_metadata).map_err(|_| Unreadable)?;
    let reason = &view.state["values"][REASON][REASON]["value"];
    Ok(Interaction {
        user,
        channel: about.channel,
        deed: Deed::Deny {
            request: about.request,
            reason: reason.as_str().unwrap_or_default().to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::blocks::dialogue;
    use super::*;

    fn read(payload: &Value) -> Result<Interaction, Unreadable> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("payload", &payload.to_string());
        Interaction::read(form.finish().as_bytes())
    }

    fn click(action: &str, value: &str) -> Value {
        json!({
            "type": "block_actions", "user": { "id": "U1", "name": "x" }, "trigger_id": "t.1",
            "channel": { "id": "C1", "name": "db" }, "response_url": "https://x",
            "actions": [{ "action_id": action, "value": value, "type": "button" }],
        })
    }

    #[test]
    fn clicks_say_who_and_what() {
        let id = RequestId::from_random(7);
        let read = |action| read(&click(action, &id.to_string())).unwrap();
        assert_eq!(read("approve").deed, Deed::Approve(id));
        assert_eq!(read("approve").user, "U1");
        assert_eq!(read("approve").channel, "C1");
        let trigger = "t.1".to_owned();
        let want = Deed::WantToDeny {
            request: id,
            trigger,
        };
        assert_eq!(read("deny").deed, want);
        assert_eq!(read("open").deed, Deed::Nothing);
    }

    #[test]
    fn the_answer_to_our_dialogue_is_a_denial() {
        let id = RequestId::from_random(7);
        let mut view = dialogue(id, "C1");
        view["state"] = json!({ "values": { "reason": { "reason": { "value": "not now" } } } });
        let payload = json!({ "type": "view_submission", "user": { "id": "U1" }, "view": view });
        let read = read(&payload).unwrap();
        let reason = "not now".to_owned();
        assert_eq!(
            read.deed,
            Deed::Deny {
                request: id,
                reason
            }
        );
        assert_eq!((read.user.as_str(), read.channel.as_str()), ("U1", "C1"));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            click("approve", "ses-000000000000"),
            json!({ "type": "block_actions", "user": { "id": "U1" }, "actions": [] }),
            json!({ "type": "shortcut" }),
            json!({ "type": "view_submission", "user": { "id": "U1" },
                    "view": { "callback_id": "x", "private_metadata": "{}", "state": {} } }),
            json!([]),
        ] {
            assert_eq!(read(&bad), Err(Unreadable), "{bad}");
        }
        for bad in [&b""[..], b"payload=", b"payload=%7B", b"{}"] {
            assert_eq!(Interaction::read(bad), Err(Unreadable));
        }
    }
}
