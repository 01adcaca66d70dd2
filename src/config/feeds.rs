//! `[audit.feeds.NAME]`: who gets every record as it is made.

use std::path::PathBuf;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use super::check::Section;
use super::raw::{Field, Named, Options, RawAudit, RawFeed};
use super::ship::{option_at, options};
use super::values::{self, Parsed};
use super::{Check, secrets, targets};
use crate::secret::Secret;

/// `[audit.feeds.NAME]`: somebody who gets every record as it is made.
#[derive(Debug, Clone)]
pub struct Feed {
    /// The name: lower-case letters, digits and `-`.
    pub name: String,
    /// `url`: `https://..`, `http://..`, `syslog+tls://host:port` or `syslog+tcp://host:port`.
    /// Required.
    pub url: Url,
    /// `required`: whether what it lacks counts towards `audit.local_limit`. Default false.
    pub required: bool,
    /// `ca`: certificates to trust, in PEM; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// `client_certificate` and `client_key`, in PEM: shown to the receiver.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// What depends on the protocol.
    pub receiver: Receiver,
}

/// What depends on a feed's protocol.
#[derive(Debug, Clone)]
pub enum Receiver {
    /// `https://` or `http://`: POST of JSON Lines.
    Http {
        /// `token`: `{ file = ".." }` or `{ env = ".." }`, sent as `Authorization: Bearer ..`.
        /// Default: none.
        token: Option<Secret>,
        /// `[audit.feeds.NAME.headers]`: sent along; a value may be a secret. Default: none.
        headers: Vec<(HeaderName, Secret)>,
        /// `gzip`: whether bodies are compressed. Default false.
        gzip: bool,
    },
    /// `syslog+tls://` or `syslog+tcp://`: RFC 5424.
    Syslog {
        /// The host.
        host: String,
        /// The port; 6514 with TLS and 601 without, where the URL has none.
        port: u16,
        /// Whether it is RFC 5425.
        tls: bool,
        /// `facility`: by name. Default `local0`.
        facility: u8,
    },
}

/// RFC 5424, table 1, by the names that syslog daemons use.
const FACILITIES: [(&str, u8); 20] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("audit", 13),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

pub(super) fn feeds(check: &mut Check<'_>, raw: &Named<RawFeed>) -> Vec<Feed> {
    let mut feeds = Vec::new();
    for (name, raw) in raw {
        let key = format!("audit.feeds.{}", name.get_ref());
        let mut section = Section::new(check, key, name.span());
        if let Err(message) = feed_name(name.get_ref()) {
            let at = section.own();
            section.check.error(&at, message);
        }
        feeds.extend(feed(&mut section, name.get_ref(), raw));
    }
    feeds
}

/// How much may exist on this machine only. The segment that is being written cannot be in a bucket
/// yet, so there must be room for more than that.
pub(super) fn local_limit(
    section: &mut Section<'_, '_>,
    raw: &RawAudit,
    segment_bytes: u64,
) -> Option<u64> {
    let required = |feed: &RawFeed| feed.required.as_ref().is_some_and(|it| *it.get_ref());
    let limit = section.optional(
        "local_limit",
        &raw.local_limit,
        |text: &str| match values::size(text)? {
            limit if limit < 2 * segment_bytes => Err(format!(
                "`{text}` is too small: at least twice segment_size, {}B",
                2 * segment_bytes
            )),
            limit => Ok(limit),
        },
    )?;
    if raw.ship.is_none() && !raw.feeds.values().any(|feed| required(feed)) {
        let at = section.at("local_limit", &raw.local_limit);
        let message = "means nothing without [audit.ship] or a feed that is required";
        section.check.error(&at, message);
        return None;
    }
    Some(limit)
}

/// The name becomes a file and a label.
fn feed_name(name: &str) -> Parsed<()> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 63 || !name.chars().all(allowed) {
        return Err("bad name: 1 to 63 lower-case letters, digits and -".to_owned());
    }
    match name {
        "bucket" => Err("is what [audit.ship] is called: choose another name".to_owned()),
        _ => Ok(()),
    }
}

fn feed(section: &mut Section<'_, '_>, name: &str, raw: &RawFeed) -> Option<Feed> {
    let like = "\"https://siem.example.com/ingest\" or \"syslog+tls://logs.example.com:6514\"";
    let url = section.required("url", &raw.url, like, url)?;
    let plain = matches!(url.scheme(), "http" | "syslog+tcp");
    let ca = section.optional("ca", &raw.ca, values::text);
    let ca_at = section.at("ca", &raw.ca);
    let ca = ca.and_then(|name| section.check.file(&ca_at, &name));
    let without = plain.then_some("a URL without TLS");
    let client_certificate =
        targets::client_certificate(section, &raw.client_certificate, &raw.client_key, without);
    let receiver = match url.scheme() {
        "http" | "https" => http(section, raw),
        _ => syslog(section, raw, &url)?,
    };
    if plain && !is_local(&url) {
        let at = section.at("url", &raw.url);
        let message = "has no TLS: statements travel readable, and anybody may answer";
        section.check.warn(&at, message);
    }
    Some(Feed {
        name: name.to_owned(),
        url,
        required: *raw.required.as_ref().map_or(&false, |it| it.get_ref()),
        ca,
        client_certificate,
        receiver,
    })
}

fn url(text: &str) -> Parsed<Url> {
    let wrong = || {
        format!(
            "`{text}` is not a feed's URL: write https://.., syslog+tls://host:6514 or syslog+tcp://host:601"
        )
    };
    let url: Url = text.parse().map_err(|_| wrong())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a password in it: use token, or a header, from a file".to_owned());
    }
    let known = ["https", "http", "syslog+tls", "syslog+tcp"].contains(&url.scheme());
    match url.host_str() {
        Some(host) if known && !host.is_empty() => Ok(url),
        _ => Err(wrong()),
    }
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    host.trim_matches(['[', ']']).to_owned()
}

/// Whether a URL leads to this machine.
pub(super) fn is_local(url: &Url) -> bool {
    let host = host(url);
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn http(section: &mut Section<'_, '_>, raw: &RawFeed) -> Receiver {
    refuse(section, "facility", &raw.facility, "syslog");
    Receiver::Http {
        token: secrets::field(section, "token", &raw.token),
        headers: headers(section, &raw.headers),
        gzip: *raw.gzip.as_ref().map_or(&false, |it| it.get_ref()),
    }
}

/// `headers`, the values of which may be secrets.
pub(super) fn headers(section: &mut Section<'_, '_>, raw: &Options) -> Vec<(HeaderName, Secret)> {
    let mut headers = Vec::new();
    let values = options(section, "headers", raw);
    for (name, value) in values {
        let header = name.parse::<HeaderName>();
        match (header, HeaderValue::from_str(value.expose())) {
            (Ok(header), Ok(_)) => headers.push((header, value)),
            _ => {
                let raw = raw.keys().find(|raw| *raw.get_ref() == name);
                let at = raw.map_or(section.own(), |raw| option_at(section, "headers", raw));
                let message = "has a character that no header may have";
                section.check.error(&at, message);
            }
        }
    }
    headers
}

fn syslog(section: &mut Section<'_, '_>, raw: &RawFeed, url: &Url) -> Option<Receiver> {
    refuse(section, "token", &raw.token, "HTTP");
    refuse(section, "gzip", &raw.gzip, "HTTP");
    if !raw.headers.is_empty() {
        let mut at = section.own();
        at.key += ".headers";
        section.check.error(&at, "are for HTTP");
    }
    if !matches!(url.path(), "" | "/") {
        let at = section.at("url", &raw.url);
        section.check.error(&at, "has a path, which syslog has not");
    }
    let tls = url.scheme() == "syslog+tls";
    let host = section.optional("url", &raw.url, |_: &str| values::host(&host(url)))?;
    let facility = section.optional("facility", &raw.facility, values::choice(&FACILITIES));
    Some(Receiver::Syslog {
        host,
        port: url.port().unwrap_or(if tls { 6514 } else { 601 }),
        tls,
        facility: facility.unwrap_or(16),
    })
}

/// Refuses a key that means nothing with this feed's protocol.
fn refuse<T>(section: &mut Section<'_, '_>, key: &str, value: &Field<T>, protocol: &str) {
    if value.is_some() {
        let at = section.at(key, value);
        section.check.error(&at, format!("is for {protocol}"));
    }
}
