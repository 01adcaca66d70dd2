//! `[audit.ship]`: where sealed segments go.

use std::time::Duration;

use object_store::ObjectStoreScheme;
use object_store::aws::AmazonS3ConfigKey;
use object_store::azure::AzureConfigKey;
use object_store::gcp::GoogleConfigKey;
use reqwest::Url;
use toml::Spanned;

use super::check::{At, Section};
use super::raw::{Field, Options, RawOption, RawShip, Table};
use super::values::{self, Parsed};
use super::{Check, secrets};
use crate::secret::Secret;

/// `[audit.ship]`: where sealed segments go.
#[derive(Debug, Clone)]
pub struct Ship {
    /// `url`: `s3://bucket/prefix`, `gs://..`, `az://container/prefix` or `file:///folder`.
    /// Required.
    pub url: String,
    /// `[audit.ship.options]`: the store's own, by object_store's names (`region`, `endpoint`,
    /// `access_key_id`); a value may be `{ file = ".." }` or `{ env = ".." }`. What is not here
    /// comes from the environment, by the names that the cloud's own tools know. Default: none.
    pub options: Vec<(String, Secret)>,
    /// `object_lock` and `retain`: how firmly, and how long from the upload on, S3 keeps a segment
    /// from being deleted or replaced. Default: as the bucket says.
    pub lock: Option<(LockMode, Duration)>,
}

/// `object_lock`: S3's modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// `"governance"`: who has a special permission may still delete.
    Governance,
    /// `"compliance"`: nobody may.
    Compliance,
}

const MODES: [(&str, LockMode); 2] = [
    ("governance", LockMode::Governance),
    ("compliance", LockMode::Compliance),
];

pub(super) fn ship(check: &mut Check<'_>, raw: &Field<Table<RawShip>>) -> Option<Ship> {
    let raw = raw.as_ref()?;
    let mut section = Section::new(check, "audit.ship", raw.span());
    let raw = raw.get_ref();
    let url = section.required("url", &raw.url, "\"s3://bucket/prefix\"", bucket);
    let options = options(&mut section, "options", &raw.options);
    let lock = lock(&mut section, raw);
    let (url, scheme) = url?;
    known_options(&mut section, &raw.options, &scheme);
    if lock.is_some() && scheme != ObjectStoreScheme::AmazonS3 {
        let at = section.at("object_lock", &raw.object_lock);
        let message = "is S3's: with another store, set retention on the bucket itself";
        section.check.error(&at, message);
    }
    Some(Ship { url, options, lock })
}

fn bucket(text: &str) -> Parsed<(String, ObjectStoreScheme)> {
    let wrong = || {
        format!(
            "`{text}` is not a bucket: write s3://bucket/prefix, gs://.., az://.. or file:///folder"
        )
    };
    let url: Url = text.parse().map_err(|_| wrong())?;
    match ObjectStoreScheme::parse(&url) {
        Ok((
            scheme @ (ObjectStoreScheme::AmazonS3
            | ObjectStoreScheme::GoogleCloudStorage
            | ObjectStoreScheme::MicrosoftAzure
            | ObjectStoreScheme::Local),
            _,
        )) => Ok((text.to_owned(), scheme)),
        _ => Err(wrong()),
    }
}

fn lock(section: &mut Section<'_, '_>, raw: &RawShip) -> Option<(LockMode, Duration)> {
    if raw.object_lock.is_none() && raw.retain.is_none() {
        return None;
    }
    let like = "\"governance\" or \"compliance\": object_lock and retain go together";
    let mode = section.required(
        "object_lock",
        &raw.object_lock,
        like,
        values::choice(&MODES),
    );
    let like = "\"365d\": object_lock and retain go together";
    let retain = section.required("retain", &raw.retain, like, retention);
    mode.zip(retain)
}

/// Longer than any other duration here may be: laws think in years.
fn retention(text: &str) -> Parsed<Duration> {
    match humantime::parse_duration(text.trim()) {
        Ok(duration) if duration < Duration::from_secs(24 * 3600) => {
            Err(format!("`{text}` is too short: at least 1d"))
        }
        Ok(duration) if duration > Duration::from_secs(100 * 366 * 24 * 3600) => {
            Err(format!("`{text}` is too long: at most 100 years"))
        }
        Ok(duration) => Ok(duration),
        Err(_) => Err(format!("`{text}` is not a duration: write 365d or 7y")),
    }
}

/// Values by name, each plain or a secret.
pub(super) fn options(
    section: &mut Section<'_, '_>,
    key: &str,
    raw: &Options,
) -> Vec<(String, Secret)> {
    let mut options = Vec::new();
    for (name, value) in raw {
        let at = option_at(section, key, name);
        let secret = match value.get_ref() {
            RawOption::Text(text) => {
                if sounds_secret(name.get_ref()) {
                    let message =
                        "is a secret in plain sight: write { file = \"..\" } or { env = \"..\" }";
                    section.check.warn(&at, message);
                }
                Some(Secret::new(text))
            }
            RawOption::Secret(source) => secrets::find(section.check, &at, source),
        };
        options.extend(secret.map(|secret| (name.get_ref().clone(), secret)));
    }
    options
}

/// Whether an option of this name probably holds a secret.
fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let sounds = |word| name.contains(word);
    ["secret", "password", "token", "authorization", "api-key"]
        .into_iter()
        .any(sounds)
        || name.ends_with("account_key")
}

/// The place of an option.
pub(super) fn option_at(section: &Section<'_, '_>, key: &str, name: &Spanned<String>) -> At {
    At {
        key: format!("{}.{key}.{}", section.own().key, name.get_ref()),
        span: name.span(),
    }
}

/// Refuses options that the store does not know: it would not say so.
fn known_options(section: &mut Section<'_, '_>, raw: &Options, scheme: &ObjectStoreScheme) {
    for name in raw.keys() {
        let known = match scheme {
            ObjectStoreScheme::AmazonS3 => name.get_ref().parse::<AmazonS3ConfigKey>().is_ok(),
            ObjectStoreScheme::GoogleCloudStorage => {
                name.get_ref().parse::<GoogleConfigKey>().is_ok()
            }
            ObjectStoreScheme::MicrosoftAzure => name.get_ref().parse::<AzureConfigKey>().is_ok(),
            _ => false,
        };
        if !known {
            let at = option_at(section, "options", name);
            let message = "this store has no such option: docs.rs/object_store lists them, like region, endpoint, access_key_id";
            section.check.error(&at, message);
        }
    }
}
