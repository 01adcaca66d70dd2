//! What a configuration says, key by key and without secrets: so that two can be compared.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

use super::{
    Config, EmailTls, Feed, ListenerTls, LogFormat, Notify, OnPolicyChange, Parameters,
    PrincipalConfig, Proxy, Receiver, TargetConfig, UpstreamTls,
};
use crate::access::{Databases, Stage};
use crate::secret::{Secret, hex, sha256};

/// Values by dotted key, as text for people. Of a secret nothing but that there is one.
pub type Facts = BTreeMap<String, String>;

impl Config {
    /// All that it says. Files are named relative to the configuration's own folder, where they
    /// are in it, so that a copy of the folder says the same.
    pub fn facts(&self) -> Facts {
        let mut notes = Notes {
            folder: self.file.parent().unwrap_or(Path::new("")),
            facts: Facts::new(),
        };
        server(&mut notes, self);
        audit(&mut notes, self);
        rules(&mut notes, self);
        identity(&mut notes, self);
        tickets(&mut notes, self);
        if let Some(notify) = &self.notify {
            channels(&mut notes, notify);
        }
        self.principals
            .iter()
            .for_each(|it| principal(&mut notes, it));
        self.targets.iter().for_each(|it| target(&mut notes, it));
        notes.facts
    }

    /// This configuration with what a reload takes up of `new`; the rest stays as it is.
    pub fn reloaded(self, new: Self) -> Self {
        let tls = match (self.tls, new.tls) {
            (Some(old), Some(new)) => Some(super::TlsFiles { ca: new.ca, ..old }),
            (old, _) => old,
        };
        Self {
            file_sha256: new.file_sha256,
            files: new.files,
            proxy: Proxy {
                public_host: new.proxy.public_host,
                public_port: new.proxy.public_port,
                ..self.proxy
            },
            tls,
            access: new.access,
            identity: new.identity,
            notify: new.notify,
            tickets: new.tickets,
            policy: new.policy,
            principals: new.principals,
            targets: new.targets,
            warnings: new.warnings,
            ..self
        }
    }
}

struct Notes<'a> {
    folder: &'a Path,
    facts: Facts,
}

impl Notes<'_> {
    fn put(&mut self, key: impl Display, value: impl Display) {
        self.facts.insert(key.to_string(), value.to_string());
    }

    fn maybe(&mut self, key: impl Display, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// A list that says nothing when it is empty.
    fn list<T: Display>(&mut self, key: impl Display, values: &[T]) {
        if !values.is_empty() {
            self.put(key, listed(values));
        }
    }

    fn time(&mut self, key: impl Display, value: Duration) {
        self.put(key, humantime::format_duration(value));
    }

    fn path(&mut self, key: impl Display, value: &Path) {
        let shown = value.strip_prefix(self.folder).unwrap_or(value);
        let shown = shown.display().to_string();
        self.put(key, shown);
    }

    fn maybe_path(&mut self, key: impl Display, value: Option<&PathBuf>) {
        if let Some(value) = value {
            self.path(key, value);
        }
    }

    fn secret(&mut self, key: impl Display, value: Option<&Secret>) {
        self.maybe(key, value);
    }
}

fn listed<T: Display>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// An address whose path or query may hold a secret: the host, and what tells it from others.
fn address(url: &Url) -> String {
    let digest = hex(&sha256(url.as_str().as_bytes()));
    let host = url.host_str().unwrap_or_default();
    format!("{}://{host} (#{})", url.scheme(), &digest[..8])
}

fn server(notes: &mut Notes<'_>, config: &Config) {
    let Config { proxy, .. } = config;
    notes.path("data_dir", &config.data_dir);
    notes.path("server_key_file", &config.server_key_file);
    notes.list("proxy.listen", &proxy.listen);
    notes.put("proxy.public_host", &proxy.public_host);
    notes.maybe("proxy.public_port", proxy.public_port);
    notes.put("proxy.tls", listener_tls(proxy.tls));
    notes.maybe("proxy.sni_suffix", proxy.sni_suffix.as_ref());
    notes.time("proxy.handshake_timeout", proxy.handshake_timeout);
    let sockets = proxy.unauthenticated_per_address;
    notes.put("proxy.unauthenticated_per_address", sockets);
    notes.time("proxy.connect_timeout", proxy.connect_timeout);
    notes.time("proxy.drain_grace", proxy.drain_grace);
    notes.put("proxy.workers", proxy.workers);
    let notices = proxy.notices.iter();
    let notices: Vec<_> = notices.map(|it| humantime::format_duration(*it)).collect();
    notes.list("proxy.notices", &notices);
    if let Some(tls) = &config.tls {
        notes.path("tls.certificate", &tls.certificate);
        notes.path("tls.key", &tls.key);
        notes.maybe_path("tls.ca", tls.ca.as_ref());
    }
    notes.put("api.listen", config.api.listen);
    notes.put("api.tls", listener_tls(config.api.tls));
    notes.put("ops.listen", config.ops.listen);
    notes.path("store.path", &config.store.path);
    let format = match config.log.format {
        LogFormat::Human => "human",
        LogFormat::Json => "json",
    };
    notes.put("log.format", format);
    notes.put("log.filter", &config.log.filter);
}

fn listener_tls(tls: ListenerTls) -> &'static str {
    match tls {
        ListenerTls::Required => "required",
        ListenerTls::Off => "off",
    }
}

fn audit(notes: &mut Notes<'_>, config: &Config) {
    let audit = &config.audit;
    notes.path("audit.folder", &audit.folder);
    let durability = format!("{:?}", audit.durability).to_lowercase();
    notes.put("audit.durability", durability);
    notes.path("audit.key_file", &audit.key_file);
    notes.put("audit.segment_size", format!("{}B", audit.segment_bytes));
    notes.time("audit.segment_age", audit.segment_age);
    notes.put("audit.checkpoint_records", audit.checkpoint_records);
    notes.time("audit.checkpoint_interval", audit.checkpoint_interval);
    notes.time("audit.timeout", audit.timeout);
    let size = |bytes: u64| format!("{bytes}B");
    notes.maybe("audit.local_limit", audit.local_limit.map(size));
    notes.maybe("audit.keep", audit.keep.map(humantime::format_duration));
    notes.maybe("audit.keep_size", audit.keep_bytes.map(size));
    if let Some(ship) = &audit.ship {
        notes.put("audit.ship.url", &ship.url);
        let names: Vec<&String> = ship.options.iter().map(|(name, _)| name).collect();
        notes.list("audit.ship.options", &names);
        if let Some((mode, retain)) = &ship.lock {
            let mode = format!("{mode:?}").to_lowercase();
            notes.put("audit.ship.object_lock", mode);
            notes.time("audit.ship.retain", *retain);
        }
    }
    audit.feeds.iter().for_each(|it| feed(notes, it));
}

fn feed(notes: &mut Notes<'_>, feed: &Feed) {
    let key = |name: &str| format!("audit.feeds.{}.{name}", feed.name);
    notes.put(key("url"), address(&feed.url));
    notes.put(key("required"), feed.required);
    notes.maybe_path(key("ca"), feed.ca.as_ref());
    if let Some((certificate, private)) = &feed.client_certificate {
        notes.path(key("client_certificate"), certificate);
        notes.path(key("client_key"), private);
    }
    match &feed.receiver {
        Receiver::Http {
            token,
            headers,
            gzip,
        } => {
            notes.secret(key("token"), token.as_ref());
            let names: Vec<_> = headers.iter().map(|(name, _)| name).collect();
            notes.list(key("headers"), &names);
            notes.put(key("gzip"), gzip);
        }
        Receiver::Syslog { facility, .. } => notes.put(key("facility"), facility),
    }
}

fn rules(notes: &mut Notes<'_>, config: &Config) {
    let access = &config.access;
    notes.time("access.request_lapse", access.request_lapse);
    let change = match access.on_policy_change {
        OnPolicyChange::Keep => "keep",
        OnPolicyChange::Revoke => "revoke",
    };
    notes.put("access.on_policy_change", change);
    let zone = access.time_zone.iana_name().unwrap_or("UTC");
    notes.put("access.time_zone", zone);
    notes.maybe_path("policy.folder", config.policy.folder.as_ref());
}

fn identity(notes: &mut Notes<'_>, config: &Config) {
    let identity = &config.identity;
    notes.time("identity.login_lifetime", identity.login_lifetime);
    if let Some(oidc) = &identity.oidc {
        let key = |name: &str| format!("identity.oidc.{name}");
        notes.put(key("issuer"), &oidc.issuer);
        notes.put(key("client_id"), &oidc.client_id);
        notes.secret(key("client_secret"), oidc.client_secret.as_ref());
        notes.list(key("scopes"), &oidc.scopes);
        notes.maybe(key("name_claim"), oidc.name_claim.as_ref());
        notes.put(key("groups_claim"), &oidc.groups_claim);
        notes.list(key("mfa_acr"), &oidc.mfa_acr);
        notes.list(key("mfa_amr"), &oidc.mfa_amr);
        notes.maybe_path(key("ca"), oidc.ca.as_ref());
    }
    for job in &identity.workloads {
        let key = |name: &str| format!("identity.workloads.{}.{name}", job.name);
        notes.put(key("issuer"), &job.issuer);
        notes.put(key("audience"), &job.audience);
        let claims = job.claims.iter();
        let claims: Vec<String> = claims.map(|(name, it)| format!("{name} = {it}")).collect();
        notes.list(key("claims"), &claims);
        notes.put(key("principal"), &job.principal);
        notes.list(key("groups"), &job.groups);
        notes.put(key("scope"), &job.scope);
        notes.time(key("lifetime"), job.lifetime);
        notes.maybe_path(key("ca"), job.ca.as_ref());
    }
}

fn tickets(notes: &mut Notes<'_>, config: &Config) {
    let Some(tickets) = &config.tickets else {
        return;
    };
    notes.put("tickets.url", &tickets.url);
    let names: Vec<_> = tickets.headers.iter().map(|(name, _)| name).collect();
    notes.list("tickets.headers", &names);
    notes.time("tickets.timeout", tickets.timeout);
    notes.maybe_path("tickets.ca", tickets.ca.as_ref());
    notes.list("tickets.expect", &tickets.expect);
}

fn channels(notes: &mut Notes<'_>, notify: &Notify) {
    notes.put("notify.link_base", &notify.link_base);
    if let Some(slack) = &notify.slack {
        notes.put("notify.slack.channel", &slack.channel);
        notes.secret("notify.slack.token", Some(&slack.token));
        let signing = Some(&slack.signing_secret);
        notes.secret("notify.slack.signing_secret", signing);
        notes.put("notify.slack.api", &slack.api);
        for (user, name) in &slack.users {
            notes.put(format!("notify.slack.users.{user}"), name);
        }
    }
    if let Some(email) = &notify.email {
        notes.put("notify.email.server", &email.server);
        notes.put("notify.email.port", email.port);
        let tls = match email.tls {
            EmailTls::StartTls => "starttls",
            EmailTls::Implicit => "implicit",
            EmailTls::Off => "off",
        };
        notes.put("notify.email.tls", tls);
        notes.maybe_path("notify.email.ca", email.ca.as_ref());
        let (user, password) = email.login.as_ref().map(|(it, pw)| (it, pw)).unzip();
        notes.maybe("notify.email.user", user);
        notes.secret("notify.email.password", password);
        notes.put("notify.email.from", &email.from);
        notes.list("notify.email.recipients", &email.recipients);
    }
    for webhook in &notify.webhooks {
        let key = |name: &str| format!("notify.webhooks.{}.{name}", webhook.name);
        notes.put(key("url"), address(&webhook.url));
        notes.list(key("secrets"), &webhook.secrets);
        notes.maybe_path(key("ca"), webhook.ca.as_ref());
    }
}

fn principal(notes: &mut Notes<'_>, config: &PrincipalConfig) {
    let key = |name: &str| format!("principals.{}.{name}", config.principal.name);
    notes.put(key("groups"), listed(&config.principal.groups));
    notes.maybe(key("email"), config.email.as_ref());
    // The beginning of a hash tells two tokens apart, and neither of them anybody.
    let token = format!("{}..", &hex(&config.token_sha256)[..8]);
    notes.put(key("token_sha256"), token);
    notes.put(key("mfa"), config.mfa);
}

fn target(notes: &mut Notes<'_>, config: &TargetConfig) {
    let TargetConfig {
        target, upstream, ..
    } = config;
    let key = |name: &str| format!("targets.{}.{name}", target.name);
    notes.put(key("description"), &target.description);
    notes.put(key("host"), &upstream.host);
    notes.put(key("port"), upstream.port);
    notes.put(key("user"), &upstream.role);
    notes.secret(key("password"), upstream.password.as_ref());
    notes.put(key("tls"), upstream_tls(upstream.tls));
    notes.maybe_path(key("ca"), upstream.ca.as_ref());
    if let Some((certificate, private)) = &upstream.client_certificate {
        notes.path(key("client_certificate"), certificate);
        notes.path(key("client_key"), private);
    }
    let databases = match &target.databases {
        Databases::All => "*".to_owned(),
        Databases::Only(names) => listed(names),
    };
    notes.put(key("databases"), databases);
    notes.put(key("default_database"), &target.default_database);
    notes.time(key("max_duration"), target.max_duration);
    notes.time(key("max_extension"), target.terms.max_extension);
    notes.put(key("max_connections"), target.max_connections);
    let idle = target.idle_timeout.map(humantime::format_duration);
    notes.maybe(key("idle_timeout"), idle);
    notes.put(key("replication"), target.replication);
    let parameters = match config.parameters {
        Parameters::Full => "full",
        Parameters::Hash => "hash",
        Parameters::Omit => "omit",
    };
    notes.put(key("parameters"), parameters);
    notes.list(key("owners"), &target.owners);
    notes.put(key("environment"), &target.environment);
    notes.put(key("read_only"), target.read_only);
    notes.list(key("labels"), &target.labels);
    let reason = target.terms.reason.as_ref();
    notes.maybe(key("reason_pattern"), reason.map(|it| it.pattern()));
    notes.maybe(key("reason_hint"), reason.map(|it| it.hint()));
    notes.put(key("check_ticket"), target.terms.check_ticket);
    for (number, it) in target.terms.stages.iter().enumerate() {
        notes.put(key(&format!("stages.{}", number + 1)), stage(it));
    }
}

fn stage(stage: &Stage) -> String {
    let names = listed(&stage.approvers);
    let escalates = stage.escalate_after.map(|after| {
        let after = humantime::format_duration(after);
        format!("; after {after} {}, too", listed(&stage.escalate_to))
    });
    format!(
        "{} of {names}{}",
        stage.count,
        escalates.unwrap_or_default()
    )
}

fn upstream_tls(tls: UpstreamTls) -> &'static str {
    match tls {
        UpstreamTls::Off => "off",
        UpstreamTls::Require => "require",
        UpstreamTls::VerifyCa => "verify-ca",
        UpstreamTls::VerifyFull => "verify-full",
    }
}
