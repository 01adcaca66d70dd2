//! The configuration as each part takes it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;

use crate::audit::{self, ConfigurationFile, Durability, Redaction, SigningKey, ValueKey};
use crate::clock::Clock;
use crate::config::{self, Config, ListenerTls, LogFormat, PrincipalConfig, TargetConfig};
use crate::control::{Configuration, Identity, Job, Rules};
use crate::http::api::Endpoint as PublicEndpoint;
use crate::identity::{
    Directory, Entry, Oidc, OidcSettings, Passwords, Sealing, Workload, WorkloadSettings,
};
use crate::policy::{Cedar, Faults, PolicySet};

use crate::proxy::{self, Endpoint, ProxyTarget};
use crate::secret::{hex, sha256};
use crate::telemetry::logging::Format;
use crate::tickets::{self, Tickets};
use crate::tls::{ServerFiles, ServerTls, UpstreamTls, Verification};

pub(super) fn log_format(config: &Config) -> Format {
    match config.log.format {
        LogFormat::Human => Format::Human,
        LogFormat::Json => Format::Json,
    }
}

pub(super) fn make_data_dir(path: &Path) -> anyhow::Result<()> {
    audit::make_folder(path).with_context(|| format!("data_dir {}", path.display()))?;
    Ok(())
}

pub(super) fn audit(config: &Config) -> anyhow::Result<audit::Settings> {
    let audit = &config.audit;
    Ok(audit::Settings {
        folder: audit.folder.clone(),
        key: Arc::new(SigningKey::load_or_make(&audit.key_file, &audit.folder)?),
        durability: match audit.durability {
            config::Durability::Write => Durability::Write,
            config::Durability::Fsync => Durability::Fsync,
        },
        segment_bytes: audit.segment_bytes,
        segment_age: audit.segment_age,
        checkpoint_records: audit.checkpoint_records,
        checkpoint_interval: audit.checkpoint_interval,
        timeout: audit.timeout,
    })
}

pub(super) fn proxy(config: &Config) -> proxy::Settings {
    let proxy = &config.proxy;
    proxy::Settings {
        sni_suffix: proxy.sni_suffix.clone(),
        handshake_timeout: proxy.handshake_timeout,
        connect_timeout: proxy.connect_timeout,
        unauthenticated_per_address: proxy.unauthenticated_per_address,
        notices: proxy.notices.clone(),
    }
}

/// The certificate for proxy and API; `None` if neither speaks TLS.
pub(super) fn tls(config: &Config, clock: &Clock) -> anyhow::Result<Option<ServerTls>> {
    let off = |tls| tls == ListenerTls::Off;
    if off(config.proxy.tls) && off(config.api.tls) {
        return Ok(None);
    }
    let tls = match &config.tls {
        Some(files) => ServerTls::load(ServerFiles {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
        })?,
        None => {
            let files = ServerFiles {
                certificate: config.data_dir.join("server.crt"),
                key: config.data_dir.join("server.key"),
            };
            ServerTls::self_signed(files, &config.proxy.public_host, clock.now())?
        }
    };
    Ok(Some(tls))
}

/// What clients are told about how to reach the proxy.
pub(super) fn endpoint(
    config: &Config,
    bound: SocketAddr,
    tls: Option<&ServerTls>,
) -> anyhow::Result<PublicEndpoint> {
    let proxy = &config.proxy;
    let tls = tls.filter(|_| proxy.tls == ListenerTls::Required);
    let sslmode = if tls.is_some() {
        "verify-full"
    } else {
        "disable"
    };
    let ca_certificate = match (&config.tls, tls) {
        // The self-signed certificate is its own authority.
        (None, Some(tls)) => Some(tls.identity().chain.clone()),
        (Some(files), Some(_)) => files
            .ca
            .as_ref()
            .map(|path| {
                fs::read_to_string(path).with_context(|| format!("tls.ca {}", path.display()))
            })
            .transpose()?,
        (_, None) => None,
    };
    Ok(PublicEndpoint {
        host: proxy.public_host.clone(),
        port: proxy.public_port.unwrap_or(bound.port()),
        sslmode: sslmode.to_owned(),
        ca_certificate,
    })
}

pub(super) fn identity(config: &Config, sealing: &Arc<Sealing>) -> anyhow::Result<Identity> {
    let entry = |it: &PrincipalConfig| Entry {
        principal: it.principal.clone(),
        email: it.email.clone(),
        token_sha256: it.token_sha256,
        mfa: it.mfa,
    };
    let identity = &config.identity;
    let jobs = identity.workloads.iter().map(job);
    Ok(Identity {
        directory: Directory::new(config.principals.iter().map(entry)),
        passwords: Passwords::new(),
        sealing: Arc::clone(sealing),
        login_lifetime: identity.login_lifetime,
        oidc: identity.oidc.as_ref().map(oidc).transpose()?,
        jobs: jobs.collect::<anyhow::Result<_>>()?,
    })
}

fn oidc(config: &config::Oidc) -> anyhow::Result<Arc<Oidc>> {
    let oidc = Oidc::new(OidcSettings {
        issuer: config.issuer.clone(),
        client_id: config.client_id.clone(),
        client_secret: config.client_secret.clone(),
        scopes: config.scopes.clone(),
        name_claim: config.name_claim.clone(),
        groups_claim: config.groups_claim.clone(),
        mfa_acr: config.mfa_acr.clone(),
        mfa_amr: config.mfa_amr.clone(),
        ca: certificates(config.ca.as_deref())?,
    });
    Ok(Arc::new(oidc.context("identity.oidc")?))
}

fn job(config: &config::Workload) -> anyhow::Result<Job> {
    let workload = Workload::new(WorkloadSettings {
        issuer: config.issuer.clone(),
        audience: config.audience.clone(),
        claims: config.claims.clone(),
        ca: certificates(config.ca.as_deref())?,
    });
    Ok(Job {
        workload: workload.with_context(|| format!("identity.workloads.{}", config.name))?,
        name: config.name.clone(),
        principal: config.principal.clone(),
        groups: config.groups.clone(),
        scope: config.scope.clone(),
        lifetime: config.lifetime,
    })
}

fn certificates(path: Option<&Path>) -> anyhow::Result<Option<Vec<u8>>> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("ca {}", path.display()));
    path.map(read).transpose()
}

/// The policies that the configuration names, or else the default set.
///
/// # Errors
/// If they cannot be read or are wrong: everything that is.
pub(super) fn policies(config: &Config) -> Result<PolicySet, Faults> {
    match &config.policy.folder {
        Some(folder) => PolicySet::load(folder),
        None => Ok(PolicySet::built_in()),
    }
}

/// What there is and who may do what with it.
pub(super) fn rules(config: &Config, set: PolicySet) -> anyhow::Result<Rules> {
    let targets = || config.targets.iter().map(|it| &it.target);
    let zone = config.access.time_zone.clone();
    Ok(Rules {
        policy: Box::new(Cedar::new(set, targets(), zone)),
        targets: targets()
            .map(|target| (target.name.clone(), target.clone()))
            .collect(),
        request_lapse: config.access.request_lapse,
        tickets: config.tickets.as_ref().map(tickets).transpose()?,
    })
}

fn tickets(config: &config::Tickets) -> anyhow::Result<Tickets> {
    let expectation = |it: &config::Expectation| tickets::Expectation {
        pointer: it.pointer.clone(),
        wanted: match &it.wanted {
            config::Wanted::OneOf(words) => tickets::Wanted::OneOf(words.clone()),
            config::Wanted::RequesterName => tickets::Wanted::RequesterName,
            config::Wanted::RequesterEmail => tickets::Wanted::RequesterEmail,
        },
    };
    let tls = UpstreamTls::load(Verification::Full, config.ca.as_deref(), None);
    let settings = tickets::Settings {
        url: config.url.clone(),
        headers: config.headers.clone(),
        timeout: config.timeout,
        expect: config.expect.iter().map(expectation).collect(),
        tls: tls.context("tickets")?.config,
    };
    Tickets::new(settings).context("tickets")
}

/// What the configuration says, and what it was read from.
pub(super) fn in_force(config: &Config, set: &PolicySet, now: Timestamp) -> Configuration {
    let policies = set.texts().into_iter();
    let policies = policies.map(|(id, text)| (format!("policies.{id}"), text));
    Configuration {
        facts: config.facts().into_iter().chain(policies).collect(),
        files: files(config, set),
        since: now,
    }
}

/// The files that are not built in, with their hashes.
pub(super) fn files(config: &Config, set: &PolicySet) -> Vec<ConfigurationFile> {
    let file = |name: String, digest: &[u8; 32]| ConfigurationFile {
        file: name,
        sha256: hex(digest),
    };
    let own = file(config.file.display().to_string(), &config.file_sha256);
    let folder = config.policy.folder.is_some();
    let policies = set.files().iter().filter(|_| folder);
    let policies = policies.map(|it| file(it.name.clone(), &sha256(it.text.as_bytes())));
    std::iter::once(own).chain(policies).collect()
}

pub(super) fn targets(config: &Config, key: &ValueKey) -> anyhow::Result<Vec<ProxyTarget>> {
    let targets = config.targets.iter();
    targets.map(|config| target(config, key)).collect()
}

fn target(config: &TargetConfig, key: &ValueKey) -> anyhow::Result<ProxyTarget> {
    let upstream = &config.upstream;
    let verification = match upstream.tls {
        config::UpstreamTls::Off => None,
        config::UpstreamTls::Require => Some(Verification::None),
        config::UpstreamTls::VerifyCa => Some(Verification::Authority),
        config::UpstreamTls::VerifyFull => Some(Verification::Full),
    };
    let ca = upstream.ca.as_deref();
    let client = upstream.client_certificate.as_ref();
    let tls = verification
        .map(|verification| UpstreamTls::load(verification, ca, client))
        .transpose()
        .with_context(|| format!("targets.{}", config.target.name))?;
    let endpoint = Endpoint {
        host: upstream.host.clone(),
        port: upstream.port,
        role: upstream.role.clone(),
        password: upstream.password.clone(),
        tls,
    };
    let redaction = match config.parameters {
        config::Parameters::Full => Redaction::None,
        config::Parameters::Hash => Redaction::Hash(key.clone()),
        config::Parameters::Omit => Redaction::Omit,
    };
    Ok(ProxyTarget::new(config.target.clone(), endpoint, redaction))
}
