//! The file as it is written: every key optional, every value with its place, nothing checked yet.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use toml::Spanned;

/// A key that may be left out.
pub(super) type Field<T> = Option<Spanned<T>>;
/// A list whose items know their places.
pub(super) type List = Vec<Spanned<String>>;
/// Values by name that may be secrets.
pub(super) type Options = BTreeMap<Spanned<String>, Spanned<RawOption>>;
/// Tables by name, in the names' order.
pub(super) type Named<T> = BTreeMap<Spanned<String>, Table<T>>;

/// A table, and nothing but: serde alone would also take a list for a struct, item by field.
#[derive(Debug, Default)]
pub(super) struct Table<T>(T);

impl<T> Deref for Table<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor(PhantomData))
    }
}

struct TableVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TableVisitor<T> {
    type Value = Table<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Table<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Table)
    }
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) data_dir: Field<String>,
    pub(super) server_key_file: Field<String>,
    pub(super) proxy: Table<RawProxy>,
    pub(super) tls: Field<Table<RawTls>>,
    pub(super) api: Table<RawApi>,
    pub(super) ops: Table<RawOps>,
    pub(super) store: Table<RawStore>,
    pub(super) audit: Table<RawAudit>,
    pub(super) access: Table<RawAccess>,
    pub(super) identity: Table<RawIdentity>,
    pub(super) notify: Field<Table<RawNotify>>,
    pub(super) tickets: Field<Table<RawTickets>>,
    pub(super) policy: Table<RawPolicy>,
    pub(super) log: Table<RawLog>,
    pub(super) principals: Named<RawPrincipal>,
    pub(super) targets: Named<RawTarget>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawProxy {
    pub(super) listen: Field<List>,
    pub(super) public_host: Field<String>,
    pub(super) public_port: Field<i64>,
    pub(super) tls: Field<String>,
    pub(super) sni_suffix: Field<String>,
    pub(super) handshake_timeout: Field<String>,
    pub(super) unauthenticated_per_address: Field<i64>,
    pub(super) connect_timeout: Field<String>,
    pub(super) drain_grace: Field<String>,
    pub(super) workers: Field<i64>,
    pub(super) notices: Field<List>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTls {
    pub(super) certificate: Field<String>,
    pub(super) key: Field<String>,
    pub(super) ca: Field<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawApi {
    pub(super) listen: Field<String>,
    pub(super) tls: Field<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawOps {
    pub(super) listen: Field<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawStore {
    pub(super) path: Field<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAudit {
    pub(super) folder: Field<String>,
    pub(super) durability: Field<String>,
    pub(super) key_file: Field<String>,
    pub(super) segment_size: Field<String>,
    pub(super) segment_age: Field<String>,
    pub(super) checkpoint_records: Field<i64>,
    pub(super) checkpoint_interval: Field<String>,
    pub(super) timeout: Field<String>,
    pub(super) keep: Field<String>,
    pub(super) keep_size: Field<String>,
    pub(super) ship: Field<Table<RawShip>>,
    pub(super) feeds: Named<RawFeed>,
    pub(super) local_limit: Field<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawShip {
    pub(super) url: Field<String>,
    pub(super) options: Options,
    pub(super) object_lock: Field<String>,
    pub(super) retain: Field<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawFeed {
    pub(super) url: Field<String>,
    pub(super) required: Field<bool>,
    pub(super) ca: Field<String>,
    pub(super) client_certificate: Field<String>,
    pub(super) client_key: Field<String>,
    pub(super) token: Field<Table<RawSecret>>,
    pub(super) headers: Options,
    pub(super) gzip: Field<bool>,
    pub(super) facility: Field<String>,
}

/// A value that may be a secret: text, `true`, a number, or where a secret is.
#[derive(Debug)]
pub(super) enum RawOption {
    Text(String),
    Secret(RawSecret),
}

impl<'de> Deserialize<'de> for RawOption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OptionVisitor)
    }
}

struct OptionVisitor;

impl<'de> Visitor<'de> for OptionVisitor {
    type Value = RawOption;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawOption, E> {
        Ok(RawOption::Text(text.to_owned()))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<RawOption, E> {
        Ok(RawOption::Text(value.to_string()))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<RawOption, E> {
        Ok(RawOption::Text(value.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawOption, A::Error> {
        RawSecret::deserialize(MapAccessDeserializer::new(map)).map(RawOption::Secret)
    }
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAccess {
    pub(super) request_lapse: Field<String>,
    pub(super) on_policy_change: Field<String>,
    pub(super) time_zone: Field<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawPolicy {
    pub(super) folder: Field<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawIdentity {
    pub(super) login_lifetime: Field<String>,
    pub(super) oidc: Field<Table<RawOidc>>,
    pub(super) workloads: Named<RawWorkload>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawOidc {
    pub(super) issuer: Field<String>,
    pub(super) client_id: Field<String>,
    pub(super) client_secret: Field<Table<RawSecret>>,
    pub(super) scopes: Field<List>,
    pub(super) name_claim: Field<String>,
    pub(super) groups_claim: Field<String>,
    pub(super) mfa_acr: Field<List>,
    pub(super) mfa_amr: Field<List>,
    pub(super) ca: Field<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawWorkload {
    pub(super) issuer: Field<String>,
    pub(super) audience: Field<String>,
    pub(super) claims: BTreeMap<Spanned<String>, Spanned<String>>,
    pub(super) principal: Field<String>,
    pub(super) groups: Field<List>,
    pub(super) scope: Field<String>,
    pub(super) lifetime: Field<String>,
    pub(super) ca: Field<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawNotify {
    pub(super) link_base: Field<String>,
    pub(super) slack: Field<Table<RawSlack>>,
    pub(super) email: Field<Table<RawEmail>>,
    pub(super) webhooks: Named<RawWebhook>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSlack {
    pub(super) channel: Field<String>,
    pub(super) token: Field<Table<RawSecret>>,
    pub(super) signing_secret: Field<Table<RawSecret>>,
    pub(super) api: Field<String>,
    pub(super) users: BTreeMap<Spanned<String>, Spanned<String>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawEmail {
    pub(super) server: Field<String>,
    pub(super) port: Field<i64>,
    pub(super) tls: Field<String>,
    pub(super) ca: Field<String>,
    pub(super) user: Field<String>,
    pub(super) password: Field<Table<RawSecret>>,
    pub(super) from: Field<String>,
    pub(super) recipients: Field<List>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawWebhook {
    pub(super) url: Field<String>,
    pub(super) secrets: Field<Vec<Spanned<Table<RawSecret>>>>,
    pub(super) ca: Field<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTickets {
    pub(super) url: Field<String>,
    pub(super) headers: Options,
    pub(super) timeout: Field<String>,
    pub(super) ca: Field<String>,
    pub(super) expect: Vec<Spanned<Table<RawExpectation>>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawExpectation {
    pub(super) pointer: Field<String>,
    pub(super) one_of: Field<List>,
    pub(super) equals: Field<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) format: Field<String>,
    pub(super) filter: Field<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawPrincipal {
    pub(super) groups: Field<List>,
    pub(super) email: Field<String>,
    pub(super) token_sha256: Field<String>,
    pub(super) mfa: Field<bool>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTarget {
    pub(super) description: Field<String>,
    pub(super) host: Field<String>,
    pub(super) port: Field<i64>,
    pub(super) user: Field<String>,
    pub(super) password: Field<Table<RawSecret>>,
    pub(super) tls: Field<String>,
    pub(super) ca: Field<String>,
    pub(super) client_certificate: Field<String>,
    pub(super) client_key: Field<String>,
    pub(super) databases: Field<List>,
    pub(super) default_database: Field<String>,
    pub(super) max_duration: Field<String>,
    pub(super) max_connections: Field<i64>,
    pub(super) idle_timeout: Field<String>,
    pub(super) replication: Field<bool>,
    pub(super) parameters: Field<String>,
    pub(super) owners: Field<List>,
    pub(super) environment: Field<String>,
    pub(super) read_only: Field<bool>,
    pub(super) labels: Field<List>,
    pub(super) max_extension: Field<String>,
    pub(super) reason_pattern: Field<String>,
    pub(super) reason_hint: Field<String>,
    pub(super) check_ticket: Field<bool>,
    pub(super) stages: Vec<Spanned<Table<RawStage>>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawStage {
    pub(super) approvers: Field<List>,
    pub(super) count: Field<i64>,
    pub(super) escalate_after: Field<String>,
    pub(super) escalate_to: Field<List>,
}

/// Where a secret is; never the secret itself.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSecret {
    pub(super) file: Field<String>,
    pub(super) env: Field<String>,
}
