//! `[tickets]`: where tickets are looked up.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderName;
use toml::Spanned;

use super::check::{Check, Section};
use super::feeds::{self, is_local};
use super::raw::{Field, RawExpectation, RawTickets, Table};
use super::values::{self, Parsed};
use crate::secret::Secret;

/// Stands for the ticket.
const PLACE: &str = "{ticket}";

/// `[tickets]`: where tickets are looked up.
#[derive(Debug, Clone)]
pub struct Tickets {
    /// `url`: the address of a ticket as JSON, with `{ticket}` where its name goes. Required.
    pub url: String,
    /// `[tickets.headers]`: sent along; a value may be `{ file = ".." }` or `{ env = ".." }`.
    /// Default: none.
    pub headers: Vec<(HeaderName, Secret)>,
    /// `timeout`: how long an answer may take. Default 5s.
    pub timeout: Duration,
    /// `ca`: certificates to trust, in PEM; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// `[[tickets.expect]]`: what a ticket has to say, all of it. Default: that it is there.
    pub expect: Vec<Expectation>,
}

/// `[[tickets.expect]]`: what a ticket has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// `pointer`: where in the answer, a JSON pointer (RFC 6901). Required.
    pub pointer: String,
    /// `one_of` or `equals`: what stands there. One of the two is required.
    pub wanted: Wanted,
}

/// What has to stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// `one_of`: one of these texts.
    OneOf(Vec<String>),
    /// `equals = "requester.name"`: the name of who asks.
    RequesterName,
    /// `equals = "requester.email"`: their e-mail address.
    RequesterEmail,
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is ", self.pointer)?;
        match &self.wanted {
            Wanted::OneOf(words) => f.write_str(&words.join(" or ")),
            Wanted::RequesterName => f.write_str("requester.name"),
            Wanted::RequesterEmail => f.write_str("requester.email"),
        }
    }
}

pub(super) fn tickets(check: &mut Check<'_>, raw: &Field<Table<RawTickets>>) -> Option<Tickets> {
    let raw = raw.as_ref()?;
    let mut section = Section::new(check, "tickets", raw.span());
    let raw = raw.get_ref();
    let like = "\"https://jira.example.com/rest/api/2/issue/{ticket}\"";
    let url = section.required("url", &raw.url, like, template);
    warn_if_plain(&mut section, raw);
    let headers = feeds::headers(&mut section, &raw.headers);
    let timeout = section.optional("timeout", &raw.timeout, values::positive_duration);
    let ca = section.optional("ca", &raw.ca, values::text);
    let at = section.at("ca", &raw.ca);
    let ca = ca.and_then(|name| section.check.file(&at, &name));
    let expect = raw.expect.iter();
    let expect = expect.filter_map(|raw| expectation(section.check, raw));
    Some(Tickets {
        headers,
        timeout: timeout.unwrap_or(Duration::from_secs(5)),
        ca,
        expect: expect.collect(),
        url: url?,
    })
}

fn template(text: &str) -> Parsed<String> {
    let like = "write https://jira.example.com/rest/api/2/issue/{ticket}";
    let wrong = || format!("`{text}` is not a web address: {like}");
    let url = parsed(text).ok_or_else(wrong)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a password in it: use [tickets.headers]".to_owned());
    }
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    let path = text.splitn(4, '/').nth(3).unwrap_or_default();
    match text.matches(PLACE).count() {
        1 if path.contains(PLACE) => Ok(text.to_owned()),
        _ => Err(format!(
            "must have {{ticket}} once, behind the host: {like}"
        )),
    }
}

fn parsed(text: &str) -> Option<Url> {
    text.replace(PLACE, "x").parse().ok()
}

fn warn_if_plain(section: &mut Section<'_, '_>, raw: &RawTickets) {
    let url = raw.url.as_ref().and_then(|url| parsed(url.get_ref()));
    if url.is_some_and(|url| url.scheme() == "http" && !is_local(&url)) {
        let at = section.at("url", &raw.url);
        let message = "has no TLS: anybody may answer, and read what is sent along";
        section.check.warn(&at, message);
    }
}

fn expectation(check: &mut Check<'_>, raw: &Spanned<Table<RawExpectation>>) -> Option<Expectation> {
    let mut section = Section::new(check, "tickets.expect", raw.span());
    let raw = raw.get_ref();
    let pointer = section.required("pointer", &raw.pointer, "\"/fields/status/name\"", pointer);
    let one_of = section.list("one_of", &raw.one_of, values::text);
    let equals = section.optional("equals", &raw.equals, requester);
    let wanted = match (one_of, equals) {
        (Some(words), None) if !words.is_empty() => {
            Wanted::OneOf(words.into_iter().map(|(_, word)| word).collect())
        }
        (None, Some(equals)) => equals,
        // What is wrong with it has been said.
        (None, None) if raw.equals.is_some() => return None,
        _ => {
            let at = section.own();
            let message =
                "needs one_of = [\"Open\", ..] or equals = \"requester.email\", one of the two";
            section.check.error(&at, message);
            return None;
        }
    };
    let pointer = pointer?;
    Some(Expectation { pointer, wanted })
}

fn pointer(text: &str) -> Parsed<String> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{text}` is not a JSON pointer: write /fields/status/name"
        )),
    }
}

fn requester(text: &str) -> Parsed<Wanted> {
    match text {
        "requester.name" => Ok(Wanted::RequesterName),
        "requester.email" => Ok(Wanted::RequesterEmail),
        _ => Err(format!(
            "`{text}` is unknown: write \"requester.email\" or \"requester.name\", or one_of for a text"
        )),
    }
}
