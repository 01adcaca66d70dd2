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
const GRACE: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 5000 });
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::http::HeaderMap;
    use axum::routing::get;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

    async fn whoever(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
        format!("hello {}", peer.ip())
    }

    /// Answers in its own time.
    async fn slow(head: HeaderMap) -> &'static str {
        begun(&head).await;
        tokio::time::sleep(GRACE / 5).await;
        "done"
    }

    async fn endless(head: HeaderMap) {
        begun(&head).await;
        std::future::pending::<()>().await;
    }

    /// Tells the test that the handler runs.
    async fn begun(head: &HeaderMap) {
        let listener = head["begun"].to_str().unwrap();
        drop(TcpStream::connect(listener).await.unwrap());
    }

    async fn start(
        tls: Option<Tls>,
    ) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let router = Router::new()
            .route("/", get(whoever))
            .route("/slow", get(slow))
            .route("/endless", get(endless));
        let server = tokio::spawn(serve(listener, tls, router, shutdown.clone()));
        (address, shutdown, server)
    }

    fn self_signed() -> (Tls, tokio_rustls::TlsConnector) {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = certified.cert.der().clone();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        server.alpn_protocols = vec![b"postgresql".to_vec()];
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let mut client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        (
            Arc::new(ArcSwap::from_pointee(server)),
            Arc::new(client).into(),
        )
    }

    async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
        stream.write_all(GET).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn peers_that_say_nothing_keep_nobody_waiting_nor_the_shutdown() {
        let (tls, connector) = self_signed();
        let (address, shutdown, server) = start(Some(tls)).await;
        let mut silent = Vec::new();
        for _ in 0..50 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = connector.connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let answer = ask(stream).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello 127.0.0.1"),
            "{answer}"
        );
        let started = Instant::now();
        shutdown.cancel();
        server.await.unwrap();
        assert!(started.elapsed() < GRACE);
    }

    #[tokio::test]
    async fn without_tls_garbage_gets_an_answer() {
        let (address, shutdown, server) = start(None).await;
        let mut garbage = TcpStream::connect(address).await.unwrap();
        let hello = b"\x16\x03\x01 not HTTP\r\n\r\n";
        garbage.write_all(hello).await.unwrap();
        let mut answer = String::new();
        garbage.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        let whole = ask(TcpStream::connect(address).await.unwrap()).await;
        assert!(whole.ends_with("hello 127.0.0.1"));
        shutdown.cancel();
        server.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn at_a_shutdown_what_runs_is_answered_and_what_never_ends_is_cut() {
        let (address, shutdown, server) = start(None).await;
        let begun = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ear = begun.local_addr().unwrap();
        let mut sockets = Vec::new();
        for path in ["slow", "endless"] {
            let mut socket = TcpStream::connect(address).await.unwrap();
            let head = format!("GET /{path} HTTP/1.1\r\nHost: x\r\nBegun: {ear}\r\n\r\n");
            socket.write_all(head.as_bytes()).await.unwrap();
            begun.accept().await.unwrap();
            sockets.push(socket);
        }
        shutdown.cancel();
        let mut answer = String::new();
        sockets[0].read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("done"), "{answer}");
        let bounded = tokio::time::timeout(GRACE * 4, server).await;
        bounded.unwrap().unwrap();
    }
}
