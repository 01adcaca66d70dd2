//! The sections about the server itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::check::{Check, Section};
use super::raw::{
    Field, RawAccess, RawApi, RawConfig, RawLog, RawOps, RawProxy, RawStore, RawTls, Table,
};
use super::values::{self, Parsed};
use super::{
    Access, Api, ListenerTls, Log, LogFormat, OnPolicyChange, Ops, Proxy, Store, TlsFiles,
};

const DATA_DIR: &str = "/var/lib/hallpass";
const TLS: [(&str, ListenerTls); 2] = [
    ("required", ListenerTls::Required),
    ("off", ListenerTls::Off),
];

pub(super) fn data_dir(check: &mut Check<'_>, raw: &RawConfig) -> PathBuf {
    let dir = Section::new(check, "", 0..0).optional("data_dir", &raw.data_dir, values::text);
    check.resolve(dir.as_deref().unwrap_or(DATA_DIR))
}

pub(super) fn server_key_file(check: &mut Check<'_>, raw: &RawConfig, data_dir: &Path) -> PathBuf {
    let mut section = Section::new(check, "", 0..0);
    let file = section.optional("server_key_file", &raw.server_key_file, values::text);
    data_dir.join(file.as_deref().unwrap_or("server.key.bin"))
}

pub(super) fn proxy(check: &mut Check<'_>, raw: &RawProxy) -> Proxy {
    let mut section = Section::new(check, "proxy", 0..0);
    let seconds = Duration::from_secs;
    let proxy = Proxy {
        listen: proxy_listen(&mut section, raw),
        public_host: section
            .optional("public_host", &raw.public_host, values::host)
            .unwrap_or_else(|| "localhost".to_owned()),
        public_port: section.optional("public_port", &raw.public_port, values::port),
        tls: section
            .optional("tls", &raw.tls, values::choice(&TLS))
            .unwrap_or(ListenerTls::Required),
        sni_suffix: section.optional("sni_suffix", &raw.sni_suffix, domain),
        handshake_timeout: section
            .optional(
                "handshake_timeout",
                &raw.handshake_timeout,
                values::positive_duration,
            )
            .unwrap_or(seconds(10)),
        unauthenticated_per_address: section
            .optional(
                "unauthenticated_per_address",
                &raw.unauthenticated_per_address,
                values::count,
            )
            .unwrap_or(64),
        connect_timeout: section
            .optional(
                "connect_timeout",
                &raw.connect_timeout,
                values::positive_duration,
            )
            .unwrap_or(seconds(10)),
        drain_grace: section
            .optional("drain_grace", &raw.drain_grace, values::duration)
            .unwrap_or(seconds(30)),
        workers: section
            .optional("workers", &raw.workers, workers)
            .unwrap_or(1),
        notices: notices(&mut section, raw),
    };
    if proxy.tls == ListenerTls::Off && !proxy.listen.iter().all(|a| a.ip().is_loopback()) {
        let at = section.at("tls", &raw.tls);
        let message =
            "is off on an address that others can reach: statements and results travel readable";
        section.check.warn(&at, message);
    }
    if let (Some(suffix), ListenerTls::Off) = (&raw.sni_suffix, proxy.tls) {
        let at = section.at("sni_suffix", &Some(suffix.clone()));
        let message = "needs TLS, which is off: without it there is no server name";
        section.check.error(&at, message);
    }
    proxy
}

/// More than any machine has cores would take memory and serve nobody.
fn workers(number: &i64) -> Parsed<u32> {
    u32::try_from(*number)
        .ok()
        .filter(|workers| (1..=1024).contains(workers))
        .ok_or_else(|| format!("{number} is not allowed: 1 to 1024"))
}

fn proxy_listen(section: &mut Section<'_, '_>, raw: &RawProxy) -> Vec<SocketAddr> {
    let Some(listen) = section.list("listen", &raw.listen, values::address) else {
        return vec![SocketAddr::from(([127, 0, 0, 1], 6432))];
    };
    if raw.listen.as_ref().is_some_and(|l| l.get_ref().is_empty()) {
        let at = section.at("listen", &raw.listen);
        let message = "is empty: write at least one address, like [\"127.0.0.1:6432\"]";
        section.check.error(&at, message);
    }
    let mut addresses = Vec::new();
    for (at, address) in listen {
        if address.port() != 0 && addresses.contains(&address) {
            section
                .check
                .error(&at, format!("{address} is there twice"));
        }
        addresses.push(address);
    }
    addresses
}

fn notices(section: &mut Section<'_, '_>, raw: &RawProxy) -> Vec<Duration> {
    let Some(notices) = section.list("notices", &raw.notices, values::positive_duration) else {
        return vec![Duration::from_secs(300), Duration::from_secs(60)];
    };
    let mut notices: Vec<Duration> = notices.into_iter().map(|(_, notice)| notice).collect();
    notices.sort_unstable_by(|a, b| b.cmp(a));
    notices.dedup();
    notices
}

/// A DNS name below which targets are labels.
fn domain(text: &str) -> Parsed<String> {
    let bare = text.trim_start_matches("*.").trim_start_matches('.');
    if bare != text {
        return Err(format!("`{text}` begins with a dot: write {bare}"));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    if text.len() > 253 || !text.split('.').all(label) {
        return Err(format!("`{text}` is not a DNS name: write db.example.com"));
    }
    Ok(text.to_ascii_lowercase())
}

pub(super) fn tls(check: &mut Check<'_>, raw: &Field<Table<RawTls>>) -> Option<TlsFiles> {
    let raw = raw.as_ref()?;
    let mut section = Section::new(check, "tls", raw.span());
    let raw = raw.get_ref();
    if raw.certificate.is_none() && raw.key.is_none() && raw.ca.is_none() {
        return None;
    }
    let like = "\"server.crt\", the chain in PEM: certificate and key go together";
    let certificate = section.required("certificate", &raw.certificate, like, values::text);
    let like = "\"server.key\", in PEM: certificate and key go together";
    let key = section.required("key", &raw.key, like, values::text);
    let certificate_at = section.at("certificate", &raw.certificate);
    let key_at = section.at("key", &raw.key);
    let ca = section.optional("ca", &raw.ca, values::text);
    let ca = ca.map(|name| (section.at("ca", &raw.ca), name));
    let certificate = check.file(&certificate_at, &certificate?);
    let key = check.private_file(&key_at, &key?);
    let ca = match ca {
        Some((at, name)) => Some(check.file(&at, &name)?),
        None => None,
    };
    Some(TlsFiles {
        certificate: certificate?,
        key: key?,
        ca,
    })
}

pub(super) fn api(check: &mut Check<'_>, raw: &RawApi) -> Api {
    let mut section = Section::new(check, "api", 0..0);
    let listen = section
        .optional("listen", &raw.listen, values::address)
        .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8432)));
    let default = match listen.ip().is_loopback() {
        true => ListenerTls::Off,
        false => ListenerTls::Required,
    };
    let tls = section
        .optional("tls", &raw.tls, values::choice(&TLS))
        .unwrap_or(default);
    if tls == ListenerTls::Off && !listen.ip().is_loopback() {
        let at = section.at("tls", &raw.tls);
        let message =
            "is off on an address that others can reach: tokens and secrets travel readable";
        section.check.warn(&at, message);
    }
    Api { listen, tls }
}

pub(super) fn ops(check: &mut Check<'_>, raw: &RawOps) -> Ops {
    let listen = Section::new(check, "ops", 0..0)
        .optional("listen", &raw.listen, values::address)
        .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 9432)));
    Ops { listen }
}

/// Refuses one address for two purposes; the system would only say that it is in use.
pub(super) fn distinct(check: &mut Check<'_>, raw: &RawConfig, config: (&Proxy, &Api, &Ops)) {
    let (proxy, api, ops) = config;
    let mut taken: Vec<(SocketAddr, &str)> = proxy.listen.iter().map(|a| (*a, "proxy")).collect();
    for (section, field, address) in [
        ("api", &raw.api.listen, api.listen),
        ("ops", &raw.ops.listen, ops.listen),
    ] {
        if let Some((_, by)) = taken.iter().find(|(a, _)| *a == address && a.port() != 0) {
            let at = Section::new(check, section, 0..0).at("listen", field);
            let message = format!("{address} is taken by {by}.listen: choose another port");
            check.error(&at, message);
        }
        taken.push((address, section));
    }
}

pub(super) fn store(check: &mut Check<'_>, raw: &RawStore, data_dir: &Path) -> Store {
    let path = Section::new(check, "store", 0..0).optional("path", &raw.path, values::text);
    Store {
        path: data_dir.join(path.as_deref().unwrap_or("hallpass.db")),
    }
}

pub(super) fn access(check: &mut Check<'_>, raw: &RawAccess) -> Access {
    const CHANGES: [(&str, OnPolicyChange); 2] = [
        ("keep", OnPolicyChange::Keep),
        ("revoke", OnPolicyChange::Revoke),
    ];
    let mut section = Section::new(check, "access", 0..0);
    Access {
        request_lapse: section
            .optional(
                "request_lapse",
                &raw.request_lapse,
                values::positive_duration,
            )
            .unwrap_or(Duration::from_secs(3600)),
        on_policy_change: section
            .optional(
                "on_policy_change",
                &raw.on_policy_change,
                values::choice(&CHANGES),
            )
            .unwrap_or(OnPolicyChange::Keep),
        time_zone: section
            .optional("time_zone", &raw.time_zone, time_zone)
            .unwrap_or(TimeZone::UTC),
    }
}

fn time_zone(name: &str) -> Parsed<TimeZone> {
    match name {
        "UTC" => Ok(TimeZone::UTC),
        name => TimeZone::get(name).map_err(|_| {
            format!(
                "`{name}` is not a time zone that this machine knows: write Europe/Berlin or UTC \
                 (the names come from the package tzdata)"
            )
        }),
    }
}

pub(super) fn log(check: &mut Check<'_>, raw: &RawLog) -> Log {
    const FORMATS: [(&str, LogFormat); 2] =
        [("human", LogFormat::Human), ("json", LogFormat::Json)];
    let mut section = Section::new(check, "log", 0..0);
    let filter = |text: &str| match text.parse::<tracing_subscriber::EnvFilter>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!(
            "`{text}` is not a filter: write info, debug or hallpass=debug,info"
        )),
    };
    Log {
        format: section
            .optional("format", &raw.format, values::choice(&FORMATS))
            .unwrap_or(LogFormat::Human),
        filter: section
            .optional("filter", &raw.filter, filter)
            .unwrap_or_else(|| "info".to_owned()),
    }
}
