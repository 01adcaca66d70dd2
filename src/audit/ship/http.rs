//! A receiver that takes records by HTTP: POST of JSON Lines.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use reqwest::{Client, Response, Url, redirect};

use super::failure::{Failure, with_causes};
use super::feed::Receiver;
use crate::audit::follow::Chunk;
use crate::clock::{self, Clock};
use crate::secret::{Secret, hex, sha256};

/// How long a receiver may take to be reached, and to answer.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(60);
/// However long it asks to be left alone, it is tried again after this.
const MOST_PATIENCE: Duration = Duration::from_secs(600);

/// A receiver that takes records by HTTP.
#[derive(Clone)]
pub struct HttpSettings {
    /// Where to post: `https://..` or `http://..`.
    pub url: Url,
    /// Sent as `Authorization: Bearer ..`.
    pub token: Option<Secret>,
    /// Sent along with each request.
    pub headers: Vec<(HeaderName, Secret)>,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// Whom to trust, and who we are.
    pub tls: Arc<rustls::ClientConfig>,
}

/// An endpoint.
pub(super) struct Http {
    client: Client,
    url: Url,
    gzip: bool,
    clock: Clock,
}

impl Http {
    /// An endpoint that was not spoken to yet.
    ///
    /// # Errors
    /// If a header cannot be sent, or TLS be set up.
    pub(super) fn new(settings: &HttpSettings, clock: Clock) -> io::Result<Self> {
        let client = Client::builder()
            .tls_backend_preconfigured((*settings.tls).clone())
            .default_headers(headers(settings)?)
            .user_agent(concat!("hallpass/", env!("CARGO_PKG_VERSION")))
            // A token is for the address that the operator wrote, and for no other.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            client,
            url: settings.url.clone(),
            gzip: settings.gzip,
            clock,
        })
    }

    fn refusal(&self, answer: &Response, bytes: usize) -> Failure {
        match answer.status().as_u16() {
            413 => Failure::TooLarge { bytes },
            status => Failure::Refused {
                status,
                retry_after: retry_after(answer.headers(), self.clock.now()),
            },
        }
    }
}

fn headers(settings: &HttpSettings) -> io::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let mut add = |name: HeaderName, text: &str| {
        let mut value = HeaderValue::from_str(text).map_err(|_| {
            io::Error::other(format!(
                "the header {name} has a character that no header may have"
            ))
        })?;
        value.set_sensitive(true);
        headers.append(name, value);
        Ok::<_, io::Error>(())
    };
    for (name, value) in &settings.headers {
        add(name.clone(), value.expose())?;
    }
    if let Some(token) = &settings.token {
        add(AUTHORIZATION, &format!("Bearer {}", token.expose()))?;
    }
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    if settings.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(headers)
}

#[async_trait]
impl Receiver for Http {
    async fn send(&mut self, chunk: &Chunk) -> Result<(), Failure> {
        let range = format!("{}-{}", chunk.first, chunk.end() - 1);
        // The same records are the same request, also after a restart, and another log's are not.
        let content = hex(&sha256(&chunk.lines)[..8]);
        let body = match self.gzip {
            true => gzip(&chunk.lines).map_err(Failure::local("compressing"))?,
            false => chunk.lines.clone(),
        };
        let bytes = body.len();
        let request = self
            .client
            .post(self.url.clone())
            .header("Idempotency-Key", format!("\"{range}-{content}\""))
            .header("Hallpass-Records", range)
            .body(body);
        // Without the URL: a token may be part of it.
        let answer = request.send().await;
        let answer =
            answer.map_err(|error| Failure::Unreachable(with_causes(&error.without_url())))?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(self.refusal(&answer, bytes)),
        }
    }
}

fn gzip(lines: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(lines)?;
    encoder.finish()
}

/// RFC 9110, 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?;
            clock::until(now, date.timestamp())?
        }
    };
    Some(wait.min(MOST_PATIENCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_has_a_limit() {
        let now: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        let wait = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers, now)
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(
            wait("Sun, 22 Nov 2026 09:00:30 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(wait("Sun, 22 Nov 2026 08:00:30 GMT"), None);
        assert_eq!(wait("86400"), Some(MOST_PATIENCE));
        assert_eq!(wait("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
