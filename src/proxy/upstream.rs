//! From a permit to an upstream that is ready for its first query.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::dial::{Dial, Io};
use super::login;
use super::targets::{Endpoint, ProxyTarget};
use crate::admission::Permit;
use crate::pg::startup::{self, CancelKey, Startup};
use crate::pg::{ErrorReply, SqlState, Stream, StreamError};
use crate::tls::{MaybeTls, Rewound};

/// Why an upstream is not ready. Its `Display` is for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    /// It cannot be reached.
    #[error("dialling: {0}")]
    Dial(std::io::Error),
    /// It was not ready in time.
    #[error("not ready within the connect timeout")]
    Timeout,
    /// TLS is configured and it has none.
    #[error("it does not speak TLS")]
    NoTls,
    /// TLS failed.
    #[error("TLS: {0}")]
    Tls(std::io::Error),
    /// It sent bytes in the clear that were to come under TLS.
    #[error("data in the clear before TLS")]
    Stuffed,
    /// Its stream failed, or is no PostgreSQL.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// It asks for a way to log in that hallpass does not have, or a secret that is not configured.
    #[error("login: {0}")]
    Login(String),
    /// It refused.
    #[error("refused with {}: {message:?}", String::from_utf8_lossy(sqlstate))]
    Refused {
        /// Its code.
        sqlstate: [u8; 5],
        /// Its message, for the log.
        message: String,
        /// The ErrorResponse as it came, if it is one that a client can read.
        frame: Option<Bytes>,
    },
}

impl UpstreamError {
    /// A short name for metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Dial(_) => "dial",
            Self::Timeout => "timeout",
            Self::NoTls | Self::Tls(_) | Self::Stuffed => "tls",
            Self::Stream(_) => "protocol",
            Self::Login(_) => "login",
            Self::Refused { .. } => "refused",
        }
    }

    /// What the client is told: that the upstream failed, and no more.
    pub(super) fn reply(&self) -> Option<ErrorReply> {
        let message = match self {
            Self::Refused { .. } | Self::Login(_) => {
                "hallpass: the upstream server refused hallpass"
            }
            Self::Timeout => "hallpass: the upstream server did not answer in time",
            _ => "hallpass: the upstream server cannot be reached",
        };
        Some(
            ErrorReply::new(SqlState::CONNECTION_FAILURE, message).hint(
                "The session goes on; try again, or tell an operator: the log has the cause.",
            ),
        )
    }

    /// The server's own words, where they are about the client's choice (a database that does not
    /// exist, too many connections) and not about hallpass' credentials (class 28).
    pub(super) fn passed_on(&self) -> Option<&Bytes> {
        match self {
            Self::Refused {
                sqlstate, frame, ..
            } if !sqlstate.starts_with(b"28") => frame.as_ref(),
            _ => None,
        }
    }

    /// The server stumbled over protocol 3.2.
    fn blames_version(&self) -> bool {
        match self {
            Self::Refused { sqlstate, .. } => matches!(sqlstate, b"0A000" | b"08P01"),
            Self::Stream(StreamError::Closed) => true,
            _ => false,
        }
    }
}

/// An upstream that is ready.
pub(super) struct Upstream<U> {
    pub(super) io: MaybeTls<U>,
    /// What came behind its ReadyForQuery.
    pub(super) unread: BytesMut,
    /// What names it in a CancelRequest.
    pub(super) key: CancelKey,
    /// Its ParameterStatus and notices, as they came.
    pub(super) parameters: Bytes,
    /// The transaction status of its ReadyForQuery.
    pub(super) status: u8,
}

/// Connects and logs in, by `until`. The permit proves that the client was admitted.
///
/// # Errors
/// [`UpstreamError`]
pub(super) async fn connect<D: Dial>(
    permit: &Permit,
    dialer: &D,
    target: &ProxyTarget,
    client: &Startup,
    until: Instant,
) -> Result<Upstream<D::Io>, UpstreamError> {
    let connect = async {
        let newest = if target.only_3_0.load(Ordering::Relaxed) {
            0
        } else {
            2
        };
        let first = attempt(permit, dialer, target, client, newest).await;
        match first {
            Err(error) if newest > 0 && error.blames_version() => {
                let upstream = attempt(permit, dialer, target, client, 0).await?;
                target.only_3_0.store(true, Ordering::Relaxed);
                Ok(upstream)
            }
            result => result,
        }
    };
    tokio::time::timeout_at(until, connect)
        .await
        .unwrap_or(Err(UpstreamError::Timeout))
}

async fn attempt<D: Dial>(
    permit: &Permit,
    dialer: &D,
    target: &ProxyTarget,
    client: &Startup,
    minor: u16,
) -> Result<Upstream<D::Io>, UpstreamError> {
    let mut stream = open(dialer, &target.endpoint).await?;
    let startup = startup_for(permit, &target.endpoint, client, minor);
    stream.queue_bytes(&startup.encode());
    stream.flush().await?;
    login::login(stream, &target.endpoint).await
}

/// A socket to the upstream, under TLS if that is configured.
async fn open<D: Dial>(
    dialer: &D,
    endpoint: &Endpoint,
) -> Result<Stream<MaybeTls<D::Io>>, UpstreamError> {
    let socket = dialer
        .dial(&endpoint.host, endpoint.port)
        .await
        .map_err(UpstreamError::Dial)?;
    let stream = Stream::new(MaybeTls::Plain(socket));
    match &endpoint.tls {
        Some(tls) => {
            let config = std::sync::Arc::clone(&tls.config);
            upgrade(stream, TlsConnector::from(config), &endpoint.host).await
        }
        None => Ok(stream),
    }
}

async fn upgrade<U: Io>(
    mut stream: Stream<MaybeTls<U>>,
    connector: TlsConnector,
    host: &str,
) -> Result<Stream<MaybeTls<U>>, UpstreamError> {
    stream.queue_bytes(&startup::ssl_request());
    stream.flush().await?;
    if stream.byte().await? != b'S' {
        return Err(UpstreamError::NoTls);
    }
    let (io, unread) = stream.into_parts();
    if !unread.is_empty() {
        return Err(UpstreamError::Stuffed);
    }
    let MaybeTls::Plain(socket) = io else {
        return Err(UpstreamError::Stuffed);
    };
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| UpstreamError::Tls(std::io::Error::other(error)))?;
    let tls = connector
        .connect(name, Rewound::new(Bytes::new(), socket))
        .await
        .map_err(UpstreamError::Tls)?;
    Ok(Stream::new(MaybeTls::Tls(Box::new(tls.into()))))
}

/// Sends a CancelRequest to the upstream, under the same TLS as its sessions, and waits until the
/// server has taken it. Bounded by `timeout`.
///
/// # Errors
/// [`UpstreamError`]
pub(super) async fn cancel<D: Dial>(
    dialer: &D,
    endpoint: &Endpoint,
    key: &CancelKey,
    timeout: Duration,
) -> Result<(), UpstreamError> {
    let send = async {
        let mut stream = open(dialer, endpoint).await?;
        stream.queue_bytes(&startup::cancel_request(key));
        stream.flush().await?;
        // The server answers with nothing but the end of the stream, when the signal is sent.
        let _ = stream.peek().await;
        Ok(())
    };
    tokio::time::timeout(timeout, send)
        .await
        .unwrap_or(Err(UpstreamError::Timeout))
}

/// Has the server end the backend with that process id, on a connection of our own, as the same
/// role. Bounded by `timeout`.
///
/// # Errors
/// [`UpstreamError`]
pub(super) async fn terminate<D: Dial>(
    permit: &Permit,
    dialer: &D,
    target: &ProxyTarget,
    process_id: i32,
    limit: Duration,
) -> Result<(), UpstreamError> {
    let client = Startup::default();
    let deadline = Instant::now() + limit;
    let mut upstream = connect(permit, dialer, target, &client, deadline).await?;
    // Fully qualified, and a number: nothing that a search_path or a client could bend.
    let sql = format!("select pg_catalog.pg_terminate_backend({process_id})\0");
    let query = async {
        let len = u32::try_from(sql.len() + 4).unwrap_or(u32::MAX);
        upstream.io.write_all(b"Q").await?;
        upstream.io.write_all(&len.to_be_bytes()).await?;
        upstream.io.write_all(sql.as_bytes()).await?;
        upstream.io.flush().await?;
        // Some answer means that it was taken; the backend's own end is seen elsewhere.
        upstream.io.read_u8().await.map(|_| ())
    };
    let sent = tokio::time::timeout(limit, query).await;
    sent.map_err(|_| UpstreamError::Timeout)?
        .map_err(UpstreamError::Dial)
}

/// The client's own parameters as they came, with hallpass' role, and with who it is behind its
/// `application_name`.
fn startup_for(permit: &Permit, endpoint: &Endpoint, client: &Startup, minor: u16) -> Startup {
    let connection = permit.connection();
    let mut parameters: Vec<(Bytes, Bytes)> = passed_on(client).cloned().collect();
    let label = format!("{}/{}", connection.principal, connection.session);
    let application = application_name(&connection.application_name, &label);
    for (name, value) in [
        ("user", endpoint.role.as_str()),
        ("database", &connection.database),
        ("application_name", &application),
    ] {
        parameters.push((name.into(), Bytes::copy_from_slice(value.as_bytes())));
    }
    Startup { minor, parameters }
}

/// The client's startup parameters that the upstream gets as they came.
pub(super) fn passed_on(client: &Startup) -> impl Iterator<Item = &(Bytes, Bytes)> {
    let own = |name: &[u8]| {
        matches!(name, b"user" | b"database" | b"application_name")
            || name.starts_with(b"_pq_.")
            || name.starts_with(b"hallpass.")
    };
    client.parameters.iter().filter(move |(name, _)| !own(name))
}

/// The client's own name and `label`, within the 63 bytes that PostgreSQL keeps; the label is kept
/// whole as far as that goes, for it is what a DBA joins with the audit.
fn application_name(own: &str, label: &str) -> String {
    const LIMIT: usize = 63;
    let room = LIMIT.saturating_sub(label.len() + 1);
    let mut end = own.len().min(room);
    while !own.is_char_boundary(end) {
        end -= 1;
    }
    match &own[..end] {
        "" => label.to_owned(),
        own => format!("{own} {label}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_behind_the_application_name_is_kept_whole() {
        let label = "maya/ses-0123456789ab";
        assert_eq!(
            application_name("psql", label),
            "psql maya/ses-0123456789ab"
        );
        assert_eq!(application_name("", label), label);
        let long = application_name(&"ü".repeat(40), label);
        assert!(long.len() <= 63 && long.ends_with(label), "{long}");
    }

    #[test]
    fn only_the_servers_words_about_the_clients_choice_are_passed_on() {
        let refused = |sqlstate: &[u8; 5]| UpstreamError::Refused {
            sqlstate: *sqlstate,
            message: String::new(),
            frame: Some(Bytes::from_static(b"E")),
        };
        assert!(refused(b"3D000").passed_on().is_some());
        assert!(refused(b"28P01").passed_on().is_none());
        assert!(UpstreamError::Timeout.passed_on().is_none());
    }
}
