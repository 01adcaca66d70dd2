//! How fast the connections of one session are closed when it expires:
//! `cargo bench --bench endings`, or with `-- --connections 5000`.
//!
//! Clients are a process of their own and come by TCP; the upstreams are in memory, for no machine
//! runs ten thousand backends. Each process holds a descriptor for each connection.

#![expect(clippy::print_stdout, reason = "its figures are for the terminal")]

mod world;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use async_trait::async_trait;
use bytes::BufMut;
use clap::Parser;
use hallpass::access::{Caller, RequestId};
use hallpass::admission::Admission;
use hallpass::asking::{Ask, Asked, Declined, Desk, Verdict};
use hallpass::audit::{Recorder, Redaction, Settings as AuditSettings, SigningKey};
use hallpass::clock::Clock;
use hallpass::proxy::{
    self, Cancels, Denials, Dial, Endpoint, Proxy, ProxyTarget, Targets, Unauthenticated, Waiting,
};
use hallpass::secret::{Secret, ServerKey};
use hallpass::telemetry::Metrics;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::{Semaphore, mpsc};
use tokio_postgres::NoTls;
use world::{session, target};

/// Logins at a time.
const AT_A_TIME: usize = 32;

/// Measures how fast the connections of one session are closed when it expires.
#[derive(Parser)]
struct Options {
    /// How many there are.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    connections: u64,
    /// How long they have to connect.
    #[arg(long, default_value = "90s")]
    session: humantime::Duration,
    /// What `cargo bench` says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
    /// To be the clients: where hallpass is, the secret, and when the session ends.
    #[arg(long, hide = true, num_args = 3)]
    clients: Option<Vec<String>>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    // As hallpass itself has it: one worker, and one that stands by.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    match &options.clients {
        Some(clients) => runtime.block_on(be_clients(&options, clients)),
        None => runtime.block_on(measure(&options)),
    }
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = Clock::system();
    let expires_at = clock.now() + jiff::SignedDuration::try_from(*options.session)?;
    let (proxy, writer) = proxy(folder.path(), &clock)?;
    let session = session(0, clock.now(), expires_at);
    ensure!(proxy.admission.open(&session), "the session is open");
    let secret = proxy.admission.secret(session.id);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(serve(listener, Arc::clone(&proxy)));
    let end = expires_at.to_string();
    let clients = Command::new(std::env::current_exe()?)
        .args(["--connections", &options.connections.to_string()])
        .args(["--clients", &address, secret.expose(), &end])
        .status()
        .await?;
    ensure!(clients.success(), "the clients failed");
    drop(proxy);
    drop(writer);
    Ok(())
}

async fn serve(listener: TcpListener, proxy: Arc<Proxy<Upstreams>>) {
    while let Ok((socket, peer)) = listener.accept().await {
        let place = Unauthenticated::uncounted();
        tokio::spawn(proxy::serve(Arc::clone(&proxy), socket, peer, place));
    }
}

fn proxy(
    folder: &std::path::Path,
    clock: &Clock,
) -> anyhow::Result<(Arc<Proxy<Upstreams>>, tokio::task::JoinHandle<()>)> {
    let metrics = Arc::new(Metrics::new());
    let settings = AuditSettings::new(folder.to_owned(), SigningKey::generate());
    let (recorder, writer) = Recorder::start(&settings, clock.clone(), Arc::clone(&metrics))?;
    let targets = Targets::default();
    let endpoint = Endpoint {
        host: "upstream".to_owned(),
        port: 5432,
        role: "orders_ro".to_owned(),
        password: None,
        tls: None,
    };
    targets.replace(vec![ProxyTarget::new(target(), endpoint, Redaction::None)]);
    let proxy = Proxy {
        settings: proxy::Settings {
            sni_suffix: None,
            handshake_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(30),
            unauthenticated_per_address: u32::MAX,
            notices: Vec::new(),
        },
        targets,
        admission: Arc::new(Admission::new(
            ServerKey::generate(),
            clock.clone(),
            Arc::clone(&metrics),
        )),
        desk: Arc::new(Closed),
        waiting: Waiting::default(),
        recorder,
        clock: clock.clone(),
        metrics,
        tls: None,
        denials: Denials::default(),
        cancels: Cancels::default(),
        dialer: Upstreams,
        shutdown: tokio_util::sync::CancellationToken::new(),
    };
    Ok((Arc::new(proxy), writer))
}

/// Nobody asks.
struct Closed;

#[async_trait]
impl Desk for Closed {
    async fn identify(&self, _: &str, _: &Secret, _: IpAddr) -> Option<Caller> {
        None
    }

    async fn ask(&self, _: &Caller, _: &Ask) -> Result<Asked, Declined> {
        Err(closed())
    }

    async fn decided(&self, _: RequestId) -> Verdict {
        Verdict::Refused(closed())
    }
}

fn closed() -> Declined {
    Declined {
        message: "nothing can be asked for".to_owned(),
        hint: None,
    }
}

/// Servers in memory that let everybody in and then wait for their goodbye.
struct Upstreams;

impl Dial for Upstreams {
    type Io = DuplexStream;

    async fn dial(&self, _: &str, _: u16) -> std::io::Result<DuplexStream> {
        let (near, far) = tokio::io::duplex(4096);
        tokio::spawn(upstream(far));
        Ok(near)
    }
}

/// Each has a process id of its own, as on a server.
static PROCESSES: AtomicU32 = AtomicU32::new(1);

async fn upstream(mut io: DuplexStream) -> std::io::Result<()> {
    let length = io.read_u32().await?;
    let mut startup = vec![0; (length - 4) as usize];
    io.read_exact(&mut startup).await?;
    let mut welcome = Vec::new();
    // AuthenticationOk, BackendKeyData, ReadyForQuery.
    welcome.put_slice(b"R\0\0\0\x08\0\0\0\0");
    welcome.put_slice(b"K\0\0\0\x0c");
    welcome.put_u32(PROCESSES.fetch_add(1, Ordering::Relaxed));
    welcome.put_u32(0);
    welcome.put_slice(b"Z\0\0\0\x05I");
    io.write_all(&welcome).await?;
    let mut rest = Vec::new();
    io.read_to_end(&mut rest).await?;
    Ok(())
}

/// Connects, waits for the end, and says when each connection heard of it.
async fn be_clients(options: &Options, clients: &[String]) -> anyhow::Result<()> {
    let [address, secret, end] = clients else {
        unreachable!("clap takes three");
    };
    let address: SocketAddr = address.parse()?;
    let end: Timestamp = end.parse()?;
    let clock = Clock::system();
    let mut config = tokio_postgres::Config::new();
    config
        .user("person-0~orders-ro")
        .dbname("orders")
        .password(secret);
    let room = usize::try_from(options.connections)?;
    let (told, mut ends) = mpsc::channel(room);
    let (config, gate) = (Arc::new(config), Arc::new(Semaphore::new(AT_A_TIME)));
    let (begun, mut beginnings) = mpsc::channel(room);
    for _ in 0..options.connections {
        let turn = Arc::clone(&gate).acquire_owned().await?;
        let (config, told, begun) = (Arc::clone(&config), told.clone(), begun.clone());
        let clock = clock.clone();
        tokio::spawn(async move {
            let opened = open(address, &config).await;
            drop(turn);
            let Ok((client, connection)) = opened else {
                return;
            };
            _ = begun.send(()).await;
            _ = connection.await;
            _ = told.send(clock.now()).await;
            drop(client);
        });
    }
    drop((told, begun));
    for _ in 0..options.connections {
        beginnings
            .recv()
            .await
            .context("a connection was not let in")?;
    }
    let left = Duration::try_from(end.duration_since(clock.now()));
    let left = left.context("the session was over before all were connected: give it longer")?;
    println!(
        "{} connections, {left:.0?} before the end",
        options.connections
    );
    let mut after = Vec::new();
    while let Some(at) = ends.recv().await {
        let late = Duration::try_from(at.duration_since(end));
        after.push(late.context("a connection ended too early")?);
    }
    after.sort_unstable();
    let at = |share: f64| after[((after.len() - 1) as f64 * share) as usize];
    println!(
        "closed after: first {:.1?}, median {:.1?}, last {:.1?}",
        at(0.0),
        at(0.5),
        at(1.0)
    );
    Ok(())
}

async fn open(
    address: SocketAddr,
    config: &tokio_postgres::Config,
) -> anyhow::Result<(
    tokio_postgres::Client,
    tokio_postgres::Connection<TcpStream, tokio_postgres::tls::NoTlsStream>,
)> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(config.connect_raw(socket, NoTls).await?)
}
