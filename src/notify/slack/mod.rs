//! Slack: a message with buttons for each request, kept up to date, and what people do with it.

mod blocks;
mod interaction;
mod signature;

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Channel, Delivery, Failure, Kind, Notice, http};
use crate::access::RequestId;
use crate::secret::Secret;

pub use interaction::{Deed, Interaction, Unreadable};
pub use signature::{Signed, Unsigned, Verifier};

/// The channel's name.
pub const NAME: &str = "slack";
/// What Slack says of a message that somebody has deleted: there will be a new one.
const GONE: [&str; 2] = ["message_not_found", "cant_update_message"];

/// How Slack is reached, and known.
#[derive(Clone)]
pub struct SlackSettings {
    /// Where its methods are: `https://slack.com/api`.
    pub api: Url,
    /// The bot's token.
    pub token: Secret,
    /// What Slack signs with.
    pub signing_secret: Secret,
    /// The channel's id.
    pub channel: String,
    /// Whom to trust.
    pub tls: Arc<rustls::ClientConfig>,
}

/// A Slack workspace, as the bot sees it.
pub struct Slack {
    client: Client,
    api: Url,
    token: Secret,
    channel: String,
    verifier: Verifier,
}

#[derive(Deserialize)]
struct Answer {
    ok: bool,
    error: Option<String>,
    channel: Option<String>,
    ts: Option<String>,
}

impl Slack {
    /// A workspace that was not spoken to yet.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(settings: SlackSettings) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: http::client(&settings.tls)?,
            api: settings.api,
            token: settings.token,
            channel: settings.channel,
            verifier: Verifier::new(settings.signing_secret),
        })
    }

    /// What says whether a call came from Slack.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Asks whoever clicked on Deny for the reason.
    ///
    /// # Errors
    /// [`Failure`] if Slack does not open the dialogue.
    pub async fn ask_why(
        &self,
        trigger: &str,
        request: RequestId,
        channel: &str,
    ) -> Result<(), Failure> {
        let view = blocks::dialogue(request, channel);
        let body = json!({ "trigger_id": trigger, "view": view });
        self.call("views.open", &body).await.map(drop)
    }

    /// Says something to one user only, in the channel where they clicked.
    ///
    /// # Errors
    /// [`Failure`] if Slack does not show it.
    pub async fn whisper(&self, channel: &str, user: &str, text: &str) -> Result<(), Failure> {
        let text = blocks::escaped(text);
        let body = json!({ "channel": channel, "user": user, "text": text });
        self.call("chat.postEphemeral", &body).await.map(drop)
    }

    async fn post(&self, message: &Value) -> Result<Answer, Failure> {
        let mut body = message.clone();
        body["channel"] = json!(self.channel);
        self.call("chat.postMessage", &body).await
    }

    /// Says below the message, and in the channel, that it still waits: nobody is told of an update.
    async fn remind(&self, place: &Place<'_>, notice: &Notice) -> Result<(), Failure> {
        let body = json!({
            "channel": place.channel,
            "thread_ts": place.ts,
            "reply_broadcast": true,
            "text": blocks::escaped(&notice.headline()),
            "mrkdwn": false,
        });
        self.call("chat.postMessage", &body).await.map(drop)
    }

    /// Replaces the message; `None` if it is no longer there.
    async fn update(&self, place: &Place<'_>, message: &Value) -> Result<Option<Answer>, Failure> {
        let mut body = message.clone();
        body["channel"] = json!(place.channel);
        body["ts"] = json!(place.ts);
        let answer = self.ask("chat.update", &body).await?;
        match answer.error.as_deref() {
            Some(error) if GONE.contains(&error) => Ok(None),
            _ => accepted(answer).map(Some),
        }
    }

    async fn call(&self, method: &str, body: &Value) -> Result<Answer, Failure> {
        accepted(self.ask(method, body).await?)
    }

    async fn ask(&self, method: &str, body: &Value) -> Result<Answer, Failure> {
        let url = format!("{}/{method}", self.api.as_str().trim_end_matches('/'));
        let request = self.client.post(url).bearer_auth(self.token.expose());
        let answer = request.json(body).send().await;
        let answer = answer.map_err(http::unreachable)?;
        if answer.status() != StatusCode::OK {
            return Err(http::refusal(answer).await);
        }
        let body = http::body(answer).await;
        serde_json::from_slice(&body)
            .map_err(|_| Failure::refused("what answers does not speak Slack's API"))
    }
}

fn accepted(answer: Answer) -> Result<Answer, Failure> {
    match answer.ok {
        true => Ok(answer),
        false => {
            let error = answer.error.unwrap_or_default();
            let error = super::text::shortened(&super::text::one_line(&error), 100);
            Err(Failure::refused(format!("Slack says {error}")))
        }
    }
}

/// Where a message is.
struct Place<'a> {
    channel: &'a str,
    ts: &'a str,
}

impl<'a> Place<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (channel, ts) = text.split_once('/')?;
        Some(Self { channel, ts })
    }
}

#[async_trait]
impl Channel for Slack {
    fn name(&self) -> &str {
        NAME
    }

    async fn deliver(&self, delivery: Delivery<'_>) -> Result<Option<String>, Failure> {
        let notice = delivery.notice;
        let message = blocks::message(notice);
        let place = delivery.place.and_then(Place::parse);
        if let (Kind::Escalated | Kind::NextStage, Some(place)) = (notice.kind, &place) {
            self.remind(place, notice).await?;
            return Ok(delivery.place.map(str::to_owned));
        }
        let updated = match place {
            Some(place) => self.update(&place, &message).await?,
            None => None,
        };
        let answer = match updated {
            Some(answer) => answer,
            None => self.post(&message).await?,
        };
        let place = answer.channel.zip(answer.ts);
        Ok(place
            .filter(|_| !notice.kind.is_final())
            .map(|(channel, ts)| format!("{channel}/{ts}")))
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::{Path, State};
    use axum::routing::post;
    use axum::{Json, Router};
    use parking_lot::Mutex;

    use super::*;
    use crate::notify::notice::example;

    type Calls = Arc<Mutex<Vec<(String, Value)>>>;

    /// Says of every message that is to be updated that it is gone.
    async fn answer(
        State(calls): State<Calls>,
        Path(method): Path<String>,
        Json(body): Json<Value>,
    ) -> Json<Value> {
        let answer = match method.as_str() {
            "chat.update" => json!({ "ok": false, "error": "message_not_found" }),
            "chat.postEphemeral" => json!({ "ok": false, "error": "\u{1b}[2Jno" }),
            _ => json!({ "ok": true, "channel": "C1", "ts": "7.7" }),
        };
        calls.lock().push((method, body));
        Json(answer)
    }

    async fn slack() -> (Slack, Calls) {
        let calls = Calls::default();
        let router = Router::new().route("/{method}", post(answer));
        let router = router.with_state(calls.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let slack = Slack::new(SlackSettings {
            api: format!("http://{address}/").parse().unwrap(),
            token: Secret::new("xoxb-1"),
            signing_secret: Secret::new("s"),
            channel: "C1".into(),
            tls: Arc::new(tls),
        });
        (slack.unwrap(), calls)
    }

    async fn deliver(slack: &Slack, kind: Kind, place: &str) -> Option<String> {
        let notice = example(kind);
        let delivery = Delivery {
            notice: &notice,
            recipient: "",
            place: Some(place),
        };
        slack.deliver(delivery).await.unwrap()
    }

    fn methods(calls: &Calls) -> Vec<String> {
        let calls = std::mem::take(&mut *calls.lock());
        calls.into_iter().map(|(method, _)| method).collect()
    }

    #[tokio::test]
    async fn a_message_that_somebody_deleted_is_posted_again() {
        let (slack, calls) = slack().await;
        let place = deliver(&slack, Kind::Approved, "C1/1.1").await;
        assert_eq!(place.as_deref(), Some("C1/7.7"));
        assert_eq!(methods(&calls), ["chat.update", "chat.postMessage"]);
    }

    #[tokio::test]
    async fn who_has_not_decided_is_reminded_below_the_message() {
        let (slack, calls) = slack().await;
        let place = deliver(&slack, Kind::Escalated, "C1/1.1").await;
        assert_eq!(place.as_deref(), Some("C1/1.1"));
        let reminder = calls.lock()[0].1.clone();
        assert_eq!(reminder["thread_ts"], "1.1");
        assert_eq!(reminder["reply_broadcast"], true);
        assert_eq!(methods(&calls), ["chat.postMessage"]);
    }

    #[tokio::test]
    async fn what_slack_says_of_a_failure_is_made_inert() {
        let (slack, _) = slack().await;
        let failure = slack.whisper("C1", "U1", "no").await.unwrap_err();
        assert_eq!(failure, Failure::refused("Slack says \u{fffd}[2Jno"));
    }
}
