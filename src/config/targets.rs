//! `[targets.NAME]`.

use std::path::PathBuf;
use std::time::Duration;

use super::check::{Check, Section};
use super::error::suggest;
use super::people::People;
use super::raw::{Field, List, RawConfig, RawTarget};
use super::{Parameters, TargetConfig, Upstream, UpstreamTls};
use super::{secrets, stages, values};
use crate::access::{Databases, Target, TargetName};

pub(super) fn targets(
    check: &mut Check<'_>,
    config: &RawConfig,
    people: &People,
) -> Vec<TargetConfig> {
    let mut targets = Vec::new();
    for (name, raw) in &config.targets {
        let mut section = Section::new(check, format!("targets.{name}"), name.span());
        let checked = raw.check_ticket.as_ref().is_some_and(|it| *it.get_ref());
        if checked && config.tickets.is_none() {
            let at = section.at("check_ticket", &raw.check_ticket);
            let message = "needs [tickets]: where tickets are looked up";
            section.check.error(&at, message);
        }
        targets.extend(target_config(&mut section, name.get_ref(), raw, people));
    }
    targets
}

fn target_config(
    section: &mut Section<'_, '_>,
    name: &str,
    raw: &RawTarget,
    people: &People,
) -> Option<TargetConfig> {
    let target = target(section, name, raw, people);
    let upstream = upstream(section, raw);
    let parameters = parameters(section, raw);
    Some(TargetConfig {
        target: target?,
        upstream: upstream?,
        parameters,
    })
}

fn target(
    section: &mut Section<'_, '_>,
    name: &str,
    raw: &RawTarget,
    people: &People,
) -> Option<Target> {
    let name = target_name(section, name);
    let databases = databases(section, raw);
    let default_database = section.optional(
        "default_database",
        &raw.default_database,
        values::identifier,
    );
    let default_database = databases
        .as_ref()
        .and_then(|databases| choose_default(section, raw, databases, default_database));
    let max_duration =
        section.optional("max_duration", &raw.max_duration, values::positive_duration);
    let max_connections = section.optional("max_connections", &raw.max_connections, values::count);
    let idle_timeout =
        section.optional("idle_timeout", &raw.idle_timeout, values::positive_duration);
    let owners = owners(section, raw, people);
    let terms = stages::terms(section, raw, &owners, people);
    let environment = section.optional("environment", &raw.environment, values::word);
    let labels = section.list("labels", &raw.labels, values::word);
    Some(Target {
        name: name?,
        description: raw
            .description
            .as_ref()
            .map_or_else(String::new, |text| text.get_ref().clone()),
        databases: databases?,
        default_database: default_database?,
        max_duration: max_duration.unwrap_or(Duration::from_secs(8 * 3600)),
        max_connections: max_connections.unwrap_or(100),
        idle_timeout,
        replication: raw.replication.as_ref().is_some_and(|r| *r.get_ref()),
        owners,
        environment: environment.unwrap_or_else(|| "production".to_owned()),
        read_only: raw.read_only.as_ref().is_some_and(|r| *r.get_ref()),
        labels: labels.into_iter().flatten().map(|(_, it)| it).collect(),
        terms,
    })
}

fn target_name(section: &mut Section<'_, '_>, name: &str) -> Option<TargetName> {
    name.parse()
        .map_err(|error| {
            let at = section.own();
            let message = format!("bad name: {error}: lower-case letters, digits and -");
            section.check.error(&at, message);
        })
        .ok()
}

fn databases(section: &mut Section<'_, '_>, raw: &RawTarget) -> Option<Databases> {
    let like = "[\"orders\"], or [\"*\"] for all of the server's";
    section.required("databases", &raw.databases, like, |_: &List| Ok(()))?;
    let names = section.list("databases", &raw.databases, values::identifier)?;
    let names: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
    let at = section.at("databases", &raw.databases);
    if !names.iter().any(|name| name == "*") {
        if raw.databases.as_ref()?.get_ref().is_empty() {
            section.check.error(&at, format!("is empty: write {like}"));
        }
        return Some(Databases::Only(names));
    }
    if names.len() > 1 {
        let message = "`*` means all: write [\"*\"] alone, or the names without it";
        section.check.error(&at, message);
    }
    Some(Databases::All)
}

fn choose_default(
    section: &mut Section<'_, '_>,
    raw: &RawTarget,
    databases: &Databases,
    chosen: Option<String>,
) -> Option<String> {
    let at = section.at("default_database", &raw.default_database);
    match (databases, chosen) {
        (Databases::Only(names), Some(chosen)) if !databases.allow(&chosen) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let message = format!(
                "`{chosen}` is not among databases; {}",
                suggest(&chosen, &names)
            );
            section.check.error(&at, message);
            None
        }
        (_, Some(chosen)) => Some(chosen),
        (Databases::Only(names), None) => names.first().cloned(),
        (Databases::All, None) => {
            if raw.default_database.is_none() {
                let message = "is missing: with databases = [\"*\"], name the one that a client gets who names none";
                section.check.error(&at, message);
            }
            None
        }
    }
}

fn parameters(section: &mut Section<'_, '_>, raw: &RawTarget) -> Parameters {
    const WORDS: [(&str, Parameters); 3] = [
        ("full", Parameters::Full),
        ("hash", Parameters::Hash),
        ("omit", Parameters::Omit),
    ];
    section
        .optional("parameters", &raw.parameters, values::choice(&WORDS))
        .unwrap_or(Parameters::Full)
}

/// How the upstream is reached by TLS. libpq has another word for `off`.
fn tls(text: &str) -> Result<UpstreamTls, String> {
    const WORDS: [(&str, UpstreamTls); 4] = [
        ("off", UpstreamTls::Off),
        ("require", UpstreamTls::Require),
        ("verify-ca", UpstreamTls::VerifyCa),
        ("verify-full", UpstreamTls::VerifyFull),
    ];
    match text {
        "disable" => Err("`disable` is unknown; did you mean `off`?".to_owned()),
        text => values::choice(&WORDS)(text),
    }
}

fn upstream(section: &mut Section<'_, '_>, raw: &RawTarget) -> Option<Upstream> {
    let host = section.required("host", &raw.host, "\"db.example.com\"", values::host);
    let port = section.optional("port", &raw.port, values::port);
    let role = section.required("user", &raw.user, "\"orders_ro\"", values::identifier);
    let tls = section
        .optional("tls", &raw.tls, tls)
        .unwrap_or(UpstreamTls::VerifyFull);
    let ca = ca(section, raw, tls);
    let client_certificate = client_certificate(
        section,
        &raw.client_certificate,
        &raw.client_key,
        (tls == UpstreamTls::Off).then_some("tls = \"off\""),
    );
    let password = secrets::field(section, "password", &raw.password);
    Some(Upstream {
        host: host?,
        port: port.unwrap_or(5432),
        role: role?,
        password,
        tls,
        ca,
        client_certificate,
    })
}

fn ca(section: &mut Section<'_, '_>, raw: &RawTarget, tls: UpstreamTls) -> Option<PathBuf> {
    let name = section.optional("ca", &raw.ca, values::text)?;
    let at = section.at("ca", &raw.ca);
    if matches!(tls, UpstreamTls::Off | UpstreamTls::Require) {
        let message = "would not be looked at: it needs tls = \"verify-full\" or \"verify-ca\"";
        section.check.error(&at, message);
    }
    section.check.file(&at, &name)
}

/// The certificate and the key that we show; `without` says why none can be shown, if so.
pub(super) fn client_certificate(
    section: &mut Section<'_, '_>,
    certificate: &Field<String>,
    key: &Field<String>,
    without: Option<&str>,
) -> Option<(PathBuf, PathBuf)> {
    if certificate.is_none() && key.is_none() {
        return None;
    }
    let certificate_at = section.at("client_certificate", certificate);
    let key_at = section.at("client_key", key);
    let like = "\"client.crt\": client_certificate and client_key go together";
    let certificate = section.required("client_certificate", certificate, like, values::text);
    let like = "\"client.key\": client_certificate and client_key go together";
    let key = section.required("client_key", key, like, values::text);
    if let Some(why) = without {
        let message = format!("cannot be shown with {why}");
        section.check.error(&certificate_at, message);
    }
    let certificate = section.check.file(&certificate_at, &certificate?);
    let key = section.check.private_file(&key_at, &key?);
    certificate.zip(key)
}

/// People and groups may come from elsewhere, so a name that is not here is only a doubt.
fn owners(section: &mut Section<'_, '_>, raw: &RawTarget, people: &People) -> Vec<String> {
    let owners = section.list("owners", &raw.owners, |name| people.nameable(name));
    let owners = owners.unwrap_or_default();
    for (at, name) in &owners {
        if let Some(doubt) = people.doubt(name) {
            section.check.warn(at, doubt);
        }
    }
    owners.into_iter().map(|(_, name)| name).collect()
}
