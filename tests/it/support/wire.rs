//! PostgreSQL's protocol by hand, over anything: a client, or a server, that says what no library
//! would. Its framing is its own, so that hallpass' is not checked against itself.

mod messages;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use hallpass::tls::{UpstreamTls, Verification, certificate_hash};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub use self::messages::*;

/// How long one answer may take before the test fails.
const LIMIT: Duration = Duration::from_secs(30);

/// A tagged message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its tag.
    pub tag: u8,
    /// What follows its length.
    pub body: Bytes,
}

/// The fields of an ErrorResponse or NoticeResponse by their tag.
pub type Fields = BTreeMap<char, String>;

/// What the server said up to its first ReadyForQuery.
#[derive(Debug, Default)]
pub struct Greeting {
    /// NegotiateProtocolVersion: the version and the options that it does not know.
    pub negotiated: Option<(u32, Vec<String>)>,
    /// ParameterStatus.
    pub parameters: BTreeMap<String, String>,
    /// BackendKeyData: what a CancelRequest must hold.
    pub key: Bytes,
    /// ReadyForQuery's transaction status.
    pub status: u8,
}

impl Frame {
    /// The fields of an ErrorResponse.
    ///
    /// # Panics
    /// If it is none, or lacks what every error must have.
    pub fn error(&self) -> Fields {
        assert_eq!(self.tag, b'E', "{self:?}");
        let fields = self.fields();
        for tag in ['S', 'V', 'C', 'M'] {
            assert!(fields.contains_key(&tag), "no {tag} in {fields:?}");
        }
        fields
    }

    /// The fields of a NoticeResponse.
    ///
    /// # Panics
    /// If it is none.
    pub fn notice(&self) -> Fields {
        assert_eq!(self.tag, b'N', "{self:?}");
        self.fields()
    }

    fn fields(&self) -> Fields {
        let fields = self.body.strip_suffix(b"\0\0").expect("an end of fields");
        fields
            .split(|&byte| byte == 0)
            .map(|field| {
                let (tag, value) = field.split_first().expect("no field is empty");
                (
                    char::from(*tag),
                    String::from_utf8_lossy(value).into_owned(),
                )
            })
            .collect()
    }

    /// The strings of a body that is nothing else.
    pub fn strings(&self) -> Vec<String> {
        let body = self.body.strip_suffix(b"\0").unwrap_or(&self.body);
        body.split(|&byte| byte == 0)
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect()
    }
}

/// One side of a connection.
pub struct Wire<S> {
    io: S,
    read: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Over `io`, with nothing said yet.
    pub fn new(io: S) -> Self {
        Self {
            io,
            read: BytesMut::new(),
        }
    }

    /// What it goes over; nothing may have been read ahead.
    pub fn into_io(self) -> S {
        assert!(self.read.is_empty(), "unread: {:?}", self.read);
        self.io
    }

    /// Sends bytes; fails if the other side is gone.
    pub async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let send = async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        };
        timeout(LIMIT, send).await.expect("the other side reads")
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.unwrap();
    }

    /// Sends bytes one by one.
    pub async fn dribble(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(&[*byte]).await;
            tokio::task::yield_now().await;
        }
    }

    /// Says that no more is to come.
    pub async fn finish(&mut self) {
        // It may have been closed by the other side already.
        let _ = self.io.shutdown().await;
    }

    /// Reads once; `false` at the end, which may be a reset.
    async fn fill(&mut self) -> bool {
        self.read.reserve(64 * 1024);
        let read = timeout(LIMIT, self.io.read_buf(&mut self.read)).await;
        matches!(read.expect("an answer"), Ok(1..))
    }

    async fn fill_to(&mut self, len: usize) -> bool {
        while self.read.len() < len {
            if !self.fill().await {
                return false;
            }
        }
        true
    }

    /// The next byte.
    pub async fn byte(&mut self) -> u8 {
        assert!(self.fill_to(1).await, "the end, and a byte was due");
        self.read.get_u8()
    }

    /// The next message; `None` at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        if !self.fill_to(5).await {
            assert!(self.read.is_empty(), "half a message: {:?}", self.read);
            return None;
        }
        let len = u32::from_be_bytes(*self.read[1..].first_chunk().expect("five bytes"));
        let len = len as usize + 1;
        assert!(self.fill_to(len).await, "half a message: {:?}", self.read);
        let mut frame = self.read.split_to(len).freeze();
        Some(Frame {
            tag: frame.get_u8(),
            body: frame.slice(4..),
        })
    }

    /// The next message.
    pub async fn frame(&mut self) -> Frame {
        self.next().await.expect("a message, not the end")
    }

    /// The messages up to one with that tag, which is the last.
    pub async fn until(&mut self, tag: u8) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            frames.push(self.frame().await);
            if frames.last().is_some_and(|frame| frame.tag == tag) {
                return frames;
            }
        }
    }

    /// The next bytes, whatever they are.
    pub async fn exactly(&mut self, len: usize) -> Bytes {
        assert!(self.fill_to(len).await, "the end, and {len} bytes were due");
        self.read.split_to(len).freeze()
    }

    /// The next startup packet without its length.
    pub async fn packet(&mut self) -> Bytes {
        assert!(self.fill_to(4).await, "the end, and a packet was due");
        let len = self.read.get_u32() as usize - 4;
        assert!(self.fill_to(len).await, "half a packet");
        self.read.split_to(len).freeze()
    }

    /// Everything up to the end.
    pub async fn rest(&mut self) -> Bytes {
        while self.fill().await {}
        self.read.split().freeze()
    }

    /// The only thing still to come is an error and the end.
    pub async fn refused(&mut self) -> Fields {
        let error = self.frame().await.error();
        assert_eq!(self.next().await, None, "behind {error:?}");
        error
    }

    /// Nothing more comes but the end.
    pub async fn closed(&mut self) {
        assert_eq!(self.rest().await, "", "nothing but the end");
    }

    /// Runs a simple query to its ReadyForQuery.
    pub async fn query(&mut self, sql: &str) -> Vec<Frame> {
        self.send(&query(sql)).await;
        self.until(b'Z').await
    }

    /// Sends a StartupMessage of protocol 3.0 and logs in without channel binding.
    ///
    /// # Errors
    /// What the server refused it with.
    pub async fn login(
        &mut self,
        user: &str,
        database: &str,
        password: &str,
    ) -> Result<Greeting, Fields> {
        let parameters = [("user", user), ("database", database)];
        self.send(&startup(3, 0, &parameters)).await;
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        self.authenticate("SCRAM-SHA-256", &mut scram).await
    }

    /// Everything from behind the StartupMessage to ReadyForQuery.
    ///
    /// # Errors
    /// What the server refused it with.
    pub async fn authenticate(
        &mut self,
        mechanism: &str,
        scram: &mut ScramSha256,
    ) -> Result<Greeting, Fields> {
        let mut greeting = Greeting::default();
        loop {
            let frame = self.frame().await;
            match frame.tag {
                b'R' => self.challenged(&frame.body, mechanism, scram).await,
                b'v' => greeting.negotiated = Some(negotiated(&frame)),
                b'S' => {
                    let mut strings = frame.strings().into_iter();
                    let pair = strings.next().zip(strings.next());
                    greeting.parameters.extend(pair);
                }
                b'K' => greeting.key = frame.body,
                b'Z' => {
                    greeting.status = frame.body[0];
                    return Ok(greeting);
                }
                b'N' => {}
                _ => return Err(frame.error()),
            }
        }
    }

    async fn challenged(&mut self, body: &Bytes, mechanism: &str, scram: &mut ScramSha256) {
        let (code, data) = body.split_first_chunk::<4>().expect("a code");
        match u32::from_be_bytes(*code) {
            0 => {}
            10 => {
                let initial = initial_response(mechanism, scram.message());
                self.send(&message(b'p', &initial)).await;
            }
            11 => {
                scram.update(data).unwrap();
                let answer = scram.message().to_vec();
                self.send(&message(b'p', &answer)).await;
            }
            12 => scram.finish(data).unwrap(),
            code => panic!("authentication method {code}"),
        }
    }

    /// As a server: takes the StartupMessage, without authentication, and is ready. What it said.
    pub async fn welcome(&mut self, process_id: i32, secret: &[u8]) -> Bytes {
        let startup = self.packet().await;
        self.send(&welcome(process_id, secret)).await;
        startup
    }

    /// TLS for `name`, begun at once; `alpn` may be empty.
    ///
    /// # Errors
    /// What rustls says.
    pub async fn tls(self, name: &str, alpn: &[&[u8]]) -> io::Result<Wire<TlsStream<S>>> {
        let mut config = (*UpstreamTls::load(Verification::None, None, None)
            .unwrap()
            .config)
            .clone();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let tls = timeout(LIMIT, connector.connect(name, self.into_io())).await;
        Ok(Wire::new(tls.expect("a TLS handshake")?))
    }

    /// TLS for `name`, asked for first.
    pub async fn ask_for_tls(mut self, name: &str) -> Wire<TlsStream<S>> {
        self.send(SSL_REQUEST).await;
        assert_eq!(self.byte().await, b'S');
        self.tls(name, &[]).await.unwrap()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<TlsStream<S>> {
    /// The certificate that the server has shown.
    pub fn certificate(&self) -> Vec<u8> {
        let (_, session) = self.io.get_ref();
        session.peer_certificates().expect("a certificate")[0].to_vec()
    }

    /// What SCRAM is bound to here.
    pub fn binding(&self) -> ChannelBinding {
        let hash = certificate_hash(&self.certificate()).expect("a signature that names its hash");
        ChannelBinding::tls_server_end_point(hash)
    }
}

fn negotiated(frame: &Frame) -> (u32, Vec<String>) {
    let mut body = frame.body.clone();
    let (version, count) = (body.get_u32(), body.get_u32());
    let rest = Frame { tag: b'v', body };
    let options = match rest.body.is_empty() {
        true => Vec::new(),
        false => rest.strings(),
    };
    assert_eq!(options.len(), count as usize, "{options:?}");
    (version, options)
}
