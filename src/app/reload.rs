//! The configuration is read again: when its files have changed, or somebody asks.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{Parts, TICK, notices, parts};
use crate::config::{Config, ConfigErrors, Facts, OnPolicyChange, Subject, subjects};
use crate::control::{self, Configuration, Telling};
use crate::http::api::Endpoint;
use crate::policy::{Faults, PolicySet};
use crate::proxy::ProxyTarget;

/// Reads the configuration again and has it taken up.
pub(super) struct Reloader {
    parts: Arc<Parts>,
    /// What is in force.
    running: Config,
    facts: Facts,
    endpoint: Arc<ArcSwap<Endpoint>>,
    /// Where the proxy listens.
    bound: SocketAddr,
    /// The files as they were when they were read last.
    read: Stamps,
    /// And as they were a tick ago.
    seen: Stamps,
    /// Sessions may go on that should have ended.
    unsettled: bool,
    /// What was read could not be recorded, so it is not in force.
    unrecorded: bool,
}

/// What tells one state of the files from another.
type Stamps = BTreeMap<PathBuf, (u64, i64, i64, u64)>;

/// All that comes of a good configuration.
struct Fresh {
    merged: Config,
    reload: control::Reload,
    targets: Vec<ProxyTarget>,
    endpoint: Endpoint,
    /// What changes now, and what waits for a restart.
    now: Vec<Subject>,
    later: Vec<Subject>,
}

/// Why what the files say is not taken up: every mistake.
enum Refused {
    Config(ConfigErrors),
    Policies(Faults),
    Other(anyhow::Error),
}

impl Reloader {
    /// For what runs with `config`.
    pub(super) fn new(
        parts: &Arc<Parts>,
        config: Config,
        bound: SocketAddr,
        endpoint: Arc<ArcSwap<Endpoint>>,
    ) -> Self {
        let facts = parts.control.facts();
        let read = stamps(&config);
        Self {
            parts: Arc::clone(parts),
            running: config,
            facts,
            endpoint,
            bound,
            seen: read.clone(),
            read,
            unsettled: false,
            unrecorded: false,
        }
    }

    /// Until `stop`.
    pub(super) async fn run(mut self, asked: Arc<Notify>, stop: CancellationToken) {
        loop {
            let due = tokio::select! {
                () = stop.cancelled() => return,
                () = asked.notified() => true,
                () = tokio::time::sleep(TICK) => self.has_settled(),
            };
            if due {
                self.reload().await;
            }
        }
    }

    /// Whether the files are others than those that were read, and stay as they are: what is still
    /// being written may be whole TOML and yet lack half of its targets.
    fn has_settled(&mut self) -> bool {
        let now = stamps(&self.running);
        let settled = now == self.seen;
        self.seen = now;
        settled && (self.seen != self.read || self.unsettled || self.unrecorded)
    }

    /// The files to look at are those that the configuration in force names.
    fn watch_what_it_names(&mut self) {
        let mut named = stamps(&self.running);
        for (path, stamp) in &mut named {
            // As it was before it was read: it may have changed since.
            *stamp = self.read.get(path).copied().unwrap_or(*stamp);
        }
        self.seen = named.clone();
        self.read = named;
    }

    async fn reload(&mut self) {
        self.unrecorded = false;
        self.read = stamps(&self.running);
        self.seen = self.read.clone();
        let (parts, running) = (Arc::clone(&self.parts), self.running.clone());
        let (facts, bound) = (self.facts.clone(), self.bound);
        let read = spawn_blocking(move || read(&parts, running, &facts, bound)).await;
        let taken = match read {
            Ok(Ok(fresh)) => self.take_up(fresh).await,
            Ok(Err(refused)) => Err(refused),
            Err(error) => Err(Refused::Other(error.into())),
        };
        self.parts.metrics.config_reloaded(taken.is_ok());
        if let Err(refused) = taken {
            refused.tell();
        }
    }

    async fn take_up(&mut self, fresh: Fresh) -> Result<(), Refused> {
        let control = &self.parts.control;
        let configuration = &fresh.reload.configuration;
        let changes: Vec<String> = fresh.now.iter().flat_map(Subject::lines).collect();
        let repeated = self.unsettled && changes.is_empty();
        if !repeated {
            let announced = control.announce(configuration.files.clone(), changes.clone());
            let context = "it could not be recorded that it is in force";
            let announced = announced.await.context(context);
            self.unrecorded = announced.is_err();
            announced.map_err(Refused::Other)?;
        }
        self.facts = configuration.facts.clone();
        self.running = fresh.merged;
        self.parts.proxy.targets.replace(fresh.targets);
        self.endpoint.store(Arc::new(fresh.endpoint));
        let ended = control.take_up(fresh.reload).await;
        self.unsettled = ended.is_err();
        match ended {
            Ok(ended) => tracing::info!(ended, "the configuration was read again and is in force"),
            Err(error) => {
                tracing::error!(%error, "sessions may go on that the configuration no longer allows: it is read again");
            }
        }
        for change in changes {
            tracing::info!(change, "configuration");
        }
        for key in fresh.later {
            tracing::warn!(key = key.name, "takes effect at a restart");
        }
        self.watch_what_it_names();
        Ok(())
    }
}

/// Reads all, and makes of it what the parts need. Nothing is changed.
fn read(parts: &Parts, old: Config, facts: &Facts, bound: SocketAddr) -> Result<Fresh, Refused> {
    let config = Config::load(&old.file).map_err(Refused::Config)?;
    let policies = parts::policies(&config).map_err(Refused::Policies)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let wanted = parts::in_force(&config, &policies, parts.clock.now());
    let merged = old.reloaded(config);
    let configuration = parts::in_force(&merged, &policies, parts.clock.now());
    let now = subjects(facts, &configuration.facts);
    let later = subjects(&configuration.facts, &wanted.facts);
    let made = Made::of(parts, &merged, policies, configuration, bound);
    let made = made.map_err(Refused::Other)?;
    Ok(Fresh {
        merged,
        reload: made.reload,
        targets: made.targets,
        endpoint: made.endpoint,
        now,
        later,
    })
}

struct Made {
    reload: control::Reload,
    targets: Vec<ProxyTarget>,
    endpoint: Endpoint,
}

impl Made {
    fn of(
        parts: &Parts,
        config: &Config,
        policies: PolicySet,
        configuration: Configuration,
        bound: SocketAddr,
    ) -> anyhow::Result<Self> {
        let telling: Telling = notices::telling(config, &parts.clock)?;
        Ok(Self {
            reload: control::Reload {
                rules: parts::rules(config, policies)?,
                identity: parts::identity(config, &parts.sealing)?,
                telling,
                configuration,
                revoke: config.access.on_policy_change == OnPolicyChange::Revoke,
            },
            targets: parts::targets(config, &parts.value_key)?,
            endpoint: parts::endpoint(config, bound, parts.tls.as_deref())?,
        })
    }
}

impl Refused {
    /// Says in the log all that is wrong, as `config check` words it.
    fn tell(&self) {
        match self {
            Self::Config(ConfigErrors(errors)) => {
                errors.iter().for_each(|it| tracing::error!("{it}"));
            }
            Self::Policies(Faults(faults)) => {
                faults.iter().for_each(|it| tracing::error!("{it}"));
            }
            Self::Other(error) => tracing::error!("{error:#}"),
        }
        tracing::error!("the new configuration is refused as a whole: the old one stays in force");
    }
}

/// The configuration's file, and those that it names: secrets, certificates, policies.
fn stamps(config: &Config) -> Stamps {
    let folder = config.policy.folder.as_deref();
    let policies = folder.into_iter().flat_map(policy_files);
    let named = config.files.iter().cloned();
    let files = std::iter::once(config.file.clone())
        .chain(named)
        .chain(policies);
    let stamp = |path: PathBuf| {
        let stamp = fs::metadata(&path).map(|it| stamp(&it)).unwrap_or_default();
        (path, stamp)
    };
    files.map(stamp).collect()
}

fn stamp(file: &Metadata) -> (u64, i64, i64, u64) {
    (file.len(), file.mtime(), file.mtime_nsec(), file.ino())
}

fn policy_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    // Editors' own files begin with a dot.
    let entries = entries.filter(|it| !it.file_name().to_string_lossy().starts_with('.'));
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|it| it == "cedar"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const TEXT: &str = "
[principals.maya]
groups = [\"engineers\"]
token_sha256 = \"01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"
[targets.orders-ro]
host = \"127.0.0.1\"
user = \"orders_ro\"
databases = [\"orders\"]
password = { file = \"pw\" }
";

    #[test]
    fn a_secret_that_changes_alone_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let [file, secret] = ["hallpass.toml", "pw"].map(|it| folder.path().join(it));
        fs::write(&file, TEXT).unwrap();
        fs::write(&secret, "before").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let config = Config::load(&file).unwrap();
        let before = stamps(&config);
        assert_eq!(before, stamps(&config));
        fs::write(&secret, "afterwards").unwrap();
        assert_ne!(before, stamps(&config));
    }
}
