//! `[targets.NAME]`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::check::{At, Check, Section, unreadable};
use super::error::suggest;
use super::raw::{Field, List, Named, RawPrincipal, RawSecret, RawTarget, Table};
use super::values;
use super::{Parameters, TargetConfig, Upstream, UpstreamTls};
use crate::access::{Databases, Target, TargetName};
use crate::secret::Secret;

pub(super) fn targets(
    check: &mut Check<'_>,
    raw: &Named<RawTarget>,
    principals: &Named<RawPrincipal>,
) -> Vec<TargetConfig> {
    let people = People::new(principals);
    let mut targets = Vec::new();
    for (name, raw) in raw {
        let mut section = Section::new(check, format!("targets.{name}"), name.span());
        targets.extend(target_config(&mut section, name.get_ref(), raw, &people));
    }
    targets
}

fn target_config(
    section: &mut Section<'_, '_>,
    name: &str,
    raw: &RawTarget,
    people: &People,
) -> Option<TargetConfig> {
    let target = target(section, name, raw);
    let upstream = upstream(section, raw);
    let parameters = parameters(section, raw);
    let requesters = grantees(section, "requesters", &raw.requesters, people);
    let approvers = grantees(section, "approvers", &raw.approvers, people);
    let (requesters, approvers) = (requesters?, approvers?);
    for alone in people.without_an_approver(&requesters, &approvers) {
        let at = section.at("approvers", &raw.approvers);
        let message = format!(
            "nobody but {alone} could approve a request of {alone}'s, and nobody approves their own"
        );
        section.check.warn(&at, message);
    }
    Some(TargetConfig {
        target: target?,
        upstream: upstream?,
        parameters,
        requesters,
        approvers,
    })
}

fn target(section: &mut Section<'_, '_>, name: &str, raw: &RawTarget) -> Option<Target> {
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

fn upstream(section: &mut Section<'_, '_>, raw: &RawTarget) -> Option<Upstream> {
    const TLS: [(&str, UpstreamTls); 4] = [
        ("off", UpstreamTls::Off),
        ("require", UpstreamTls::Require),
        ("verify-ca", UpstreamTls::VerifyCa),
        ("verify-full", UpstreamTls::VerifyFull),
    ];
    let host = section.required("host", &raw.host, "\"db.example.com\"", values::host);
    let port = section.optional("port", &raw.port, values::port);
    let role = section.required("user", &raw.user, "\"orders_ro\"", values::identifier);
    let tls = section
        .optional("tls", &raw.tls, values::choice(&TLS))
        .unwrap_or(UpstreamTls::VerifyFull);
    let ca = ca(section, raw, tls);
    let client_certificate = client_certificate(section, raw, tls);
    let password = password(section, &raw.password);
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

fn client_certificate(
    section: &mut Section<'_, '_>,
    raw: &RawTarget,
    tls: UpstreamTls,
) -> Option<(PathBuf, PathBuf)> {
    if raw.client_certificate.is_none() && raw.client_key.is_none() {
        return None;
    }
    let like = "\"client.crt\": client_certificate and client_key go together";
    let certificate = section.required(
        "client_certificate",
        &raw.client_certificate,
        like,
        values::text,
    );
    let like = "\"client.key\": client_certificate and client_key go together";
    let key = section.required("client_key", &raw.client_key, like, values::text);
    let certificate_at = section.at("client_certificate", &raw.client_certificate);
    let key_at = section.at("client_key", &raw.client_key);
    if tls == UpstreamTls::Off {
        let message = "cannot be shown with tls = \"off\"";
        section.check.error(&certificate_at, message);
    }
    let certificate = section.check.file(&certificate_at, &certificate?);
    let key = section.check.private_file(&key_at, &key?);
    certificate.zip(key)
}

fn password(section: &mut Section<'_, '_>, raw: &Field<Table<RawSecret>>) -> Option<Secret> {
    let at = section.at("password", raw);
    let source = raw.as_ref()?.get_ref();
    match (&source.file, &source.env) {
        (Some(file), None) => {
            let at = At {
                key: format!("{}.file", at.key),
                span: file.span(),
            };
            from_file(section.check, &at, file.get_ref())
        }
        (None, Some(name)) => {
            let at = At {
                key: format!("{}.env", at.key),
                span: name.span(),
            };
            from_environment(section.check, &at, name.get_ref())
        }
        _ => {
            let message = "must be { file = \"..\" } or { env = \"..\" }, one of the two";
            section.check.error(&at, message);
            None
        }
    }
}

fn from_file(check: &mut Check<'_>, at: &At, name: &str) -> Option<Secret> {
    let path = check.private_file(at, name)?;
    match fs::read_to_string(&path) {
        Ok(text) => {
            let text = zeroize::Zeroizing::new(text);
            let line = text.strip_suffix('\n').unwrap_or(&text);
            let what = format!("{}", path.display());
            secret(check, at, &what, line.strip_suffix('\r').unwrap_or(line))
        }
        Err(error) => {
            check.error(at, unreadable(&path, &error));
            None
        }
    }
}

fn from_environment(check: &mut Check<'_>, at: &At, name: &str) -> Option<Secret> {
    match (check.environment)(name) {
        Some(value) => secret(check, at, name, &value),
        None => {
            check.error(at, format!("the environment variable {name} is not set"));
            None
        }
    }
}

fn secret(check: &mut Check<'_>, at: &At, what: &str, value: &str) -> Option<Secret> {
    if value.is_empty() {
        check.error(at, format!("{what}: is empty"));
        return None;
    }
    Some(Secret::new(value))
}

fn grantees(
    section: &mut Section<'_, '_>,
    key: &str,
    value: &Field<List>,
    people: &People,
) -> Option<Vec<String>> {
    let like = "[\"@group\", \"principal\"]";
    section.required(key, value, like, |_: &List| Ok(()))?;
    let names = section.list(key, value, |name| people.known(name))?;
    if value.as_ref().is_some_and(|list| list.get_ref().is_empty()) {
        let at = section.at(key, value);
        section
            .check
            .warn(&at, "is empty: nobody can open this target");
    }
    Some(names.into_iter().map(|(_, name)| name).collect())
}

/// Who there is, for lists to name.
struct People {
    /// Names, with the groups that each is in.
    members: Vec<(String, Vec<String>)>,
    groups: BTreeSet<String>,
}

impl People {
    fn new(raw: &Named<RawPrincipal>) -> Self {
        let groups_of = |raw: &RawPrincipal| -> Vec<String> {
            let groups = raw.groups.as_ref().map(|groups| groups.get_ref().iter());
            let groups = groups.into_iter().flatten();
            groups
                .map(|group| format!("@{}", group.get_ref()))
                .collect()
        };
        let members: Vec<_> = raw
            .iter()
            .map(|(name, raw)| (name.to_string(), groups_of(raw)))
            .collect();
        let groups = members.iter().flat_map(|(_, groups)| groups.clone());
        Self {
            groups: groups.collect(),
            members,
        }
    }

    /// A principal or a `@group` that is there.
    fn known(&self, name: &str) -> values::Parsed<String> {
        let names = || self.members.iter().map(|(name, _)| name);
        if self.groups.contains(name) || names().any(|known| known == name) {
            return Ok(name.to_owned());
        }
        let groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        if name.starts_with('@') {
            return Err(format!(
                "nobody is in the group `{name}`; {}",
                suggest(name, &groups)
            ));
        }
        let as_group = format!("@{name}");
        if self.groups.contains(&as_group) {
            return Err(format!("`{name}` is a group: write {as_group}"));
        }
        let names: Vec<&str> = names().map(String::as_str).collect();
        Err(format!(
            "unknown principal `{name}`; {}",
            suggest(name, &names)
        ))
    }

    /// Those who may ask, though nobody else may approve.
    fn without_an_approver<'a>(
        &'a self,
        requesters: &'a [String],
        approvers: &'a [String],
    ) -> impl Iterator<Item = &'a str> {
        let among = |list: &[String], (name, groups): &(String, Vec<String>)| {
            list.iter()
                .any(|item| item == name || groups.contains(item))
        };
        let mut deciders = self.members.iter().filter(move |m| among(approvers, m));
        let only = deciders.next().filter(|_| deciders.next().is_none());
        only.into_iter()
            .filter(move |member| among(requesters, member))
            .map(|(name, _)| name.as_str())
    }
}
