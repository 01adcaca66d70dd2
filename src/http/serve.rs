//! Serves a router on a socket, with or without TLS. Each peer has its own task from the first
//! byte on, so a slow or silent one keeps nobody else waiting.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// The TLS configuration in use; may be swapped at any time.
pub type Tls = Arc<ArcSwap<ServerConfig>>;

/// Sockets open at a time; more wait in the kernel's queue.
const SOCKETS: usize = 1024;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a request's head may take, and how long a socket may be idle between two.
const HEAD: Duration = Duration::from_secs(30);
/// Bytes that are buffered of a request's head.
const HEAD_BYTES: usize = 64 * 1024;
/// How long running requests have at a shutdown.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait when the process has no more file descriptors.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Serves `router` until `shutdown`; then accepts nothing, and returns when the requests that run
/// are answered or have had their grace. Handlers find the peer in `ConnectInfo<SocketAddr>`.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    shutdown: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let server = Server {
        router,
        tls,
        shutdown: shutdown.clone(),
        abort: CancellationToken::new(),
    };
    let sockets = Arc::new(Semaphore::new(SOCKETS));
    while let Some((stream, peer, slot)) = accept(&listener, &sockets, &shutdown).await {
        tasks.spawn(server.clone().peer(stream, peer, slot));
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
        server.abort.cancel();
        tasks.wait().await;
    }
}

/// The next socket and its slot; `None` at shutdown.
async fn accept(
    listener: &TcpListener,
    sockets: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let next = async {
        let slot = Arc::clone(sockets).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((stream, peer, slot)),
                Err(error) => {
                    tracing::warn!(%error, "a socket could not be accepted");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        accepted = next => accepted,
    }
}

#[derive(Clone)]
struct Server {
    router: Router,
    tls: Option<Tls>,
    shutdown: CancellationToken,
    /// The grace is over.
    abort: CancellationToken,
}

impl Server {
    async fn peer(self, stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit) {
        let abort = self.abort.clone();
        tokio::select! {
            () = self.greet(stream, peer) => {}
            () = abort.cancelled() => {}
        }
        drop(slot);
    }

    async fn greet(self, stream: TcpStream, peer: SocketAddr) {
        // Answers are small and whole: nothing is gained by waiting for more to send.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return self.http(stream, peer).await;
        };
        let handshake = TlsAcceptor::from(for_http(&tls.load())).accept(stream);
        let shutdown = self.shutdown.clone();
        let stream = tokio::select! {
            stream = tokio::time::timeout(HANDSHAKE, handshake) => stream,
            () = shutdown.cancelled() => return,
        };
        match stream {
            Ok(Ok(stream)) => self.http(stream, peer).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS failed"),
            Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
        }
    }

    async fn http<S>(self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = self.router;
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%peer, %error, "an HTTP connection failed");
        }
    }
}

/// The same certificates, but HTTP's protocol instead of PostgreSQL's.
fn for_http(config: &Arc<ServerConfig>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::clone(config);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}
