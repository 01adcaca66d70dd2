//! The composition root: configuration -> parts -> listeners -> tasks -> drain.

mod ending;
mod notices;
mod parts;
mod reload;
mod server_key;
mod shipping;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::audit::ship::Shipping;
use crate::audit::{Event, Keeper, Recorder, Retention, ValueKey};
use crate::clock::Clock;
use crate::config::{Config, ListenerTls};
use crate::control::{self, Control, FrontDesk};
use crate::http::{api, ops};
use crate::identity::Sealing;
use crate::proxy::{self, Cancels, Denials, Listener, Proxy, Targets, TcpDialer, Waiting};
use crate::store::Sqlite;
use crate::telemetry::{Metrics, logging};
use crate::tls::ServerTls;
use reload::Reloader;

/// How often files are looked at (configuration, policies, certificates), and sessions that a
/// suspended machine slept through.
const TICK: Duration = Duration::from_secs(1);
/// How long connections may take to close once a drain's grace is over.
const CLOSE: Duration = Duration::from_secs(5);

/// A hallpass that runs.
pub struct Hallpass {
    /// Where PostgreSQL clients dial: the first listener.
    pub proxy: SocketAddr,
    /// The REST API.
    pub api: SocketAddr,
    /// Metrics and health.
    pub ops: SocketAddr,
    parts: Arc<Parts>,
    stops: Stops,
    connections: TaskTracker,
    services: TaskTracker,
    shipping: TaskTracker,
    /// Asks for the configuration to be read again.
    reload: Arc<Notify>,
    drain_grace: Duration,
    /// How long nothing may get on at the end.
    patience: Duration,
    writer: JoinHandle<()>,
}

/// What the tasks share.
struct Parts {
    proxy: Arc<Proxy<TcpDialer>>,
    control: Arc<Control>,
    admission: Arc<Admission>,
    recorder: Recorder,
    clock: Clock,
    metrics: Arc<Metrics>,
    tls: Option<Arc<ServerTls>>,
    http_tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    value_key: ValueKey,
    sealing: Arc<Sealing>,
}

/// What ends the tasks, in this order.
#[derive(Default)]
struct Stops {
    /// No new clients.
    accepting: CancellationToken,
    /// No more connections.
    connections: CancellationToken,
    /// No more API, and nothing in the background.
    services: CancellationToken,
    /// No more shipping: there will be no more records.
    shipping: CancellationToken,
}

/// Runs hallpass until a signal ends it: SIGTERM or SIGINT drains, a second one does not wait.
/// SIGHUP reads configuration, policies and certificates again.
///
/// # Errors
/// If a part cannot be set up: which, and why; or if the end could not be recorded.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    logging::install(parts::log_format(&config), &config.log.filter)
        .context("log.filter in the configuration")?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if config.is_behind_proxy() {
        tracing::warn!(
            "people reach the API through a TLS proxy (notify.link_base, api.tls, api.listen): limits per address count all of them as one"
        );
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let hallpass = Hallpass::start(config).await?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                hallpass.parts.reload_certificates();
                hallpass.reload.notify_one();
            }
        }
    }
    let connections = hallpass.stops.connections.clone();
    tracing::info!(grace = ?hallpass.drain_grace, "draining; another signal ends it at once");
    let hurry = async move {
        tokio::select! {
            _ = terminate.recv() => {},
            _ = interrupt.recv() => {},
        }
        connections.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = hallpass.shutdown() => ended.inspect_err(|error| {
            tracing::error!("stopped, but the audit has no end: {error:#}");
        })?,
        () = hurry => {},
    }
    tracing::info!("stopped");
    Ok(())
}

impl Hallpass {
    /// Sets everything up and starts it.
    ///
    /// # Errors
    /// If a part cannot be set up: which, and why.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let stops = Stops::default();
        let (parts, writer) = Parts::build(&config, &stops).await?;
        let parts = Arc::new(parts);

        let mut listeners = Vec::new();
        for address in &config.proxy.listen {
            let bound = proxy::listen(*address).await;
            listeners.push(bound.with_context(|| format!("proxy.listen {address}"))?);
        }
        let api = bind("api.listen", config.api.listen).await?;
        let ops = bind("ops.listen", config.ops.listen).await?;
        let proxy_address = listeners.first().context("proxy.listen is empty")?.address;
        let hallpass = Self {
            proxy: proxy_address,
            api: api.local_addr()?,
            ops: ops.local_addr()?,
            parts,
            stops,
            connections: TaskTracker::new(),
            services: TaskTracker::new(),
            shipping: TaskTracker::new(),
            reload: Arc::default(),
            drain_grace: config.proxy.drain_grace,
            patience: 2 * config.audit.timeout,
            writer,
        };
        hallpass.spawn_services(&config, api, ops)?;
        hallpass.spawn_listeners(listeners);
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            proxy = %hallpass.proxy,
            api = %hallpass.api,
            ops = %hallpass.ops,
            audit = %config.audit.folder.display(),
            "hallpass is ready"
        );
        Ok(hallpass)
    }

    fn spawn_listeners(&self, listeners: Vec<Listener>) {
        for listener in listeners {
            let proxy = Arc::clone(&self.parts.proxy);
            let stop = self.stops.accepting.clone();
            let tasks = self.connections.clone();
            self.services.spawn(listener.run(proxy, tasks, stop));
        }
    }

    fn spawn_services(
        &self,
        config: &Config,
        api: TcpListener,
        ops: TcpListener,
    ) -> anyhow::Result<()> {
        let parts = &self.parts;
        let stop = &self.stops.services;
        let endpoint = parts::endpoint(config, self.proxy, parts.tls.as_deref())?;
        let endpoint = Arc::new(ArcSwap::from_pointee(endpoint));
        let api_parts = api::ApiParts {
            control: Arc::clone(&parts.control),
            endpoint: Arc::clone(&endpoint),
            shutdown: stop.clone(),
        };
        let router = crate::http::router(api_parts, parts.http_tls.is_some());
        let reloader = Reloader::new(parts, config.clone(), self.proxy, endpoint);
        self.services
            .spawn(reloader.run(Arc::clone(&self.reload), stop.clone()));
        let tls = parts.http_tls.clone();
        self.services
            .spawn(crate::http::serve(api, tls, router, stop.clone()));
        let router = ops::router(ops::OpsState {
            metrics: Arc::clone(&parts.metrics),
            control: Arc::clone(&parts.control),
            draining: self.stops.accepting.clone(),
        });
        self.services
            .spawn(crate::http::serve(ops, None, router, stop.clone()));
        let control = Arc::clone(&parts.control);
        let until = stop.clone();
        self.services.spawn(async move { control.run(until).await });
        let telling = Arc::clone(&parts.control).tell(stop.clone());
        self.services.spawn(telling);
        self.services.spawn(Arc::clone(parts).keep_up(stop.clone()));
        let shipping = Shipping::open(
            &shipping::settings(config)?,
            parts.recorder.flow(),
            &parts.clock,
            &parts.metrics,
        )?;
        shipping.spawn(&self.shipping, &self.stops.shipping);
        // Only now is it known what is still to be shipped.
        let keeper = Keeper {
            folder: config.audit.folder.clone(),
            retention: Retention {
                keep: config.audit.keep,
                keep_bytes: config.audit.keep_bytes,
            },
            held: parts.control.held(),
            recorder: parts.recorder.clone(),
            clock: parts.clock.clone(),
            metrics: Arc::clone(&parts.metrics),
        };
        self.services.spawn(keeper.run(stop.clone()));
        Ok(())
    }

    /// Takes no new clients, gives the open connections their grace, ends them, and returns when
    /// everything is recorded.
    ///
    /// # Errors
    /// If not everything could be: nobody waits for a disk that hangs.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.stops.accepting.cancel();
        self.connections.close();
        tokio::select! {
            () = self.connections.wait() => {},
            () = tokio::time::sleep(self.drain_grace) => {},
            () = self.stops.connections.cancelled() => {},
        }
        self.stops.connections.cancel();
        if tokio::time::timeout(CLOSE, self.connections.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                left = self.connections.len(),
                "connections did not close in time"
            );
        }
        self.stops.services.cancel();
        self.services.close();
        if tokio::time::timeout(self.patience, self.services.wait())
            .await
            .is_err()
        {
            tracing::warn!(left = self.services.len(), "services did not end in time");
        }
        let stopped = self.parts.recorder.stopped().await;
        // The last recorder gone, the writer writes what it has and ends.
        let flow = Arc::clone(self.parts.recorder.flow());
        drop(self.parts);
        let written = ending::written_out(self.writer, &flow, self.patience).await;
        self.stops.shipping.cancel();
        self.shipping.close();
        self.shipping.wait().await;
        stopped.context("the end could not be recorded")?;
        written
    }
}

impl Parts {
    async fn build(config: &Config, stops: &Stops) -> anyhow::Result<(Self, JoinHandle<()>)> {
        parts::make_data_dir(&config.data_dir)?;
        let key = server_key::load_or_make(&config.server_key_file)?;
        let value_key = ValueKey::derive(&key);
        let sealing = Arc::new(Sealing::derive(&key));
        let policies = parts::policies(config).context("the policies are refused")?;
        let clock = Clock::system();
        let metrics = Arc::new(Metrics::new());
        let settings = parts::audit(config)?;
        let (recorder, writer) = Recorder::start(&settings, clock.clone(), Arc::clone(&metrics))?;
        let started = Event::Started {
            version: env!("CARGO_PKG_VERSION").into(),
            files: parts::files(config, &policies),
        };
        recorder.record(&started).await?;

        let tls = parts::tls(config, &clock)?.map(Arc::new);
        let admission = Arc::new(Admission::new(key, clock.clone(), Arc::clone(&metrics)));
        let control = Control::new(control::Parts {
            store: Arc::new(Sqlite::open(&config.store.path)?),
            configuration: parts::in_force(config, &policies, clock.now()),
            rules: parts::rules(config, policies)?,
            identity: parts::identity(config, &sealing)?,
            admission: Arc::clone(&admission),
            recorder: recorder.clone(),
            clock: clock.clone(),
            metrics: Arc::clone(&metrics),
            telling: notices::telling(config, &clock)?,
            audit_folder: settings.folder.clone(),
            audit_key: settings.key.public(),
        });
        control
            .recover()
            .await
            .context("taking up where the last run ended")?;

        let targets = Targets::default();
        targets.replace(parts::targets(config, &value_key)?);
        let proxy = Arc::new(Proxy {
            settings: parts::proxy(config),
            targets,
            admission: Arc::clone(&admission),
            desk: Arc::new(FrontDesk(Arc::clone(&control))),
            waiting: Waiting::default(),
            recorder: recorder.clone(),
            clock: clock.clone(),
            metrics: Arc::clone(&metrics),
            tls: tls
                .clone()
                .filter(|_| config.proxy.tls == ListenerTls::Required),
            denials: Denials::default(),
            cancels: Cancels::default(),
            dialer: TcpDialer,
            shutdown: stops.connections.clone(),
        });
        let http_tls = tls
            .as_ref()
            .filter(|_| config.api.tls == ListenerTls::Required)
            .map(|tls| Arc::new(ArcSwap::new(Arc::clone(&tls.identity().http))));
        let parts = Self {
            proxy,
            control,
            admission,
            recorder,
            clock,
            metrics,
            tls,
            http_tls,
            value_key,
            sealing,
        };
        parts.metrics.config_in_force(true);
        parts.note_certificate();
        Ok((parts, writer))
    }

    /// Once a second: certificates that changed, and sessions that ended while the machine slept.
    async fn keep_up(self: Arc<Self>, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(TICK))
            .await
            .is_some()
        {
            self.admission.expire_due();
            self.proxy.denials.flush(&self.recorder).await;
            self.reload_certificates();
            self.metrics.audit_available(self.recorder.health().is_ok());
        }
    }

    fn reload_certificates(&self) {
        let Some(tls) = &self.tls else { return };
        match tls.reload() {
            Ok(true) => {
                if let Some(http) = &self.http_tls {
                    http.store(Arc::clone(&tls.identity().http));
                }
                self.note_certificate();
                tracing::info!("a new certificate is in force");
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the certificate stays as it was"),
        }
    }

    fn note_certificate(&self) {
        if let Some(tls) = &self.tls {
            let expires_at = tls.identity().expires_at.as_second();
            self.metrics.certificate_expires(expires_at);
        }
    }
}

async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{key} {address}"))
}
