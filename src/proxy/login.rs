//! Logs hallpass in to an upstream, as its role (manual section 55.2.1).

use bytes::{BufMut, Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

use super::dial::Io;
use super::targets::Endpoint;
use super::upstream::{Upstream, UpstreamError};
use crate::pg::startup::CancelKey;
use crate::pg::{Frame, Malformed, Stream};
use crate::secret::Secret;
use crate::tls::{MaybeTls, certificate_hash};

/// Bytes that a message of the login may have.
const MAX_MESSAGE: usize = 64 * 1024;
/// Bytes of ParameterStatus and notices that are kept for the client.
const MAX_PARAMETERS: usize = 256 * 1024;
/// Characters of a server's own words that are logged.
const MAX_LOGGED: usize = 200;
/// More rounds of key derivation than this are a server's way to burn our CPU.
const MAX_ITERATIONS: u32 = 100_000;

/// Follows the server's lead up to its first ReadyForQuery.
///
/// # Errors
/// [`UpstreamError`]
pub(super) async fn login<U: Io>(
    mut stream: Stream<MaybeTls<U>>,
    endpoint: &Endpoint,
) -> Result<Upstream<U>, UpstreamError> {
    let mut parameters = BytesMut::new();
    let mut key = CancelKey {
        process_id: 0,
        secret: Bytes::new(),
    };
    loop {
        let frame = stream.frame(MAX_MESSAGE).await?;
        match frame.tag {
            b'R' => authenticate(&mut stream, endpoint, &frame.body).await?,
            b'S' | b'N' => keep(&mut parameters, &frame)?,
            b'K' => key = backend_key(&frame.body)?,
            // It speaks an older minor version than was asked for: nothing here depends on it.
            b'v' => {}
            b'E' => return Err(refused(&frame)),
            b'Z' => {
                let [status @ (b'I' | b'T' | b'E')] = frame.body[..] else {
                    return Err(malformed());
                };
                let (io, unread) = stream.into_parts();
                return Ok(Upstream {
                    io,
                    unread,
                    key,
                    parameters: parameters.freeze(),
                    status,
                });
            }
            _ => return Err(malformed()),
        }
    }
}

async fn authenticate<U: Io>(
    stream: &mut Stream<MaybeTls<U>>,
    endpoint: &Endpoint,
    body: &Bytes,
) -> Result<(), UpstreamError> {
    let (code, data) = body.split_first_chunk::<4>().ok_or_else(malformed)?;
    match u32::from_be_bytes(*code) {
        0 => Ok(()),
        3 => send_password(stream, password(endpoint)?.expose().as_bytes()).await,
        5 => {
            let salt = data.try_into().map_err(|_| malformed())?;
            let secret = password(endpoint)?.expose().as_bytes();
            let hash = md5_hash(endpoint.role.as_bytes(), secret, salt);
            send_password(stream, hash.as_bytes()).await
        }
        10 => sasl(stream, endpoint, data).await,
        code => Err(UpstreamError::Login(format!(
            "the server asks for authentication method {code}, which hallpass does not have"
        ))),
    }
}

fn password(endpoint: &Endpoint) -> Result<&Secret, UpstreamError> {
    endpoint.password.as_ref().ok_or_else(|| {
        UpstreamError::Login("the server asks for a password and none is configured".into())
    })
}

async fn send_password<U: Io>(
    stream: &mut Stream<MaybeTls<U>>,
    password: &[u8],
) -> Result<(), UpstreamError> {
    let mut body = BytesMut::from(password);
    body.put_u8(0);
    send(stream, &body).await
}

async fn send<U: Io>(stream: &mut Stream<MaybeTls<U>>, body: &[u8]) -> Result<(), UpstreamError> {
    let len = u32::try_from(body.len() + 4).map_err(|_| malformed())?;
    stream.queue_bytes(b"p");
    stream.queue_bytes(&len.to_be_bytes());
    stream.queue_bytes(body);
    Ok(stream.flush().await?)
}

/// SCRAM-SHA-256, bound to the TLS session where both sides can.
async fn sasl<U: Io>(
    stream: &mut Stream<MaybeTls<U>>,
    endpoint: &Endpoint,
    offered: &[u8],
) -> Result<(), UpstreamError> {
    let offers = |name: &[u8]| offered.split(|&byte| byte == 0).any(|it| it == name);
    let hash = end_point(stream.io());
    let (mechanism, binding) = match hash {
        Some(hash) if offers(b"SCRAM-SHA-256-PLUS") => (
            "SCRAM-SHA-256-PLUS",
            ChannelBinding::tls_server_end_point(hash),
        ),
        _ if !offers(b"SCRAM-SHA-256") => {
            return Err(UpstreamError::Login("no SASL mechanism in common".into()));
        }
        Some(_) => ("SCRAM-SHA-256", ChannelBinding::unrequested()),
        None => ("SCRAM-SHA-256", ChannelBinding::unsupported()),
    };
    let secret = password(endpoint)?.expose().as_bytes();
    let mut scram = ScramSha256::new(secret, binding);

    let mut initial = BytesMut::from(mechanism.as_bytes());
    initial.put_u8(0);
    initial.put_u32(u32::try_from(scram.message().len()).map_err(|_| malformed())?);
    initial.put_slice(scram.message());
    send(stream, &initial).await?;

    let challenge = expect(stream, 11).await?;
    check_iterations(&challenge)?;
    scram.update(&challenge).map_err(scram_failed)?;
    let answer = scram.message().to_vec();
    send(stream, &answer).await?;

    // The server must prove that it knows the password, too.
    let proof = expect(stream, 12).await?;
    scram.finish(&proof).map_err(scram_failed)
}

/// What SCRAM is bound to: the certificate that the server has shown.
fn end_point<U: Io>(io: &MaybeTls<U>) -> Option<Vec<u8>> {
    let certificate = io.tls()?.get_ref().1.peer_certificates()?.first()?;
    certificate_hash(certificate)
}

fn check_iterations(challenge: &[u8]) -> Result<(), UpstreamError> {
    let rounds = challenge.split(|&byte| byte == b',').find_map(|field| {
        std::str::from_utf8(field.strip_prefix(b"i=")?)
            .ok()?
            .parse()
            .ok()
    });
    match rounds {
        Some(1..=MAX_ITERATIONS) => Ok(()),
        _ => Err(UpstreamError::Login(format!(
            "the server asks for more than {MAX_ITERATIONS} rounds of SCRAM"
        ))),
    }
}

/// The data of the authentication message with this code.
async fn expect<U: Io>(
    stream: &mut Stream<MaybeTls<U>>,
    expected: u32,
) -> Result<Bytes, UpstreamError> {
    let frame = stream.frame(MAX_MESSAGE).await?;
    match (frame.tag, frame.body.first_chunk::<4>()) {
        (b'R', Some(code)) if u32::from_be_bytes(*code) == expected => Ok(frame.body.slice(4..)),
        (b'E', _) => Err(refused(&frame)),
        _ => Err(malformed()),
    }
}

fn keep(parameters: &mut BytesMut, frame: &Frame) -> Result<(), UpstreamError> {
    if parameters.len() + frame.body.len() > MAX_PARAMETERS {
        return Err(malformed());
    }
    put_frame(parameters, frame);
    Ok(())
}

fn put_frame(out: &mut BytesMut, frame: &Frame) {
    out.put_u8(frame.tag);
    // A frame came in with this length, so it fits.
    out.put_u32(u32::try_from(frame.body.len() + 4).unwrap_or(u32::MAX));
    out.put_slice(&frame.body);
}

fn backend_key(body: &Bytes) -> Result<CancelKey, UpstreamError> {
    let (process_id, secret) = body.split_first_chunk::<4>().ok_or_else(malformed)?;
    if !(4..=256).contains(&secret.len()) {
        return Err(malformed());
    }
    Ok(CancelKey {
        process_id: i32::from_be_bytes(*process_id),
        secret: body.slice_ref(secret),
    })
}

/// Reads an ErrorResponse; fields may be missing, empty or repeated, for a server may be hostile.
fn refused(frame: &Frame) -> UpstreamError {
    let field = |tag: u8| {
        let mut fields = frame.body.split(|&byte| byte == 0);
        fields.find_map(|field| field.strip_prefix(&[tag]))
    };
    let sqlstate = field(b'C').and_then(|code| code.try_into().ok());
    let well_formed = sqlstate.is_some()
        && [b'S', b'M'].iter().all(|tag| field(*tag).is_some())
        && frame.body.ends_with(b"\0\0");
    UpstreamError::Refused {
        sqlstate: sqlstate.unwrap_or(*b"XX000"),
        message: String::from_utf8_lossy(field(b'M').unwrap_or_default())
            .chars()
            .take(MAX_LOGGED)
            .collect(),
        frame: well_formed.then(|| {
            let mut whole = BytesMut::new();
            put_frame(&mut whole, frame);
            whole.freeze()
        }),
    }
}

fn malformed() -> UpstreamError {
    UpstreamError::Stream(Malformed.into())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn scram_failed(error: std::io::Error) -> UpstreamError {
    UpstreamError::Login(error.to_string())
}
