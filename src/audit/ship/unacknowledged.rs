//! How much of what was written to a TCP connection its other end has not acknowledged.
//!
//! The kernel is asked by netlink (sock_diag(7)), as `ss` does, for that needs no `unsafe`. Where it
//! does not answer (a sandbox without netlink), the send buffer is kept small instead: what is not
//! acknowledged is in there, so no more than fits can be.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpStream;

/// `AF_NETLINK` and `NETLINK_SOCK_DIAG`.
const NETLINK: i32 = 16;
const SOCK_DIAG: i32 = 4;
/// The request's and the answer's type, `SOCK_DIAG_BY_FAMILY`; `NLM_F_REQUEST`.
const BY_FAMILY: u16 = 20;
const REQUEST: u16 = 1;
const TCP: u8 = 6;
/// Bytes of a netlink header and of `inet_diag_req_v2`.
const LENGTH: u32 = 16 + 56;
/// Where the answer says in which state it is: `ESTABLISHED`, or `CLOSE_WAIT`.
const STATE: usize = 16 + 1;
const ALIVE: [u8; 2] = [1, 8];
/// Where the answer says how much is not acknowledged: behind that header, in `inet_diag_msg`.
const WRITE_QUEUE: usize = 16 + 60;
/// It answers at once.
const PATIENCE: Duration = Duration::from_millis(100);
/// Bytes of the send buffer where it does not answer.
const SMALL: usize = 64 * 1024;

/// What is known of one connection.
pub(super) enum Unacknowledged {
    /// The kernel knows.
    Asked {
        netlink: Socket,
        local: SocketAddr,
        peer: SocketAddr,
    },
    /// Never more than these bytes.
    AtMost(u64),
}

impl Unacknowledged {
    /// Of this connection.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(super) fn of(connection: &TcpStream) -> io::Result<Self> {
        match Self::asked(connection) {
            Ok(asked) => Ok(asked),
            Err(_) => Self::limited(connection),
        }
    }

    fn asked(connection: &TcpStream) -> io::Result<Self> {
        let protocol = Some(Protocol::from(SOCK_DIAG));
        let netlink = Socket::new(Domain::from(NETLINK), Type::DGRAM, protocol)?;
        netlink.set_read_timeout(Some(PATIENCE))?;
        let (local, peer) = (connection.local_addr()?, connection.peer_addr()?);
        ask(&netlink, local, peer)?;
        Ok(Self::Asked {
            netlink,
            local,
            peer,
        })
    }

    fn limited(connection: &TcpStream) -> io::Result<Self> {
        let socket = SockRef::from(connection);
        socket.set_send_buffer_size(SMALL)?;
        // As the kernel counts it; and it takes a little more than it has room for.
        let buffer = socket.send_buffer_size()?.max(SMALL);
        Ok(Self::AtMost(2 * buffer as u64))
    }

    /// How many bytes at most. All, if the kernel knows no such connection any more.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Asked {
                netlink,
                local,
                peer,
            } => ask(netlink, *local, *peer).map_or(u64::MAX, u64::from),
            Self::AtMost(bytes) => *bytes,
        }
    }
}

fn ask(mut netlink: &Socket, local: SocketAddr, peer: SocketAddr) -> io::Result<u32> {
    netlink.write_all(&request(local, peer))?;
    let mut answer = [0; 8192];
    let length = netlink.read(&mut answer)?;
    let answer = &answer[..length];
    let is_found = answer.get(4..6) == Some(BY_FAMILY.to_ne_bytes().as_slice());
    // What is left of a connection that is over says nothing of what was in it.
    let is_alive = answer.get(STATE).is_some_and(|state| ALIVE.contains(state));
    if !is_found || !is_alive {
        return Err(io::ErrorKind::NotFound.into());
    }
    let bytes = answer.get(WRITE_QUEUE..WRITE_QUEUE + 4);
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(u32::from_ne_bytes)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A request for one connection: a netlink header and an `inet_diag_req_v2`.
fn request(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let family = if local.is_ipv4() { 2 } else { 10 };
    let mut request = Vec::with_capacity(LENGTH as usize);
    request.extend(LENGTH.to_ne_bytes());
    request.extend(BY_FAMILY.to_ne_bytes());
    request.extend(REQUEST.to_ne_bytes());
    // Sequence and sender; then nothing beyond the basics, in any state.
    request.extend([0; 8]);
    request.extend([family, TCP, 0, 0]);
    request.extend(u32::MAX.to_ne_bytes());
    request.extend(local.port().to_be_bytes());
    request.extend(peer.port().to_be_bytes());
    request.extend(padded(local.ip()));
    request.extend(padded(peer.ip()));
    // Any interface, and no cookie.
    request.extend([0; 4]);
    request.extend([0xff; 8]);
    request
}

fn padded(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut padded = [0; 16];
            padded[..4].copy_from_slice(&ip.octets());
            padded
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair(address: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(address).await.unwrap();
        // So little that most of what comes stays with the sender.
        SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (sender.unwrap(), accepted.unwrap().0)
    }

    fn fill(sender: &TcpStream) -> u64 {
        let (mut written, zeros) = (0, [0; 4096]);
        while let Ok(more) = sender.try_write(&zeros) {
            written += more as u64;
        }
        written
    }

    #[tokio::test]
    async fn what_the_receiver_does_not_take_is_not_acknowledged() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (mut sender, mut receiver) = pair(address).await;
            let known = Unacknowledged::of(&sender).unwrap();
            assert!(matches!(known, Unacknowledged::Asked { .. }));
            assert_eq!(known.bytes(), 0);
            sender.writable().await.unwrap();
            let written = fill(&sender);
            let left = known.bytes();
            assert!(left > 10_000 && left <= written, "{left} of {written}");
            sender.shutdown().await.unwrap();
            let mut all = Vec::new();
            receiver.read_to_end(&mut all).await.unwrap();
            assert_eq!(all.len() as u64, written);
            drop((sender, receiver));
            assert_eq!(known.bytes(), u64::MAX);
        }
    }

    #[tokio::test]
    async fn without_an_answer_no_more_is_written_ahead_than_is_said() {
        let (sender, mut receiver) = pair("127.0.0.1:0").await;
        let known = Unacknowledged::limited(&sender).unwrap();
        let asked = Unacknowledged::asked(&sender).unwrap();
        sender.writable().await.unwrap();
        for _ in 0..50 {
            fill(&sender);
            assert!(asked.bytes() <= known.bytes());
            receiver.read_exact(&mut [0; 1500]).await.unwrap();
        }
    }
}
