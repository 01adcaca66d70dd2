//! From the first byte to a StartupMessage or a CancelRequest (manual section 55.2).

use std::sync::Arc;

use pgwire::messages::startup::Authentication;
use tokio_rustls::TlsAcceptor;

use super::dial::Io;
use super::refusal::Refusal;
use crate::pg::Stream;
use crate::pg::startup::{CancelKey, Packet, Startup};
use crate::tls::{Identity, MaybeTls, Rewound, ServerTls};

/// The first byte of a TLS handshake: a client that does not ask first (PostgreSQL 17).
const TLS_HANDSHAKE: u8 = 0x16;

/// What a client turned out to want.
pub(super) enum Opening<S> {
    /// A session.
    Startup(Client<S>),
    /// To cancel a statement of another connection.
    Cancel(CancelKey),
}

/// A client that has said what it wants.
pub(super) struct Client<S> {
    pub(super) stream: Stream<MaybeTls<S>>,
    pub(super) startup: Startup,
    pub(super) tls: Option<ClientTls>,
    /// It has got AuthenticationOk.
    pub(super) welcome: bool,
}

impl<S: Io> Client<S> {
    /// Tells the client that it is known, once.
    ///
    /// # Errors
    /// [`Refusal::Stream`]
    pub(super) async fn welcome(&mut self) -> Result<(), Refusal> {
        if !std::mem::replace(&mut self.welcome, true) {
            let known = self.stream.queue(&Authentication::Ok);
            known.map_err(|malformed| Refusal::Stream(malformed.into()))?;
            self.stream.flush().await?;
        }
        Ok(())
    }
}

/// TLS towards a client.
pub(super) struct ClientTls {
    /// The certificate that this client was shown.
    pub(super) identity: Arc<Identity>,
    /// The name that it asked for.
    pub(super) server_name: Option<String>,
    /// Version and cipher, for the audit.
    pub(super) description: String,
}

/// A client that was refused, and the stream to tell it on where there is one.
pub(super) struct Refused<S> {
    pub(super) refusal: Refusal,
    pub(super) stream: Option<Box<Stream<MaybeTls<S>>>>,
}

impl<S, E: Into<Refusal>> From<E> for Refused<S> {
    fn from(refusal: E) -> Self {
        Self {
            refusal: refusal.into(),
            stream: None,
        }
    }
}

impl<S> Refused<S> {
    fn told(refusal: impl Into<Refusal>, stream: Stream<MaybeTls<S>>) -> Self {
        Self {
            refusal: refusal.into(),
            stream: Some(Box::new(stream)),
        }
    }
}

/// Reads up to the message that says what the client wants. `tls`: required if given.
///
/// # Errors
/// [`Refused`]
pub(super) async fn handshake<S: Io>(
    socket: S,
    tls: Option<&ServerTls>,
) -> Result<Opening<S>, Refused<S>> {
    let mut stream = Stream::new(MaybeTls::Plain(socket));
    let first = stream.peek().await?;
    if first == TLS_HANDSHAKE
        && let Some(tls) = tls
    {
        let (stream, tls) = accept(stream, tls).await?;
        let alpn = stream
            .io()
            .tls()
            .and_then(|tls| tls.get_ref().1.alpn_protocol());
        if !Identity::is_postgresql(alpn) {
            return Err(Refusal::Protocol("direct TLS without ALPN postgresql").into());
        }
        return startup(stream, Some(tls)).await;
    }
    negotiate(stream, tls).await
}

/// At most one SSLRequest and one GSSENCRequest, then the message proper.
async fn negotiate<S: Io>(
    mut stream: Stream<MaybeTls<S>>,
    tls: Option<&ServerTls>,
) -> Result<Opening<S>, Refused<S>> {
    let (mut ssl_asked, mut gss_asked) = (false, false);
    loop {
        let packet = match stream.packet().await {
            Ok(packet) => packet,
            Err(error) => return Err(Refused::told(error, stream)),
        };
        match packet {
            Packet::Ssl if !ssl_asked => {
                ssl_asked = true;
                if let Some(tls) = tls {
                    return upgrade(stream, tls).await;
                }
                answer(&mut stream, b"N").await?;
            }
            // Never an error: libpq 18 asks for GSS first and for TLS next.
            Packet::Gss if !gss_asked => {
                gss_asked = true;
                answer(&mut stream, b"N").await?;
            }
            Packet::Startup(_) if tls.is_some() => {
                return Err(Refused::told(Refusal::TlsRequired, stream));
            }
            packet => return opening(packet, stream, None),
        }
    }
}

async fn answer<S: Io>(stream: &mut Stream<MaybeTls<S>>, byte: &[u8]) -> Result<(), Refusal> {
    stream.queue_bytes(byte);
    Ok(stream.flush().await?)
}

async fn upgrade<S: Io>(
    mut stream: Stream<MaybeTls<S>>,
    tls: &ServerTls,
) -> Result<Opening<S>, Refused<S>> {
    // Whatever came behind the request in the clear would be read as if it had come under TLS
    // (CVE-2021-23214 and its kin).
    if stream.has_unread() {
        return Err(Refused::told(Refusal::Stuffed, stream));
    }
    answer(&mut stream, b"S").await?;
    let (stream, tls) = accept(stream, tls).await?;
    startup(stream, Some(tls)).await
}

async fn accept<S: Io>(
    stream: Stream<MaybeTls<S>>,
    tls: &ServerTls,
) -> Result<(Stream<MaybeTls<S>>, ClientTls), Refusal> {
    let (io, read) = stream.into_parts();
    let MaybeTls::Plain(socket) = io else {
        return Err(Refusal::Protocol("TLS inside TLS"));
    };
    let identity = tls.identity();
    let tls = TlsAcceptor::from(Arc::clone(&identity.postgresql))
        .accept(Rewound::new(read.freeze(), socket))
        .await
        .map_err(Refusal::Tls)?;
    let session = tls.get_ref().1;
    let client = ClientTls {
        server_name: session.server_name().map(str::to_owned),
        description: format!(
            "{:?} {:?}",
            session.protocol_version(),
            session.negotiated_cipher_suite().map(|suite| suite.suite())
        )
        .replace("Some(", "")
        .replace(')', ""),
        identity,
    };
    let stream = Stream::new(MaybeTls::Tls(Box::new(tls.into())));
    Ok((stream, client))
}

/// Under TLS only the message proper may come.
async fn startup<S: Io>(
    mut stream: Stream<MaybeTls<S>>,
    tls: Option<ClientTls>,
) -> Result<Opening<S>, Refused<S>> {
    match stream.packet().await {
        Ok(packet) => opening(packet, stream, tls),
        Err(error) => Err(Refused::told(error, stream)),
    }
}

fn opening<S: Io>(
    packet: Packet,
    stream: Stream<MaybeTls<S>>,
    tls: Option<ClientTls>,
) -> Result<Opening<S>, Refused<S>> {
    match packet {
        Packet::Startup(startup) => Ok(Opening::Startup(Client {
            stream,
            startup,
            tls,
            welcome: false,
        })),
        Packet::Cancel(key) => Ok(Opening::Cancel(key)),
        Packet::Unsupported { major, minor } => {
            Err(Refused::told(Refusal::Version(major, minor), stream))
        }
        Packet::Ssl | Packet::Gss => {
            let refusal = Refusal::Protocol("encryption was asked for twice");
            Err(Refused::told(refusal, stream))
        }
    }
}
