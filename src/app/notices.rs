//! Who is told, and how, as `control` and `notify` take it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use crate::clock::Clock;
use crate::config::{self, Config, EmailTls, Notify};
use crate::control::Telling;
use crate::notify::{
    Channel, Email, EmailSettings, Encryption, Slack, SlackSettings, Webhook, WebhookSettings,
};
use crate::tls::{UpstreamTls, Verification};

/// The channels that are configured.
pub(super) fn telling(config: &Config, clock: &Clock) -> anyhow::Result<Telling> {
    let Some(notify) = &config.notify else {
        return Ok(Telling::default());
    };
    let mut channels: Vec<Arc<dyn Channel>> = Vec::new();
    let slack = notify.slack.as_ref().map(slack).transpose()?.map(Arc::new);
    if let Some(slack) = &slack {
        channels.push(Arc::clone(slack) as Arc<dyn Channel>);
    }
    if let Some(settings) = &notify.email {
        channels.push(Arc::new(email(notify, settings)?));
    }
    for settings in &notify.webhooks {
        channels.push(Arc::new(webhook(settings, clock)?));
    }
    let recipients = notify.email.as_ref().map(|it| it.recipients.clone());
    let users = notify.slack.as_ref();
    let users = users.map(|it| it.users.iter().cloned().collect());
    Ok(Telling {
        channels,
        slack,
        recipients: recipients.unwrap_or_default(),
        slack_users: users.unwrap_or_default(),
        link_base: notify.link_base.as_str().trim_end_matches('/').to_owned(),
    })
}

fn tls(ca: Option<&Path>) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    Ok(UpstreamTls::load(Verification::Full, ca, None)?.config)
}

fn slack(slack: &config::Slack) -> anyhow::Result<Slack> {
    let settings = SlackSettings {
        api: slack.api.clone(),
        token: slack.token.clone(),
        signing_secret: slack.signing_secret.clone(),
        channel: slack.channel.clone(),
        tls: tls(None)?,
    };
    Slack::new(settings).context("notify.slack")
}

fn email(notify: &Notify, email: &config::Email) -> anyhow::Result<Email> {
    let ca = email.ca.as_ref();
    let ca = ca
        .map(|path| {
            std::fs::read(path).with_context(|| format!("notify.email.ca {}", path.display()))
        })
        .transpose()?;
    let settings = EmailSettings {
        host: email.server.clone(),
        port: email.port,
        encryption: match email.tls {
            EmailTls::StartTls => Encryption::StartTls,
            EmailTls::Implicit => Encryption::Implicit,
            EmailTls::Off => Encryption::Off,
        },
        ca,
        login: email.login.clone(),
        from: email.from.clone(),
        hello: notify
            .link_base
            .host_str()
            .unwrap_or("localhost")
            .to_owned(),
    };
    Email::new(settings).context("notify.email")
}

fn webhook(webhook: &config::Webhook, clock: &Clock) -> anyhow::Result<Webhook> {
    let name = &webhook.name;
    let context = || format!("notify.webhooks.{name}");
    let secrets = webhook.secrets.iter();
    let settings = WebhookSettings {
        name: name.clone(),
        url: webhook.url.clone(),
        secrets: secrets
            .map(|secret| secret.expose().parse())
            .collect::<Result<_, _>>()
            .with_context(context)?,
        tls: tls(webhook.ca.as_deref()).with_context(context)?,
    };
    Webhook::new(settings, clock.clone()).with_context(context)
}
