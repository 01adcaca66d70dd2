//! The configuration: one TOML file, read once, checked as a whole.
//!
//! The file becomes raw types that know where each value stands, and these become the plain types
//! here; whoever holds a [`Config`] holds one that makes sense. Each field's comment is the manual.

mod audit;
mod check;
mod differences;
mod document;
mod error;
mod facts;
mod feeds;
mod identity;
mod notify;
mod people;
mod policy;
mod principals;
mod raw;
mod removed;
mod secrets;
mod server;
mod ship;
mod stages;
mod targets;
#[cfg(test)]
mod tests;
mod tickets;
mod values;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::access::{Principal, Target};
use crate::secret::{Secret, sha256};
pub use audit::{Audit, Durability};
use check::{Check, why};
pub use differences::{Difference, Fate, Subject, subjects};
pub use error::{ConfigErrors, Finding};
pub use facts::Facts;
pub use feeds::{Feed, Receiver};
pub use identity::{Identity, Oidc, Workload};
pub use notify::{Email, EmailTls, Notify, Slack, Webhook};
use people::People;
pub use ship::{LockMode, Ship};
pub use tickets::{Expectation, Tickets, Wanted};

/// All that an operator decides.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The SHA-256 of what it says.
    pub file_sha256: [u8; 32],
    /// The files that it names and that are read with it: secrets, keys, certificates.
    pub files: Vec<PathBuf>,
    /// `data_dir`: where hallpass keeps what it makes: store, server key, self-signed certificate,
    /// audit. Relative to the configuration file's folder; default `/var/lib/hallpass`.
    pub data_dir: PathBuf,
    /// `server_key_file`: the server's own key, 32 random bytes as hexadecimal, made at the first
    /// start. Relative to `data_dir`; default `server.key.bin`.
    pub server_key_file: PathBuf,
    /// `[proxy]`: the side that PostgreSQL clients dial.
    pub proxy: Proxy,
    /// `[tls]`: the certificate that clients are shown, by proxy and API alike; `None`: a
    /// self-signed one, made in `data_dir` at the first start.
    pub tls: Option<TlsFiles>,
    /// `[api]`: the REST API.
    pub api: Api,
    /// `[ops]`: metrics and health.
    pub ops: Ops,
    /// `[store]`: durable state.
    pub store: Store,
    /// `[audit]`: the record of what was done.
    pub audit: Audit,
    /// `[access]`: rules for all requests.
    pub access: Access,
    /// `[identity]`: how people and services prove who they are.
    pub identity: Identity,
    /// `[notify]`: who is told what happens; `None`: nobody.
    pub notify: Option<Notify>,
    /// `[tickets]`: where tickets are looked up; `None`: nowhere.
    pub tickets: Option<Tickets>,
    /// `[policy]`: who may do what.
    pub policy: Policy,
    /// `[log]`: hallpass's own log, on standard error.
    pub log: Log,
    /// `[principals.NAME]`: who there is.
    pub principals: Vec<PrincipalConfig>,
    /// `[targets.NAME]`: what can be asked for.
    pub targets: Vec<TargetConfig>,
    /// What is allowed but doubtful.
    pub warnings: Vec<Finding>,
}

/// Whether a listener speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerTls {
    /// `"required"`: nothing else is served.
    Required,
    /// `"off"`: nobody is offered TLS.
    Off,
}

/// `[proxy]`: the side that PostgreSQL clients dial.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// `listen`: IP addresses and ports; port 0 lets the system choose. Default `127.0.0.1:6432`.
    pub listen: Vec<SocketAddr>,
    /// `public_host`: the host that clients are told to dial. Default `localhost`.
    pub public_host: String,
    /// `public_port`: the port that clients are told to dial; `None`: that of the first listener.
    pub public_port: Option<u16>,
    /// `tls`: `required` (default) or `off`.
    pub tls: ListenerTls,
    /// `sni_suffix`: with `db.example.com`, the TLS server name `orders-ro.db.example.com` names
    /// the target `orders-ro`. Lower case. Default: server names mean nothing.
    pub sni_suffix: Option<String>,
    /// `handshake_timeout`: how long a client may take up to its first ReadyForQuery. Default 10s.
    pub handshake_timeout: Duration,
    /// `unauthenticated_per_address`: how many sockets of one address may be open before they have
    /// authenticated. Default 64.
    pub unauthenticated_per_address: u32,
    /// `connect_timeout`: how long an upstream may take to be ready. Default 10s.
    pub connect_timeout: Duration,
    /// `drain_grace`: how long open connections may go on after SIGTERM. Default 30s.
    pub drain_grace: Duration,
    /// `workers`: how many threads serve connections and everything else, beside one that stands
    /// by. 1 to 1024. Default 1.
    pub workers: u32,
    /// `notices`: how long before a session's end its clients are told, longest first.
    /// Default 5m and 1m.
    pub notices: Vec<Duration>,
}

/// `[tls]`: files in PEM. Relative to the configuration file's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// `certificate`: the chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// `key`: its private key.
    pub key: PathBuf,
    /// `ca`: the authority that signed it, handed to clients that cannot know it; `None`: they
    /// trust a public one.
    pub ca: Option<PathBuf>,
}

/// `[api]`: the REST API.
#[derive(Debug, Clone)]
pub struct Api {
    /// `listen`: the address. Default `127.0.0.1:8432`.
    pub listen: SocketAddr,
    /// `tls`: `required` or `off`. Default: `off` on a loopback address, `required` elsewhere.
    pub tls: ListenerTls,
}

/// `[ops]`: `/metrics`, `/healthz` and `/readyz`, for anybody who can reach them.
#[derive(Debug, Clone)]
pub struct Ops {
    /// `listen`: the address. Default `127.0.0.1:9432`.
    pub listen: SocketAddr,
}

/// `[store]`: durable state.
#[derive(Debug, Clone)]
pub struct Store {
    /// `path`: the SQLite file. Relative to `data_dir`; default `hallpass.db`.
    pub path: PathBuf,
}

/// `[access]`: rules for all requests.
#[derive(Debug, Clone)]
pub struct Access {
    /// `request_lapse`: how long a request waits for a decision. Default 1h.
    pub request_lapse: Duration,
    /// `on_policy_change`: what becomes of live sessions that a changed policy no longer allows:
    /// `keep` (default) or `revoke`.
    pub on_policy_change: OnPolicyChange,
    /// `time_zone`: whose hours and weekdays policies go by, as `Europe/Berlin`. Default `UTC`.
    pub time_zone: TimeZone,
}

/// What becomes of live sessions that a changed policy no longer allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPolicyChange {
    /// `"keep"`: they go on to their end.
    Keep,
    /// `"revoke"`: they end.
    Revoke,
}

/// `[policy]`: who may do what.
#[derive(Debug, Clone)]
pub struct Policy {
    /// `folder`: the folder with the policies, files `*.cedar`. Relative to the configuration
    /// file's folder; `None`: the default set, which is built in.
    pub folder: Option<PathBuf>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `"human"`: for people.
    Human,
    /// `"json"`: one JSON object a line.
    Json,
}

/// `[log]`: hallpass's own log, on standard error.
#[derive(Debug, Clone)]
pub struct Log {
    /// `format`: `human` (default) or `json`.
    pub format: LogFormat,
    /// `filter`: what is logged, like `info` (default) or `hallpass=debug,info`.
    pub filter: String,
}

/// `[principals.NAME]`: an authenticated person or service.
#[derive(Debug, Clone)]
pub struct PrincipalConfig {
    /// The name, and `groups`: the groups that it belongs to (default: none).
    pub principal: Principal,
    /// `email`: where notices reach them. Default: nowhere.
    pub email: Option<String>,
    /// `token_sha256`: the SHA-256 of its API token, as `hallpass token new-hash` prints it. Required.
    pub token_sha256: [u8; 32],
    /// `mfa`: the token counts as a second factor (default false).
    pub mfa: bool,
}

/// `[targets.NAME]`: what can be asked for.
///
/// In [`TargetConfig::target`]: `description` (default: empty), `databases` (required: names, or
/// `["*"]` for all), `default_database` (default: the first; required with `*`), `max_duration`
/// of a session (default 8h), `max_connections` per session (default 100), `idle_timeout`
/// (default: none), `replication` (default false). In its terms: `stages` of an approval (default:
/// one approval, by anybody who may), `max_extension` (default 4h) `reason_pattern` with
/// `reason_hint` (default: any reason) and `check_ticket` (default false). Facts for policies: `owners` (principals and `@groups`;
/// default: none), `environment` (default `production`), `read_only` (whether the role can only
/// read; default false), `labels` (default: none).
#[derive(Debug, Clone)]
pub struct TargetConfig {
    /// The name, the databases, the limits, and the facts for policies.
    pub target: Target,
    /// How it is reached.
    pub upstream: Upstream,
    /// `parameters`: `full` (default), `hash` or `omit`.
    pub parameters: Parameters,
}

/// What the audit holds of the values that clients bind and copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameters {
    /// `"full"`: all.
    Full,
    /// `"hash"`: a keyed hash of each.
    Hash,
    /// `"omit"`: nothing.
    Omit,
}

/// How a target's server is reached.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// `host`: a DNS name or an IP address. Required.
    pub host: String,
    /// `port`. Default 5432.
    pub port: u16,
    /// `user`: the role there. Required.
    pub role: String,
    /// `password`: `{ file = ".." }`, a line end at its end not being part of it, or
    /// `{ env = ".." }`. Default: none, for servers that ask for a certificate or for nothing.
    pub password: Option<Secret>,
    /// `tls`: `verify-full` (default), `verify-ca`, `require` or `off`.
    pub tls: UpstreamTls,
    /// `ca`: certificates to trust, in PEM; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// `client_certificate` and `client_key`, in PEM: shown to the server.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

/// How far the upstream's TLS is trusted, in libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamTls {
    /// `"off"`: no TLS.
    Off,
    /// `"require"`: TLS with whoever answers.
    Require,
    /// `"verify-ca"`: the certificate must come from a trusted authority.
    VerifyCa,
    /// `"verify-full"`: and it must be the host's own.
    VerifyFull,
}

impl Config {
    /// Whether people reach the API through another's TLS on this machine: then all have one address.
    pub fn is_behind_proxy(&self) -> bool {
        let notify = self.notify.as_ref();
        let is_tls = notify.is_some_and(|notify| notify.link_base.scheme() == "https");
        is_tls && self.api.tls == ListenerTls::Off && self.api.listen.ip().is_loopback()
    }

    /// Reads the configuration at `path`, the files and the environment variables that it names.
    ///
    /// # Errors
    /// [`ConfigErrors`] with everything that is wrong.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where configuration is read"
    )]
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        Self::load_with(path, &|name| std::env::var(name).ok())
    }

    /// [`Config::load`] with an environment of the caller's.
    ///
    /// # Errors
    /// [`ConfigErrors`] with everything that is wrong.
    pub fn load_with(
        path: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        let text = fs::read_to_string(path).map_err(|error| {
            ConfigErrors(vec![Finding {
                file: path.to_owned(),
                line: None,
                key: String::new(),
                message: why(&error),
            }])
        })?;
        let mut check = Check::new(path, &text, environment);
        let config = validate(path, &text, &mut check);
        let files = check.files();
        let (errors, warnings) = check.finish();
        match config {
            Some(config) if errors.is_empty() => Ok(Self {
                warnings,
                files,
                ..config
            }),
            _ => Err(ConfigErrors(errors)),
        }
    }
}

/// The configuration in `text`; whether it is one, `check` knows.
fn validate(path: &Path, text: &str, check: &mut Check<'_>) -> Option<Config> {
    let (raw, misfits) = document::read(text);
    let not_toml = misfits.iter().any(|misfit| misfit.key.is_empty());
    misfits.into_iter().for_each(|misfit| check.misfit(misfit));
    if not_toml {
        return None;
    }
    let data_dir = server::data_dir(check, &raw);
    let principals = principals::principals(check, &raw.principals);
    let people = People::new(&raw.principals);
    let targets = targets::targets(check, &raw, &people);
    let proxy = server::proxy(check, &raw.proxy);
    let api = server::api(check, &raw.api);
    let ops = server::ops(check, &raw.ops);
    server::distinct(check, &raw, (&proxy, &api, &ops));
    Some(Config {
        file: path.to_owned(),
        file_sha256: sha256(text.as_bytes()),
        files: Vec::new(),
        server_key_file: server::server_key_file(check, &raw, &data_dir),
        tls: server::tls(check, &raw.tls),
        store: server::store(check, &raw.store, &data_dir),
        audit: audit::audit(check, &raw.audit, &data_dir),
        access: server::access(check, &raw.access),
        identity: identity::identity(check, &raw),
        notify: notify::notify(check, &raw.notify),
        tickets: tickets::tickets(check, &raw.tickets),
        policy: policy::policy(check, &raw.policy),
        log: server::log(check, &raw.log),
        data_dir,
        proxy,
        api,
        ops,
        principals,
        targets,
        warnings: Vec::new(),
    })
}
