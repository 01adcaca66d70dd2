//! A receiver that speaks syslog: RFC 5424 messages, by TCP with octet counting (RFC 6587) or by TLS
//! (RFC 5425).
//!
//! Syslog has no acknowledgements: what was written may sit in a buffer of ours, for as long as a
//! slow receiver likes, or of the receiver's when it dies. TCP, though, has them. So what the other
//! machine has acknowledged and was written longer than [`SETTLES`] ago, on a connection that still
//! lives, counts as arrived; the rest counts as sent only, and is sent again on the next connection.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::failure::Failure;
use super::feed::Receiver;
use super::unacknowledged::Unacknowledged;
use crate::audit::follow::{Chunk, Opening};

/// How long written data may stay unacknowledged before TCP gives the connection up.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// What was written so long ago, and acknowledged, on a connection that lives has arrived.
const SETTLES: Duration = Duration::from_secs(25);
/// How long connecting may take, and how long a receiver may take nothing.
const PATIENCE: Duration = Duration::from_secs(10);
const STALLED: Duration = Duration::from_secs(30);
/// Bytes that one write gathers.
const GATHER: usize = 64 * 1024;
/// RFC 5424, 6.2.1.
const INFORMATIONAL: u8 = 6;

/// A receiver that speaks syslog.
#[derive(Clone)]
pub struct SyslogSettings {
    /// A DNS name or an IP address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whom to trust, and who we are; `None`: no TLS.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// RFC 5424's facility, 0 to 23.
    pub facility: u8,
}

/// A syslog receiver.
pub(super) struct Syslog {
    settings: SyslogSettings,
    format: Format,
    connection: Option<Connection>,
    /// What was written and may not have arrived.
    recent: VecDeque<Written>,
    /// The first record that may not have arrived; `None`: nothing was written.
    settled: Option<u64>,
}

struct Connection {
    stream: Box<dyn Stream>,
    unacknowledged: Unacknowledged,
    /// Bytes that were written, before TLS made more of them.
    written: u64,
}

impl Connection {
    /// How many of its bytes the other machine has, at least.
    fn acknowledged(&self) -> u64 {
        self.written.saturating_sub(self.unacknowledged.bytes())
    }
}

/// Records that were written.
struct Written {
    at: Instant,
    /// Where they end among the connection's bytes.
    bytes: u64,
    /// The sequence after the last.
    end: u64,
}

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

impl Syslog {
    /// A receiver that was not spoken to yet.
    pub(super) fn new(settings: SyslogSettings) -> Self {
        let host = nix::unistd::gethostname().unwrap_or_default();
        let format = Format::new(settings.facility, &host.to_string_lossy());
        Self {
            settings,
            format,
            connection: None,
            recent: VecDeque::new(),
            settled: None,
        }
    }

    async fn connect(&self) -> io::Result<Connection> {
        let address = (self.settings.host.as_str(), self.settings.port);
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(PATIENCE)
            .with_interval(PATIENCE / 2);
        let options = SockRef::from(&socket);
        options.set_tcp_keepalive(&keepalive)?;
        options.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
        Ok(Connection {
            unacknowledged: Unacknowledged::of(&socket)?,
            stream: self.secure(socket).await?,
            written: 0,
        })
    }

    async fn secure(&self, socket: TcpStream) -> io::Result<Box<dyn Stream>> {
        let Some(tls) = &self.settings.tls else {
            return Ok(Box::new(socket));
        };
        let name = ServerName::try_from(self.settings.host.clone()).map_err(io::Error::other)?;
        let tls = TlsConnector::from(Arc::clone(tls));
        Ok(Box::new(tls.connect(name, socket).await?))
    }

    /// A connection that lives, as far as one can tell.
    async fn connected(&mut self) -> io::Result<Connection> {
        if let Some(mut connection) = self.connection.take() {
            match look(&mut connection.stream) {
                Ok(()) => return Ok(connection),
                // A receiver may close a connection on which nothing goes on; nothing is lost.
                Err(_) if self.recent.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        timeout(PATIENCE, self.connect())
            .await
            .map_err(|_| io::ErrorKind::TimedOut)?
    }

    async fn write(&mut self, chunk: &Chunk) -> io::Result<()> {
        self.settle();
        let mut connection = self.connected().await?;
        if self.recent.is_empty() {
            self.settled = Some(chunk.first);
        }
        let mut messages = Vec::with_capacity(GATHER);
        for (seq, line) in chunk.lines() {
            self.format.message(seq, line, &mut messages);
            if messages.len() >= GATHER {
                write(&mut connection, &messages).await?;
                messages.clear();
            }
        }
        write(&mut connection, &messages).await?;
        self.recent.push_back(Written {
            at: Instant::now(),
            bytes: connection.written,
            end: chunk.end(),
        });
        self.connection = Some(connection);
        Ok(())
    }

    fn settle(&mut self) {
        let old = |written: &Written| written.at.elapsed() >= SETTLES;
        let Some(connection) = self.connection.as_ref() else {
            return;
        };
        if !self.recent.front().is_some_and(old) {
            return;
        }
        let acknowledged = connection.acknowledged();
        let settled = |written: &mut Written| old(written) && written.bytes <= acknowledged;
        while let Some(written) = self.recent.pop_front_if(settled) {
            self.settled = Some(written.end);
        }
    }

    /// What has not settled will be sent again, on another connection.
    fn broken(&mut self, error: &io::Error) -> Failure {
        self.connection = None;
        self.recent.clear();
        let SyslogSettings { host, port, .. } = &self.settings;
        Failure::Unreachable(format!("{host}:{port}: {error}"))
    }

    /// Closes our side and waits until the receiver, having read all, closes its own.
    async fn goodbye(&mut self) -> io::Result<()> {
        let Some(Connection { stream, .. }) = &mut self.connection else {
            return Ok(());
        };
        stream.shutdown().await?;
        let mut said = [0; 1024];
        while stream.read(&mut said).await? > 0 {}
        if let Some(last) = self.recent.drain(..).next_back() {
            self.settled = Some(last.end);
        }
        Ok(())
    }
}

async fn write(connection: &mut Connection, messages: &[u8]) -> io::Result<()> {
    let stream = &mut connection.stream;
    let written = async {
        stream.write_all(messages).await?;
        stream.flush().await
    };
    timeout(STALLED, written)
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
    connection.written += messages.len() as u64;
    Ok(())
}

/// Fails if the receiver has closed the connection. What it may say is of no interest.
fn look(connection: &mut Box<dyn Stream>) -> io::Result<()> {
    let mut said = [0; 1024];
    loop {
        match connection.read(&mut said).now_or_never() {
            None => return Ok(()),
            Some(Ok(0)) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error),
        }
    }
}

#[async_trait]
impl Receiver for Syslog {
    async fn send(&mut self, chunk: &Chunk) -> Result<(), Failure> {
        let written = self.write(chunk).await;
        written.map_err(|error| self.broken(&error))
    }

    async fn idle(&mut self) -> Result<(), Failure> {
        self.settle();
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        match look(&mut connection.stream) {
            Err(_) if self.recent.is_empty() => {
                self.connection = None;
                Ok(())
            }
            looked => looked.map_err(|error| self.broken(&error)),
        }
    }

    async fn finish(&mut self) -> Result<(), Failure> {
        let said = self.goodbye().await;
        said.map_err(|error| self.broken(&error))
    }

    fn settled(&mut self, sent: u64) -> u64 {
        self.settle();
        self.settled.unwrap_or(sent)
    }
}

/// What is the same in each message.
#[derive(Debug, Clone)]
struct Format {
    priority: u8,
    /// HOSTNAME, APP-NAME and PROCID.
    origin: String,
}

impl Format {
    fn new(facility: u8, host: &str) -> Self {
        let mut host: String = host
            .chars()
            .filter(char::is_ascii_graphic)
            .take(255)
            .collect();
        if host.is_empty() {
            host.push('-');
        }
        Self {
            priority: facility * 8 + INFORMATIONAL,
            origin: format!("{host} hallpass {}", std::process::id()),
        }
    }

    /// Appends a record as a message: RFC 5424 behind its length.
    fn message(&self, seq: u64, line: &[u8], out: &mut Vec<u8>) {
        let opening: Option<Opening> = serde_json::from_slice(line).ok();
        let (at, kind) = match &opening {
            // RFC 5424 allows six digits of a second, not nine.
            Some(opening) => (format!("{:.6}", opening.at), opening.r#type.as_str()),
            None => ("-".to_owned(), "-"),
        };
        let header = format!(
            "<{}>1 {at} {} {kind} [hallpass@32473 seq=\"{seq}\"] ",
            self.priority, self.origin
        );
        out.extend_from_slice(format!("{} ", header.len() + line.len()).as_bytes());
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many records of 100 bytes.
    fn chunk(first: u64, count: u64) -> Chunk {
        let lines = format!("{}\n", "x".repeat(99)).repeat(usize::try_from(count).unwrap());
        Chunk {
            first,
            count,
            lines: lines.into_bytes(),
        }
    }

    #[tokio::test]
    async fn what_a_slow_receiver_has_not_taken_has_not_arrived_however_long_ago_it_was_written() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
        let mut syslog = Syslog::new(SyslogSettings {
            host: "127.0.0.1".into(),
            port: listener.local_addr().unwrap().port(),
            tls: None,
            facility: 16,
        });
        // It all fits in the sender's queue, and nobody reads it.
        for n in 0..100 {
            syslog.send(&chunk(1 + n * 10, 10)).await.unwrap();
        }
        let (mut receiver, _) = listener.accept().await.unwrap();
        tokio::time::pause();
        tokio::time::advance(SETTLES).await;
        tokio::time::resume();
        let settled = syslog.settled(1001);
        assert!(settled < 900, "{settled}");
        let mut read = vec![0; 4096];
        while syslog.settled(1001) < 1001 {
            _ = receiver.read(&mut read).now_or_never();
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_record_is_an_rfc_5424_message_behind_its_length() {
        let format = Format::new(16, "db 1");
        let line = br#"{"v":1,"seq":8,"at":"2026-11-22T09:04:45.747881937Z","type":"stopped"}"#;
        let mut out = Vec::new();
        format.message(8, line, &mut out);
        let text = String::from_utf8(out).unwrap();
        let (length, message) = text.split_once(' ').unwrap();
        assert_eq!(length.parse(), Ok(message.len()));
        let expected = format!(
            "<134>1 2026-11-22T09:04:45.747881Z db1 hallpass {} stopped [hallpass@32473 seq=\"8\"] {}",
            std::process::id(),
            std::str::from_utf8(line).unwrap()
        );
        assert_eq!(message, expected);
    }
}
