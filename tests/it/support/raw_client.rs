//! A client that speaks the protocol itself, without TLS: it sends what it likes, reads only when
//! it is told to, and sees every message as it comes.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use hallpass::pg::{Frame, Stream};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::login::Login;

/// The longest message that a test reads.
const LONGEST: usize = 64 << 20;
/// The longest that a message may be waited for.
const SILENCE: Duration = Duration::from_secs(90);

/// A logged-in connection.
pub struct RawClient {
    stream: Stream<TcpStream>,
    /// The process id that the server gave.
    pub process_id: i32,
}

/// An ErrorResponse or a NoticeResponse, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// `FATAL`, `ERROR`, `NOTICE`.
    pub severity: String,
    /// SQLSTATE.
    pub code: String,
    /// The message.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Said {
    /// The fields of the message's body.
    pub fn read(mut body: &[u8]) -> Self {
        let mut said = Self::default();
        while let [tag, rest @ ..] = body
            && *tag != 0
        {
            let end = rest.iter().position(|&byte| byte == 0).unwrap();
            let text = String::from_utf8(rest[..end].to_vec()).unwrap();
            match tag {
                b'S' => said.severity = text,
                b'C' => said.code = text,
                b'M' => said.message = text,
                b'H' => said.hint = text,
                _ => {}
            }
            body = &rest[end + 1..];
        }
        said
    }
}

impl RawClient {
    /// Logs in and reads up to the first ReadyForQuery.
    ///
    /// # Panics
    /// If the login is refused.
    pub async fn login(login: &Login) -> Self {
        Self::try_login(login, &[]).await.unwrap()
    }

    /// Logs in with `parameters` more in the startup message.
    ///
    /// # Errors
    /// What the server said.
    pub async fn try_login(login: &Login, parameters: &[(&str, &str)]) -> Result<Self, Said> {
        let socket = TcpStream::connect((login.host.as_str(), login.port))
            .await
            .unwrap();
        socket.set_nodelay(true).unwrap();
        let mut wire = Self {
            stream: Stream::new(socket),
            process_id: 0,
        };
        let own = [("user", &*login.user), ("database", &*login.database)];
        let all = own.iter().chain(parameters).copied();
        wire.put(|buffer| frontend::startup_message(all, buffer).unwrap())
            .await;
        wire.authenticate(login).await?;
        while let Some(frame) = wire.frame().await {
            match frame.tag {
                b'K' => wire.process_id = frame.body.clone().get_i32(),
                b'Z' => return Ok(wire),
                b'E' => return Err(Said::read(&frame.body)),
                _ => {}
            }
        }
        Err(Said::default())
    }

    async fn authenticate(&mut self, login: &Login) -> Result<(), Said> {
        let mut scram = None;
        loop {
            let frame = self.frame().await.ok_or_else(Said::default)?;
            if frame.tag == b'E' {
                return Err(Said::read(&frame.body));
            }
            let mut body = frame.body;
            match body.get_i32() {
                0 => return Ok(()),
                10 => {
                    let unbound = ChannelBinding::unsupported();
                    let begun = ScramSha256::new(login.password.as_bytes(), unbound);
                    let first = begun.message().to_vec();
                    let mechanism = "SCRAM-SHA-256";
                    self.put(|b| frontend::sasl_initial_response(mechanism, &first, b).unwrap())
                        .await;
                    scram = Some(begun);
                }
                11 => {
                    let scram = scram.as_mut().unwrap();
                    scram.update(&body).unwrap();
                    let last = scram.message().to_vec();
                    self.put(|b| frontend::sasl_response(&last, b).unwrap())
                        .await;
                }
                12 => scram.as_mut().unwrap().finish(&body).unwrap(),
                other => panic!("authentication {other}"),
            }
        }
    }

    async fn put(&mut self, message: impl FnOnce(&mut BytesMut)) {
        let mut buffer = BytesMut::new();
        message(&mut buffer);
        self.send(&buffer).await;
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.queue_bytes(bytes);
        self.stream.flush().await.unwrap();
    }

    /// The next message; `None` at the end of the stream, also in the middle of a message.
    ///
    /// # Panics
    /// If nothing comes for longer than any test waits on purpose.
    pub async fn frame(&mut self) -> Option<Frame> {
        let frame = timeout(SILENCE, self.stream.frame(LONGEST)).await;
        frame.expect("something comes").ok()
    }

    /// Reads up to a message of this kind.
    ///
    /// # Panics
    /// If the stream ends before, or an error comes.
    pub async fn until(&mut self, tag: u8) -> Frame {
        loop {
            let frame = self.frame().await.expect("more messages");
            if frame.tag == tag {
                return frame;
            }
            assert_ne!(frame.tag, b'E', "{:?}", Said::read(&frame.body));
        }
    }

    /// Sends a Query and reads up to its ReadyForQuery.
    pub async fn query(&mut self, sql: &str) -> Vec<Frame> {
        self.send(&query(sql)).await;
        let mut frames = Vec::new();
        loop {
            let frame = self.frame().await.expect("more messages");
            let is_last = frame.tag == b'Z';
            frames.push(frame);
            if is_last {
                return frames;
            }
        }
    }

    /// Reads to the end of the stream: the last error, if there was one, and the bytes of a message
    /// that was cut.
    ///
    /// # Panics
    /// If a message follows one that is FATAL.
    pub async fn end(mut self) -> (Option<Said>, Bytes) {
        let mut last = None;
        while let Some(frame) = self.frame().await {
            let fatal = |said: &Said| said.severity == "FATAL";
            assert!(!last.as_ref().is_some_and(fatal), "a message after a FATAL");
            if frame.tag == b'E' {
                last = Some(Said::read(&frame.body));
            }
        }
        let (_, cut) = self.stream.into_parts();
        (last, cut.freeze())
    }

    /// Closes the socket without a word.
    pub async fn hang_up(self) {
        let (mut socket, _) = self.stream.into_parts();
        let _ = socket.shutdown().await;
    }
}

/// A Query message.
pub fn query(sql: &str) -> BytesMut {
    let mut buffer = BytesMut::new();
    frontend::query(sql, &mut buffer).unwrap();
    buffer
}

/// Parse, Bind, Execute of the unnamed statement and portal, with parameters as text; no Sync.
pub fn execute(sql: &str, parameters: &[&str]) -> BytesMut {
    let mut buffer = BytesMut::new();
    frontend::parse("", sql, [], &mut buffer).unwrap();
    let write = |value: &&str, buffer: &mut BytesMut| {
        buffer.extend_from_slice(value.as_bytes());
        Ok(postgres_protocol::IsNull::No)
    };
    let bound = frontend::bind("", "", [], parameters, write, [], &mut buffer);
    assert!(bound.is_ok(), "the values fit");
    frontend::execute("", 0, &mut buffer).unwrap();
    buffer
}

/// A Sync message.
pub const SYNC: &[u8] = b"S\0\0\0\x04";
