//! Opens a connection and logs in (manual section 55.2.1).

use std::io;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::wire::{Lost, error_fields, message};
use crate::pg::startup::{CancelKey, Startup, cancel_request, ssl_request};
use crate::pg::{Frame, Stream};
use crate::secret::Secret;
use crate::tls::{MaybeTls, Rewound, certificate_hash};

/// How long a connection may take until it is ready.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes that a message of the login may have.
const MAX_MESSAGE: usize = 64 * 1024;

/// A socket of either kind.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

/// What a connection goes through.
pub(super) type Io = MaybeTls<Box<dyn Socket>>;

/// A connection that is ready.
pub(super) struct Ready {
    pub(super) stream: Stream<Io>,
    pub(super) key: CancelKey,
}

/// Connects to `database`, with the settings in `parameters`.
///
/// # Errors
/// Why there is no connection, in the server's words if it had some.
pub(super) async fn connect(
    address: &Address,
    database: &str,
    parameters: &[(Bytes, Bytes)],
) -> Result<Ready, Lost> {
    let ready = async {
        let mut stream = Stream::new(open(address).await?);
        let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let ours = [
            (text("user"), text(&address.user)),
            (text("database"), text(database)),
        ];
        let startup = Startup {
            minor: 0,
            parameters: [&ours, parameters].concat(),
        };
        stream.queue_bytes(&startup.encode());
        stream.flush().await?;
        log_in(stream, address).await
    };
    let late = |_| Lost::new("the server did not let us in in time");
    tokio::time::timeout(TIMEOUT, ready).await.map_err(late)?
}

/// Asks the server to cancel what a connection runs.
pub(super) async fn cancel(address: &Address, key: &CancelKey) -> Result<(), Lost> {
    let mut stream = Stream::new(open(address).await?);
    stream.queue_bytes(&cancel_request(key));
    stream.close().await;
    Ok(())
}

async fn open(address: &Address) -> Result<Io, Lost> {
    let at = |error: io::Error| Lost(format!("{}:{}: {error}", address.host, address.port));
    let socket: Box<dyn Socket> = match address.socket() {
        Some(path) => Box::new(UnixStream::connect(path).await.map_err(at)?),
        None => {
            let socket = TcpStream::connect((&*address.host, address.port))
                .await
                .map_err(at)?;
            socket.set_nodelay(true).map_err(at)?;
            Box::new(socket)
        }
    };
    let Some(tls) = &address.tls else {
        return Ok(MaybeTls::Plain(socket));
    };
    let mut stream = Stream::new(socket);
    stream.queue_bytes(&ssl_request());
    stream.flush().await?;
    // Bytes behind the answer, in the clear, would be somebody else's.
    if stream.byte().await? != b'S' || stream.has_unread() {
        return Err(Lost::new(
            "the server does not speak TLS (sslmode=disable goes without)",
        ));
    }
    let (socket, _) = stream.into_parts();
    let name = ServerName::try_from(address.host.clone());
    let name = name.map_err(|_| Lost::new("the host's name is not one for TLS"))?;
    let connector = TlsConnector::from(tls.config.clone());
    let stream = connector
        .connect(name, Rewound::new(Bytes::new(), socket))
        .await
        .map_err(at)?;
    Ok(MaybeTls::Tls(Box::new(stream.into())))
}

async fn log_in(mut stream: Stream<Io>, address: &Address) -> Result<Ready, Lost> {
    let mut key = CancelKey {
        process_id: 0,
        secret: Bytes::new(),
    };
    loop {
        let frame = stream.frame(MAX_MESSAGE).await?;
        match frame.tag {
            b'R' => authenticate(&mut stream, address, &frame.body).await?,
            b'K' => key = cancel_key(&frame.body)?,
            b'E' => {
                let (code, message) = error_fields(&frame.body);
                return Err(Lost(format!("{message} ({code})")));
            }
            b'Z' => return Ok(Ready { stream, key }),
            b'S' | b'N' | b'v' => {}
            _ => return Err(Lost::garbled()),
        }
    }
}

fn cancel_key(body: &Bytes) -> Result<CancelKey, Lost> {
    let (process_id, secret) = body.split_first_chunk::<4>().ok_or_else(Lost::garbled)?;
    Ok(CancelKey {
        process_id: i32::from_be_bytes(*process_id),
        secret: body.slice_ref(secret),
    })
}

async fn authenticate(
    stream: &mut Stream<Io>,
    address: &Address,
    body: &Bytes,
) -> Result<(), Lost> {
    let (code, data) = body.split_first_chunk::<4>().ok_or_else(Lost::garbled)?;
    match u32::from_be_bytes(*code) {
        0 => Ok(()),
        3 if stream.io().tls().is_none() && address.socket().is_none() => Err(Lost::new(
            "the server asks for the password in the clear, without TLS",
        )),
        3 => send_password(stream, password(address)?.expose().as_bytes()).await,
        5 => {
            let salt = data.try_into().map_err(|_| Lost::garbled())?;
            let secret = password(address)?.expose().as_bytes();
            let hash = md5_hash(address.user.as_bytes(), secret, salt);
            send_password(stream, hash.as_bytes()).await
        }
        10 => scram(stream, password(address)?, data).await,
        code => Err(Lost(format!(
            "the server asks for authentication {code}, not known here"
        ))),
    }
}

fn password(address: &Address) -> Result<&Secret, Lost> {
    let missing = || Lost::new("the server asks for a password: set PGPASSWORD, or use ~/.pgpass");
    address.password.as_ref().ok_or_else(missing)
}

async fn send_password(stream: &mut Stream<Io>, password: &[u8]) -> Result<(), Lost> {
    send(stream, &[password, b"\0"].concat()).await
}

async fn send(stream: &mut Stream<Io>, body: &[u8]) -> Result<(), Lost> {
    stream.queue_bytes(&message(b'p', body)?);
    Ok(stream.flush().await?)
}

async fn scram(stream: &mut Stream<Io>, secret: &Secret, offered: &[u8]) -> Result<(), Lost> {
    let offers = |name: &[u8]| offered.split(|&byte| byte == 0).any(|it| it == name);
    let certificate = stream
        .io()
        .tls()
        .and_then(|tls| tls.get_ref().1.peer_certificates()?.first());
    let (mechanism, binding) = match certificate.and_then(|it| certificate_hash(it)) {
        Some(hash) if offers(b"SCRAM-SHA-256-PLUS") => {
            let binding = ChannelBinding::tls_server_end_point(hash);
            ("SCRAM-SHA-256-PLUS", binding)
        }
        Some(_) => ("SCRAM-SHA-256", ChannelBinding::unrequested()),
        None => ("SCRAM-SHA-256", ChannelBinding::unsupported()),
    };
    if !offers(mechanism.as_bytes()) {
        return Err(Lost::new("no SASL mechanism in common"));
    }
    let failed = |error: io::Error| Lost(error.to_string());
    let mut scram = ScramSha256::new(secret.expose().as_bytes(), binding);
    let mut initial = BytesMut::from(mechanism.as_bytes());
    initial.put_u8(0);
    initial.put_u32(u32::try_from(scram.message().len()).map_err(|_| Lost::garbled())?);
    initial.put_slice(scram.message());
    send(stream, &initial).await?;
    let challenge = expect(stream, 11).await?;
    scram.update(&challenge).map_err(failed)?;
    let answer = scram.message().to_vec();
    send(stream, &answer).await?;
    let proof = expect(stream, 12).await?;
    scram.finish(&proof).map_err(failed)
}

/// The data of the authentication message with this code.
async fn expect(stream: &mut Stream<Io>, code: u32) -> Result<Bytes, Lost> {
    let Frame { tag, body } = stream.frame(MAX_MESSAGE).await?;
    match (tag, body.first_chunk::<4>()) {
        (b'R', Some(it)) if u32::from_be_bytes(*it) == code => Ok(body.slice(4..)),
        (b'E', _) => {
            let (code, message) = error_fields(&body);
            Err(Lost(format!("{message} ({code})")))
        }
        _ => Err(Lost::garbled()),
    }
}
