//! The optional look at a ticket, by HTTP, before a request that names it is taken: whether it is
//! there, and whether it says what it has to.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::secret::Secret;

/// Stands for the ticket in the address.
const PLACE: &str = "{ticket}";
/// The longest answer, in bytes.
const LONGEST: usize = 1 << 20;
/// How many tickets are looked at a time; more wait.
const AT_A_TIME: usize = 8;
/// How much of what a ticket says is quoted, in characters.
const QUOTE: usize = 60;

/// Where tickets are looked up, and what they have to say.
pub struct Settings {
    /// The address of a ticket as JSON; `{ticket}` in it stands for its name.
    pub url: String,
    /// What is sent along.
    pub headers: Vec<(HeaderName, Secret)>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// What a ticket has to say, all of it.
    pub expect: Vec<Expectation>,
    /// Whom to trust.
    pub tls: Arc<rustls::ClientConfig>,
}

/// What a ticket has to say.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// Where in it, as a JSON pointer. If a list is there, one of its items will do.
    pub pointer: String,
    /// What stands there.
    pub wanted: Wanted,
}

/// What has to stand there.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// One of these.
    OneOf(Vec<String>),
    /// The name of who asks.
    RequesterName,
    /// Their e-mail address, in whatever case.
    RequesterEmail,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Requester<'a> {
    /// Their name.
    pub name: &'a str,
    /// Their e-mail address, if it is known.
    pub email: Option<&'a str>,
}

/// Why a ticket will not do. The text is for who asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such ticket.
    #[error("there is no ticket {0}")]
    Unknown(String),
    /// It does not say what it has to.
    #[error("ticket {ticket}: {what}")]
    Unfit {
        /// The ticket.
        ticket: String,
        /// What is wrong with it.
        what: String,
    },
    /// It could not be looked at.
    #[error("ticket {ticket} could not be looked up, so nothing was requested: {why}")]
    Unreachable {
        /// The ticket.
        ticket: String,
        /// Why.
        why: String,
    },
}

/// Looks tickets up.
pub struct Tickets {
    client: Client,
    url: String,
    timeout: Duration,
    expect: Vec<Expectation>,
    places: Semaphore,
}

impl Tickets {
    /// Nobody is spoken to yet.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(settings: Settings) -> Result<Self, reqwest::Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in settings.headers {
            // The configuration has looked at them.
            if let Ok(mut value) = HeaderValue::from_str(value.expose()) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        let client = Client::builder()
            .tls_backend_preconfigured((*settings.tls).clone())
            .user_agent(concat!("hallpass/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .default_headers(headers)
            .build()?;
        Ok(Self {
            client,
            url: settings.url,
            timeout: settings.timeout,
            expect: settings.expect,
            places: Semaphore::new(AT_A_TIME),
        })
    }

    /// Looks at the ticket.
    ///
    /// # Errors
    /// [`Refusal`] if it is not there, does not say what it has to, or cannot be looked at.
    pub async fn check(&self, ticket: &str, requester: Requester<'_>) -> Result<(), Refusal> {
        let unreachable = |why: String| {
            tracing::warn!(ticket, why, "a ticket could not be looked up");
            let ticket = ticket.to_owned();
            Refusal::Unreachable { ticket, why }
        };
        let look = tokio::time::timeout(self.timeout, self.look(ticket));
        let said = match look.await {
            Ok(said) => said.map_err(unreachable)?,
            Err(_) => {
                let timeout = humantime::format_duration(self.timeout);
                return Err(unreachable(format!("no answer within {timeout}")));
            }
        };
        let said = said.ok_or_else(|| Refusal::Unknown(ticket.to_owned()))?;
        let mut wrong = self
            .expect
            .iter()
            .filter_map(|it| it.unmet(&said, requester));
        match wrong.next() {
            None => Ok(()),
            Some(what) => Err(Refusal::Unfit {
                ticket: ticket.to_owned(),
                what,
            }),
        }
    }

    /// What the ticket says; `None` if there is none; why that is not known.
    async fn look(&self, ticket: &str) -> Result<Option<Value>, String> {
        let Some(url) = address(&self.url, ticket) else {
            return Ok(None);
        };
        let _place = self.places.acquire().await.map_err(|it| it.to_string())?;
        let answer = self.client.get(url).send().await.map_err(innermost)?;
        match answer.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            StatusCode::OK => {
                let body = body(answer).await?;
                let said = serde_json::from_slice(&body);
                said.map(Some).map_err(|_| "the answer is not JSON".into())
            }
            status => Err(format!("the answer is HTTP status {}", status.as_u16())),
        }
    }
}

/// The address of the ticket. Its name can add nothing to the path but itself.
fn address(template: &str, ticket: &str) -> Option<String> {
    if ticket.chars().all(|c| c == '.') {
        return None;
    }
    let encoded: String = form_urlencoded::byte_serialize(ticket.as_bytes()).collect();
    Some(template.replace(PLACE, &encoded.replace('+', "%20")))
}

async fn body(mut answer: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(innermost)? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST {
            return Err(format!("the answer is longer than {LONGEST} bytes"));
        }
    }
    Ok(body)
}

/// The cause at the bottom, without the address: a token may be part of it.
fn innermost(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

impl Expectation {
    /// What is wrong with what the ticket says, if something is.
    fn unmet(&self, said: &Value, requester: Requester<'_>) -> Option<String> {
        let found = said.pointer(&self.pointer).unwrap_or(&Value::Null);
        let found: Vec<String> = match found {
            Value::Array(items) => items.iter().filter_map(text).collect(),
            one => text(one).into_iter().collect(),
        };
        let pointer = &self.pointer;
        let is = |wanted: &dyn Fn(&str) -> bool| found.iter().any(|it| wanted(it));
        match &self.wanted {
            Wanted::OneOf(words) if is(&|it| words.iter().any(|word| word == it)) => None,
            Wanted::OneOf(words) => {
                let found = found.first().map_or("nothing".to_owned(), |it| quoted(it));
                let words = words.join(" or ");
                Some(format!("{pointer} is {found}, must be {words}"))
            }
            Wanted::RequesterName if is(&|it| it == requester.name) => None,
            Wanted::RequesterEmail => match requester.email {
                None => Some("must be yours by its e-mail address; yours is not known here".into()),
                Some(email) if is(&|it| it.eq_ignore_ascii_case(email)) => None,
                Some(_) => Some(not_yours(pointer)),
            },
            Wanted::RequesterName => Some(not_yours(pointer)),
        }
    }
}

/// Whose it is is not for everybody.
fn not_yours(pointer: &str) -> String {
    format!("{pointer} must be you, and is somebody else or nobody")
}

/// A value as it can be compared; `None` for what holds others, or nothing.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What a stranger wrote, short and on one line.
fn quoted(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let short: String = text.chars().map(plain).take(QUOTE).collect();
    format!("{short:?}")
}

#[cfg(test)]
mod tests;
