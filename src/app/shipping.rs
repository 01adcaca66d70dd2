//! Where the audit goes, as `audit::ship` takes it.

use anyhow::Context;

use crate::audit::ship::{
    BucketSettings, FeedSettings, HttpSettings, LockMode, ObjectLock, Protocol, Settings,
    SyslogSettings,
};
use crate::config::{self, Config, Feed, Receiver, Ship};
use crate::tls::{UpstreamTls, Verification};

/// Everything that is to be shipped.
pub(super) fn settings(config: &Config) -> anyhow::Result<Settings> {
    let audit = &config.audit;
    Ok(Settings {
        folder: audit.folder.clone(),
        marks: config.data_dir.join("ship"),
        bucket: audit.ship.as_ref().map(bucket),
        feeds: audit.feeds.iter().map(feed).collect::<Result<_, _>>()?,
        local_limit: audit.local_limit,
    })
}

fn bucket(ship: &Ship) -> BucketSettings {
    BucketSettings {
        url: ship.url.clone(),
        options: ship.options.clone(),
        lock: ship.lock.map(|(mode, retain)| ObjectLock {
            mode: match mode {
                config::LockMode::Governance => LockMode::Governance,
                config::LockMode::Compliance => LockMode::Compliance,
            },
            retain,
        }),
    }
}

fn feed(feed: &Feed) -> anyhow::Result<FeedSettings> {
    let tls = || {
        let ca = feed.ca.as_deref();
        let client = feed.client_certificate.as_ref();
        let tls = UpstreamTls::load(Verification::Full, ca, client);
        tls.map(|tls| tls.config)
            .with_context(|| format!("audit.feeds.{}", feed.name))
    };
    let protocol = match &feed.receiver {
        Receiver::Http {
            token,
            headers,
            gzip,
        } => Protocol::Http(HttpSettings {
            url: feed.url.clone(),
            token: token.clone(),
            headers: headers.clone(),
            gzip: *gzip,
            tls: tls()?,
        }),
        Receiver::Syslog {
            host,
            port,
            tls: encrypted,
            facility,
        } => Protocol::Syslog(SyslogSettings {
            host: host.clone(),
            port: *port,
            tls: encrypted.then(tls).transpose()?,
            facility: *facility,
        }),
    };
    Ok(FeedSettings {
        name: feed.name.clone(),
        url: feed.url.to_string(),
        required: feed.required,
        protocol,
    })
}
