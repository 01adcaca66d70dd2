//! A generic webhook, signed as the Standard Webhooks specification says (version 1, symmetric).

use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Channel, Delivery, Failure, http};
use crate::clock::Clock;

/// What a secret's text begins with.
const PREFIX: &str = "whsec_";
/// How many bytes the specification wants a secret to have.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// The text is not a webhook's secret. It is not quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a webhook's secret: write {PREFIX} and the base64 of 24 to 64 random bytes (`echo whsec_$(openssl rand -base64 32)`)"
)]
pub struct InvalidSecret;

/// A key that a webhook's receiver knows too.
#[derive(Clone)]
pub struct WebhookSecret(Zeroizing<Vec<u8>>);

impl FromStr for WebhookSecret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSecret)?;
        let key = BASE64_STANDARD.decode(encoded).map_err(|_| InvalidSecret)?;
        let key = Zeroizing::new(key);
        LENGTHS
            .contains(&key.len())
            .then_some(Self(key))
            .ok_or(InvalidSecret)
    }
}

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

impl WebhookSecret {
    fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// Who is told.
#[derive(Clone)]
pub struct WebhookSettings {
    /// What it is called.
    pub name: String,
    /// Where to post.
    pub url: Url,
    /// Each signs: while secrets are changed, a receiver may know one of them only.
    pub secrets: Vec<WebhookSecret>,
    /// Whom to trust.
    pub tls: Arc<rustls::ClientConfig>,
}

/// A receiver of notices by HTTP.
pub struct Webhook {
    name: String,
    url: Url,
    secrets: Vec<WebhookSecret>,
    client: Client,
    clock: Clock,
}

impl Webhook {
    /// A receiver that was not spoken to yet.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(settings: WebhookSettings, clock: Clock) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: http::client(&settings.tls)?,
            name: settings.name,
            url: settings.url,
            secrets: settings.secrets,
            clock,
        })
    }

    fn signature(&self, id: &str, now: Timestamp, body: &[u8]) -> String {
        let sign = |secret: &WebhookSecret| secret.sign(id, now.as_second(), body);
        let signatures: Vec<String> = self.secrets.iter().map(sign).collect();
        signatures.join(" ")
    }
}

#[async_trait]
impl Channel for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    async fn deliver(&self, delivery: Delivery<'_>) -> Result<Option<String>, Failure> {
        let notice = delivery.notice;
        let body = serde_json::to_vec(&notice.document()).expect("a notice is plain data");
        let now = self.clock.now();
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &notice.id)
            .header("webhook-timestamp", now.as_second())
            .header("webhook-signature", self.signature(&notice.id, now, &body))
            .body(body);
        let answer = request.send().await.map_err(http::unreachable)?;
        match answer.status().is_success() {
            true => Ok(None),
            false => Err(http::refusal(answer).await),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specifications_example() {
        let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_secret_is_of_the_specifications_form_and_does_not_show() {
        let secret = format!("whsec_{}", BASE64_STANDARD.encode([7; 32]));
        let parsed: WebhookSecret = secret.parse().unwrap();
        assert_eq!(format!("{parsed:?}"), "<secret>");
        for bad in [
            "whsec_",
            "whsec_c2hvcnQ=",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_not base64!",
        ] {
            assert_eq!(bad.parse::<WebhookSecret>().unwrap_err(), InvalidSecret);
            assert!(!InvalidSecret.to_string().contains("MfKQ"));
        }
    }
}
