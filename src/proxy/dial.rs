//! Opens sockets to upstreams.

use std::future::Future;
use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// What bytes come and go through.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// Opens sockets; what tests put a scripted upstream behind.
pub trait Dial: Send + Sync + 'static {
    /// What is opened.
    type Io: Io;

    /// Opens a socket to `host`, a DNS name or an IP address.
    fn dial(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Self::Io>> + Send;

    /// Closes a socket such that its peer's next write fails, where the transport can.
    fn abort(&self, socket: Self::Io) {
        drop(socket);
    }
}

/// TCP, without delay and with keepalive.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpDialer;

impl Dial for TcpDialer {
    type Io = TcpStream;

    async fn dial(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let socket = TcpStream::connect((host, port)).await?;
        tune(&socket)?;
        Ok(socket)
    }

    fn abort(&self, socket: TcpStream) {
        // A lingering time of zero makes the close a reset.
        let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    }
}

/// Sets what every socket of ours needs: no delay for small messages, and keepalive well below the
/// 350 s after which common NATs forget a connection.
pub(super) fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}
