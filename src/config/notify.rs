//! `[notify]`: who is told what happens.

use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lettre::message::Mailbox;
use reqwest::Url;
use toml::Spanned;

use super::check::{Check, Section};
use super::feeds::is_local;
use super::raw::{Field, RawEmail, RawNotify, RawSecret, RawSlack, RawWebhook, Table};
use super::secrets;
use super::values::{self, Parsed};
use crate::access::PrincipalName;
use crate::secret::Secret;

/// Names of channels that are not webhooks.
const TAKEN: [&str; 2] = ["slack", "email"];

/// `[notify]`: who is told what happens.
#[derive(Debug, Clone)]
pub struct Notify {
    /// `link_base`: what the links in notices begin with, as people reach hallpass. Required.
    pub link_base: Url,
    /// `[notify.slack]`: a Slack workspace.
    pub slack: Option<Slack>,
    /// `[notify.email]`: e-mail.
    pub email: Option<Email>,
    /// `[notify.webhooks.NAME]`: receivers by HTTP.
    pub webhooks: Vec<Webhook>,
}

/// `[notify.slack]`: a Slack workspace.
#[derive(Debug, Clone)]
pub struct Slack {
    /// `channel`: the id of the channel where requests are shown, like `C0123ABCD`. Required.
    pub channel: String,
    /// `token`: `{ file = ".." }` or `{ env = ".." }`, the bot's (`xoxb-..`). Required.
    pub token: Secret,
    /// `signing_secret`: the same, what Slack signs with. Required.
    pub signing_secret: Secret,
    /// `api`: where Slack's methods are. Default `https://slack.com/api`.
    pub api: Url,
    /// `[notify.slack.users]`: who decides in Slack: principals by their Slack user ids. Default:
    /// nobody.
    pub users: Vec<(String, PrincipalName)>,
}

/// How the way to the mail server is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailTls {
    /// `"starttls"`: STARTTLS, and nothing without it.
    StartTls,
    /// `"implicit"`: TLS from the first byte.
    Implicit,
    /// `"off"`: none.
    Off,
}

/// `[notify.email]`: e-mail by SMTP.
#[derive(Debug, Clone)]
pub struct Email {
    /// `server`: a DNS name or an IP address. Required.
    pub server: String,
    /// `port`. Default 587, with `tls = "implicit"` 465, with `"off"` 25.
    pub port: u16,
    /// `tls`: `starttls` (default), `implicit` or `off`.
    pub tls: EmailTls,
    /// `ca`: certificates to trust, in PEM; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// `user` and `password` (`{ file = ".." }` or `{ env = ".." }`). Default: no login.
    pub login: Option<(String, Secret)>,
    /// `from`: who writes, like `hallpass <hallpass@example.com>`. Required.
    pub from: Mailbox,
    /// `recipients`: addresses that get all notices, whoever they are for. Default: none.
    pub recipients: Vec<String>,
}

/// `[notify.webhooks.NAME]`: a receiver by HTTP.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The name: lower-case letters, digits and `-`.
    pub name: String,
    /// `url`: `https://..` or `http://..`. Required.
    pub url: Url,
    /// `secrets`: each `{ file = ".." }` or `{ env = ".." }`, of the form `whsec_..`. All sign.
    /// Required.
    pub secrets: Vec<Secret>,
    /// `ca`: certificates to trust, in PEM; `None`: the system's.
    pub ca: Option<PathBuf>,
}

pub(super) fn notify(check: &mut Check<'_>, raw: &Field<Table<RawNotify>>) -> Option<Notify> {
    let raw = raw.as_ref()?;
    let mut section = Section::new(check, "notify", raw.span());
    let raw = raw.get_ref();
    let like = "\"https://hallpass.example.com\", as people reach hallpass";
    let link_base = section.required("link_base", &raw.link_base, like, web_url);
    let slack = slack(check, &raw.slack);
    let email = email(check, &raw.email);
    let webhooks = raw.webhooks.iter();
    let webhooks = webhooks
        .filter_map(|(name, raw)| {
            let key = format!("notify.webhooks.{}", name.get_ref());
            webhook(
                &mut Section::new(check, key, name.span()),
                name.get_ref(),
                raw,
            )
        })
        .collect();
    Some(Notify {
        link_base: link_base?,
        slack,
        email,
        webhooks,
    })
}

fn web_url(text: &str) -> Parsed<Url> {
    let wrong = || format!("`{text}` is not a web address: write https://hallpass.example.com");
    let url: Url = text.parse().map_err(|_| wrong())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a password in it".to_owned());
    }
    match url.scheme() {
        "https" | "http" if url.host_str().is_some_and(|host| !host.is_empty()) => Ok(url),
        _ => Err(wrong()),
    }
}

/// Warns of a way on which others can listen.
fn warn_if_plain(section: &mut Section<'_, '_>, key: &str, field: &Field<String>, url: &Url) {
    if url.scheme() == "http" && !is_local(url) {
        let at = section.at(key, field);
        let message = "has no TLS: what is sent there travels readable, and anybody may answer";
        section.check.warn(&at, message);
    }
}

fn slack(check: &mut Check<'_>, raw: &Field<Table<RawSlack>>) -> Option<Slack> {
    let raw = raw.as_ref()?;
    let mut section = Section::new(check, "notify.slack", raw.span());
    let raw = raw.get_ref();
    let like = "\"C0123ABCD\", the channel's id";
    let channel = section.required("channel", &raw.channel, like, slack_id);
    let token = secrets::required(&mut section, "token", &raw.token);
    let signing_secret = secrets::required(&mut section, "signing_secret", &raw.signing_secret);
    let api = section.optional("api", &raw.api, web_url);
    if let Some(api) = &api {
        warn_if_plain(&mut section, "api", &raw.api, api);
    }
    let api = api.or_else(|| "https://slack.com/api".parse().ok());
    let users = users(check, raw);
    Some(Slack {
        channel: channel?,
        token: token?,
        signing_secret: signing_secret?,
        api: api?,
        users,
    })
}

fn slack_id(text: &str) -> Parsed<String> {
    let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    match !text.is_empty() && text.len() <= 64 && text.chars().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{text}` is not an id of Slack's: they look like C0123ABCD"
        )),
    }
}

fn users(check: &mut Check<'_>, raw: &RawSlack) -> Vec<(String, PrincipalName)> {
    let mut users = Vec::new();
    for (id, name) in &raw.users {
        let key = format!("notify.slack.users.{}", id.get_ref());
        let section = Section::new(check, key, id.span());
        let user = slack_id(id.get_ref()).and_then(|id| Ok((id, person(name.get_ref())?)));
        match user {
            Ok(user) => users.push(user),
            Err(message) => {
                let at = section.own();
                section.check.error(&at, message);
            }
        }
    }
    users
}

/// It may have an account, of which nothing is known here.
fn person(name: &str) -> Parsed<PrincipalName> {
    if name.starts_with('@') {
        return Err(format!("`{name}` is a group: name one principal"));
    }
    name.parse().map_err(|error| format!("`{name}`: {error}"))
}

fn email(check: &mut Check<'_>, raw: &Field<Table<RawEmail>>) -> Option<Email> {
    const TLS: [(&str, (EmailTls, u16)); 3] = [
        ("starttls", (EmailTls::StartTls, 587)),
        ("implicit", (EmailTls::Implicit, 465)),
        ("off", (EmailTls::Off, 25)),
    ];
    let raw = raw.as_ref()?;
    let mut section = Section::new(check, "notify.email", raw.span());
    let raw = raw.get_ref();
    let server = section.required("server", &raw.server, "\"smtp.example.com\"", values::host);
    let tls = section.optional("tls", &raw.tls, values::choice(&TLS));
    let (tls, port) = tls.unwrap_or(TLS[0].1);
    let like = "\"hallpass <hallpass@example.com>\"";
    let from = section.required("from", &raw.from, like, mailbox);
    let login = login(&mut section, raw, tls);
    let recipients = section.list("recipients", &raw.recipients, values::email);
    let recipients = recipients.unwrap_or_default().into_iter();
    Some(Email {
        port: section
            .optional("port", &raw.port, values::port)
            .unwrap_or(port),
        ca: ca(&mut section, &raw.ca),
        server: server?,
        tls,
        login,
        from: from?,
        recipients: recipients.map(|(_, address)| address).collect(),
    })
}

fn mailbox(text: &str) -> Parsed<Mailbox> {
    text.parse()
        .map_err(|_| format!("`{text}` is not an address: write hallpass <hallpass@example.com>"))
}

fn login(section: &mut Section<'_, '_>, raw: &RawEmail, tls: EmailTls) -> Option<(String, Secret)> {
    let user = section.optional("user", &raw.user, values::text);
    let password = secrets::field(section, "password", &raw.password);
    if raw.user.is_some() != raw.password.is_some() {
        let at = section.own();
        section.check.error(&at, "user and password go together");
    }
    if raw.user.is_some() && tls == EmailTls::Off {
        let at = section.at("tls", &raw.tls);
        let message = "is off: the password would travel readable";
        section.check.error(&at, message);
    }
    user.zip(password)
}

fn ca(section: &mut Section<'_, '_>, raw: &Field<String>) -> Option<PathBuf> {
    let name = section.optional("ca", raw, values::text)?;
    let at = section.at("ca", raw);
    section.check.file(&at, &name)
}

fn webhook(section: &mut Section<'_, '_>, name: &str, raw: &RawWebhook) -> Option<Webhook> {
    if let Err(message) = webhook_name(name) {
        let at = section.own();
        section.check.error(&at, message);
    }
    let url = section.required("url", &raw.url, "\"https://example.com/hook\"", web_url);
    let secrets = webhook_secrets(section, raw);
    let ca = ca(section, &raw.ca);
    let url = url?;
    warn_if_plain(section, "url", &raw.url, &url);
    Some(Webhook {
        name: name.to_owned(),
        url,
        secrets: secrets?,
        ca,
    })
}

/// The name becomes a label, and stands beside the other channels'.
fn webhook_name(name: &str) -> Parsed<()> {
    name.parse::<crate::access::TargetName>()
        .map_err(|error| format!("bad name: {error}: lower-case letters, digits and -"))?;
    match TAKEN.contains(&name) {
        true => Err(format!("{name} is another channel: choose another name")),
        false => Ok(()),
    }
}

fn webhook_secrets(section: &mut Section<'_, '_>, raw: &RawWebhook) -> Option<Vec<Secret>> {
    let like = "[{ file = \"hook.secret\" }]";
    let some = |list: &Vec<Spanned<Table<RawSecret>>>| match list.is_empty() {
        true => Err(format!("is empty: write {like}")),
        false => Ok(()),
    };
    section.required("secrets", &raw.secrets, like, some)?;
    let mut found = Vec::new();
    for source in raw.secrets.as_ref()?.get_ref() {
        let mut at = section.at("secrets", &raw.secrets);
        at.span = source.span();
        let secret = secrets::find(section.check, &at, source.get_ref())?;
        if !is_webhook_secret(secret.expose()) {
            let message = "is not a webhook's secret: write whsec_ and the base64 of 24 to 64 random bytes, as `echo whsec_$(openssl rand -base64 32)` prints";
            section.check.error(&at, message);
            return None;
        }
        found.push(secret);
    }
    Some(found)
}

/// As the Standard Webhooks specification wants them.
fn is_webhook_secret(text: &str) -> bool {
    let key = text
        .strip_prefix("whsec_")
        .and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
    key.is_some_and(|key| (24..=64).contains(&key.len()))
}
