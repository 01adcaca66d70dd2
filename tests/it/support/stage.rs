//! The data plane alone, between two scripted peers: what a real server does not do on command.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hallpass::access::{Databases, RequestId, Session, SessionId, SessionState, Target, Terms};
use hallpass::admission::Admission;
use hallpass::asking::Desk;
use hallpass::audit::{self, Record, Recorder, Redaction, SigningKey};
use hallpass::clock::Clock;
use hallpass::proxy::{
    Cancels, Denials, Dial, Endpoint, Proxy, ProxyTarget, Settings, Targets, Unauthenticated,
    Waiting, serve,
};
use hallpass::secret::{Secret, ServerKey};
use hallpass::telemetry::Metrics;
use hallpass::tls::{ServerFiles, ServerTls, UpstreamTls, Verification};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::desk::Scripted;
use super::wire::{Greeting, Wire};

/// The process id of scripted upstreams.
pub const PROCESS_ID: i32 = 4711;
/// And their secret.
pub const SECRET: &[u8] = b"upst";
/// What a TLS client calls hallpass; `orders-ro` before it names the target.
pub const SUFFIX: &str = "db.example.com";
/// The user and database of the session that there is.
pub const USER: &str = "maya~orders-ro";

/// A stage to be.
pub struct Plot {
    /// TLS towards clients.
    pub tls: bool,
    /// TLS towards the upstream.
    pub upstream_tls: bool,
    /// The password at the upstream.
    pub password: Option<&'static str>,
    /// See [`Settings`].
    pub handshake_timeout: Duration,
    /// See [`Settings`].
    pub connect_timeout: Duration,
}

impl Default for Plot {
    fn default() -> Self {
        Self {
            tls: false,
            upstream_tls: false,
            password: None,
            handshake_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// A proxy with one session: maya's, for orders-ro.
pub struct Stage {
    proxy: Arc<Proxy<Fakes>>,
    dialled: Mutex<mpsc::Receiver<DuplexStream>>,
    /// Where clients without a session ask.
    pub desk: Arc<Scripted>,
    clock: Clock,
    folder: TempDir,
    session: SessionId,
}

/// Upstreams that tests play.
pub struct Fakes(mpsc::Sender<DuplexStream>);

impl Dial for Fakes {
    type Io = DuplexStream;

    async fn dial(&self, _host: &str, _port: u16) -> io::Result<DuplexStream> {
        let (ours, theirs) = duplex(64 * 1024);
        let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
        self.0.send(theirs).await.map_err(refused)?;
        Ok(ours)
    }
}

impl Plot {
    /// Sets the stage.
    pub fn stage(self) -> Stage {
        let folder = tempfile::Builder::new().prefix("hp-").tempdir().unwrap();
        let clock = Clock::system();
        let metrics = Arc::new(Metrics::new());
        let settings = audit::Settings {
            segment_bytes: 1 << 30,
            ..audit::Settings::new(folder.path().join("audit"), SigningKey::generate())
        };
        let (recorder, _) = Recorder::start(&settings, clock.clone(), metrics.clone()).unwrap();
        let admission = Admission::new(ServerKey::generate(), clock.clone(), metrics.clone());
        let session = session("maya", clock.now());
        let desk = Scripted::new(clock.clone());
        assert!(admission.open(&session));
        let targets = Targets::default();
        targets.replace(vec![self.target()]);
        let (fakes, dialled) = mpsc::channel(8);
        let proxy = Proxy {
            settings: Settings {
                sni_suffix: Some(SUFFIX.to_owned()),
                handshake_timeout: self.handshake_timeout,
                connect_timeout: self.connect_timeout,
                unauthenticated_per_address: 64,
                notices: Vec::new(),
            },
            targets,
            admission: Arc::new(admission),
            desk: Arc::clone(&desk) as Arc<dyn Desk>,
            waiting: Waiting::default(),
            recorder,
            metrics,
            tls: self.tls.then(|| Arc::new(certificate(&folder, &clock))),
            clock: clock.clone(),
            denials: Denials::default(),
            cancels: Cancels::default(),
            dialer: Fakes(fakes),
            shutdown: CancellationToken::new(),
        };
        Stage {
            proxy: Arc::new(proxy),
            dialled: Mutex::new(dialled),
            desk,
            clock,
            folder,
            session: session.id,
        }
    }

    fn target(&self) -> ProxyTarget {
        let tls = self
            .upstream_tls
            .then(|| UpstreamTls::load(Verification::None, None, None).unwrap());
        let target = Target {
            name: "orders-ro".parse().unwrap(),
            description: String::new(),
            databases: Databases::All,
            default_database: "orders".to_owned(),
            max_duration: Duration::from_secs(3600),
            max_connections: 100,
            idle_timeout: None,
            replication: false,
            terms: Terms::default(),
            owners: Vec::new(),
            environment: "production".into(),
            read_only: false,
            labels: Vec::new(),
        };
        let endpoint = Endpoint {
            host: "upstream.example.com".to_owned(),
            port: 5432,
            role: "orders_ro".to_owned(),
            password: self.password.map(Secret::new),
            tls,
        };
        ProxyTarget::new(target, endpoint, Redaction::None)
    }
}

fn session(holder: &str, now: Timestamp) -> Session {
    Session {
        id: SessionId::from_random(7),
        request: RequestId::from_random(7),
        principal: holder.parse().unwrap(),
        target: "orders-ro".parse().unwrap(),
        reason: "INC-4312".to_owned(),
        approved_by: "dana".parse().unwrap(),
        starts_at: now,
        expires_at: Timestamp::from_second(now.as_second() + 3600).unwrap(),
        state: SessionState::Active,
        version: 1,
    }
}

fn certificate(folder: &TempDir, clock: &Clock) -> ServerTls {
    let files = ServerFiles {
        certificate: folder.path().join("server.crt"),
        key: folder.path().join("server.key"),
    };
    ServerTls::self_signed(files, "localhost", clock.now()).unwrap()
}

impl Stage {
    /// Without TLS, and with long timeouts.
    pub fn new() -> Self {
        Plot::default().stage()
    }

    /// With TLS required of clients.
    pub fn with_tls() -> Self {
        let plot = Plot {
            tls: true,
            ..Plot::default()
        };
        plot.stage()
    }

    /// Opens a session for orders-ro; when it ends.
    pub fn open(&self, holder: &str) -> Timestamp {
        let session = session(holder, self.clock.now());
        assert!(self.proxy.admission.open(&session));
        session.expires_at
    }

    /// The session's secret.
    pub fn secret(&self) -> String {
        let secret = self.proxy.admission.secret(self.session);
        secret.expose().to_owned()
    }

    /// A client's socket, which hallpass serves.
    pub fn client(&self) -> Wire<DuplexStream> {
        let (ours, theirs) = duplex(64 * 1024);
        let peer = SocketAddr::from(([192, 0, 2, 1], 50_000));
        let place = Unauthenticated::uncounted();
        tokio::spawn(serve(Arc::clone(&self.proxy), theirs, peer, place));
        Wire::new(ours)
    }

    /// The upstream that is dialled next.
    pub async fn upstream(&self) -> Wire<DuplexStream> {
        let mut dialled = self.dialled.lock().await;
        let next = tokio::time::timeout(Duration::from_secs(30), dialled.recv()).await;
        let next = next.expect("the upstream is dialled");
        Wire::new(next.expect("the proxy is there"))
    }

    /// Takes cancels as a server does, until it is dropped.
    pub async fn ignore_cancels(&self) {
        loop {
            self.upstream().await.packet().await;
        }
    }

    /// Whether an upstream was dialled that no test has taken.
    pub async fn has_dialled(&self) -> bool {
        !self.dialled.lock().await.is_empty()
    }

    /// From now on nobody listens at the upstream's address.
    pub async fn no_upstream(&self) {
        self.dialled.lock().await.close();
    }

    /// A client and an upstream, both of which hallpass has made ready.
    pub async fn connection(&self) -> (Wire<DuplexStream>, Wire<DuplexStream>, Greeting) {
        let mut client = self.client();
        let secret = self.secret();
        let (greeting, upstream) = tokio::join!(client.login(USER, "orders", &secret), async {
            let mut upstream = self.upstream().await;
            upstream.welcome(PROCESS_ID, SECRET).await;
            upstream
        });
        (client, upstream, greeting.unwrap())
    }

    /// Every audit record so far.
    pub fn records(&self) -> Vec<Record> {
        let folder = self.folder.path().join("audit");
        let records = audit::reader::records(&folder).unwrap();
        records.map(|record| record.unwrap()).collect()
    }
}

/// Holds a paused clock still: it moves when the test moves it, not whenever nothing but the
/// recorder's thread is at work.
pub struct Still(
    #[expect(dead_code, reason = "dropping it is what counts")] std::sync::mpsc::SyncSender<()>,
);

impl Still {
    /// Until it is dropped.
    pub fn hold() -> Self {
        let (until, dropped) = std::sync::mpsc::sync_channel(1);
        // tokio does not advance a paused clock while something blocks. Should the test wait for
        // ever, let go in the end, so that its own timeouts come.
        let limit = Duration::from_secs(20);
        tokio::task::spawn_blocking(move || dropped.recv_timeout(limit));
        Self(until)
    }
}
