//! The configuration as each part takes it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use crate::audit::{self, Durability, Redaction, SigningKey, ValueKey};
use crate::clock::Clock;
use crate::config::{self, Config, ListenerTls, LogFormat, PrincipalConfig, TargetConfig};
use crate::control::{Identity, Job, Rules};
use crate::http::api::Endpoint as PublicEndpoint;
use crate::identity::{
    Directory, Entry, Oidc, OidcSettings, Passwords, Sealing, Workload, WorkloadSettings,
};
use crate::policy::{Cedar, PolicySet};
use crate::proxy::{self, Endpoint, ProxyTarget};
use crate::secret::ServerKey;
use crate::telemetry::logging::Format;
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

pub(super) fn identity(config: &Config, key: &ServerKey) -> anyhow::Result<Identity> {
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
        sealing: Arc::new(Sealing::derive(key)),
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

/// What there is and who may do what with it.
///
/// # Errors
/// If the policies cannot be read or are wrong: everything that is.
pub(super) fn rules(config: &Config) -> anyhow::Result<Rules> {
    let set = match &config.policy.folder {
        Some(folder) => PolicySet::load(folder).context("the policies are refused")?,
        None => PolicySet::built_in(),
    };
    let targets = || config.targets.iter().map(|it| &it.target);
    let zone = config.access.time_zone.clone();
    Ok(Rules {
        policy: Box::new(Cedar::new(set, targets(), zone)),
        targets: targets()
            .map(|target| (target.name.clone(), target.clone()))
            .collect(),
    })
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
