//! What a client is told when it is refused: an allow-list, so that nothing else gets out.

use crate::admission::Denial;
use crate::asking::Declined;
use crate::audit::Unavailable;
use crate::pg::{ErrorReply, SqlState, StreamError};

/// Why a connection ends before it is ready. Its `Display` is for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The client's stream failed, or is no PostgreSQL.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(std::io::Error),
    /// The client took too long.
    #[error("not ready within the handshake timeout")]
    Timeout,
    /// Bytes came in the clear that were to come under TLS.
    #[error("data in the clear behind SSLRequest")]
    Stuffed,
    /// The client's message is not the one that is due.
    #[error("protocol violation: {0}")]
    Protocol(&'static str),
    /// A protocol that is not spoken here.
    #[error("protocol {0}.{1} is not supported")]
    Version(u16, u16),
    /// TLS is required and the client does without.
    #[error("the client does not use TLS")]
    TlsRequired,
    /// SASL failed: the secret, the names, or the exchange itself.
    #[error("authentication failed: {reason}")]
    Authentication {
        /// What failed, for the log and the audit.
        reason: String,
        /// The target that the client named.
        target: String,
    },
    /// What it says about its session in its startup message makes no sense.
    #[error("a wish that makes no sense: {0}")]
    Wish(String),
    /// The client would send its access token in the clear.
    #[error("an access token in the clear")]
    TokenInTheClear,
    /// The client is known and asked for a session, and does not get it.
    #[error("declined: {}", .0.message)]
    Declined(Declined),
    /// The client is known and may not do this.
    #[error("denied: {0}")]
    Denied(Denial),
    /// The record of it could not be made.
    #[error(transparent)]
    Audit(#[from] Unavailable),
    /// The upstream cannot be reached, or refuses hallpass.
    #[error("upstream: {0}")]
    Upstream(#[from] super::upstream::UpstreamError),
    /// The session ended, or hallpass is stopping, before the connection was ready.
    #[error("ended before it was ready: {}", .0.label())]
    Ended(super::CloseReason),
}

impl Refusal {
    /// A short name for metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Stream(StreamError::Malformed(_)) | Self::Protocol(_) => "protocol",
            Self::Stream(_) => "gone",
            Self::Tls(_) => "tls",
            Self::Timeout => "timeout",
            Self::Stuffed => "stuffed",
            Self::Version(..) => "version",
            Self::TlsRequired => "tls_required",
            Self::Authentication { .. } => "authentication",
            Self::Wish(_) => "wish",
            Self::TokenInTheClear => "tls_required",
            Self::Declined(_) => "declined",
            Self::Denied(denial) => denial.label(),
            Self::Audit(_) => "audit_unavailable",
            Self::Upstream(_) => "upstream",
            Self::Ended(_) => "ended",
        }
    }

    /// What the client is told; `None`: nothing, the connection just closes.
    pub(super) fn reply(&self) -> Option<ErrorReply> {
        let protocol = |message: &str| ErrorReply::new(SqlState::PROTOCOL_VIOLATION, message);
        Some(match self {
            Self::Stream(StreamError::Malformed(_)) => protocol("malformed message"),
            Self::Stream(_) | Self::Tls(_) => return None,
            Self::Timeout => ErrorReply::new(
                SqlState::PROTOCOL_VIOLATION,
                "hallpass: the connection was not ready in time",
            ),
            Self::Stuffed => protocol("received unencrypted data after SSL request"),
            Self::Protocol(what) => protocol(what),
            Self::Version(major, minor) => ErrorReply::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!(
                    "unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2"
                ),
            ),
            Self::TlsRequired => ErrorReply::new(
                SqlState::INVALID_AUTHORIZATION,
                "hallpass: connections without TLS are not let in",
            )
            .hint("Connect with sslmode=verify-full (or at least sslmode=require)."),
            Self::Authentication { target, .. } => not_let_in(target),
            Self::Wish(problem) => {
                ErrorReply::new(SqlState::INVALID_PARAMETER, format!("hallpass: {problem}"))
            }
            Self::TokenInTheClear => ErrorReply::new(
                SqlState::INVALID_AUTHORIZATION,
                "hallpass: access tokens are taken under TLS only, and TLS is off here",
            )
            .hint("Ask with `hallpass request`, or tell an operator to set proxy.tls."),
            Self::Declined(Declined { message, hint }) => ErrorReply {
                hint: hint.clone(),
                ..ErrorReply::new(SqlState::INVALID_AUTHORIZATION, message)
            },
            Self::Denied(denial) => denied(denial),
            Self::Audit(why) => audit_unavailable(*why),
            Self::Upstream(error) => error.reply()?,
            Self::Ended(reason) => reason.reply(None)?,
        })
    }
}

/// The one answer to a wrong secret, an unknown principal, an unknown target and a missing
/// session: from outside they look the same.
fn not_let_in(target: &str) -> ErrorReply {
    let target = match target.parse::<crate::access::TargetName>() {
        Ok(target) => target.to_string(),
        Err(_) => "TARGET".to_owned(),
    };
    ErrorReply::new(
        SqlState::INVALID_AUTHORIZATION,
        "hallpass: no live session lets you in with this user and password",
    )
    .hint(how_to_ask(&target))
}

/// The lines to type for who wants in: by the command line, or by connecting.
pub(super) fn how_to_ask(target: &str) -> String {
    format!(
        "Ask for access with: hallpass request {target} --for 30m --reason \"...\", and when it is \
         approved, connect with: hallpass connect {target}. Or ask by connecting, with an access \
         token as password and PGOPTIONS='-c hallpass.reason=WHY -c hallpass.for=30m'"
    )
}

fn denied(denial: &Denial) -> ErrorReply {
    let invalid = |message: String| ErrorReply::new(SqlState::INVALID_AUTHORIZATION, message);
    match denial {
        Denial::NoSession => invalid("hallpass: the session has ended".into())
            .hint("Ask for access again with: hallpass request TARGET --for 30m --reason \"...\""),
        Denial::Database(database) => invalid(format!(
            "hallpass: database {database:?} is not part of this target"
        ))
        .hint("hallpass targets lists the databases of each target."),
        Denial::Replication => ErrorReply::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "hallpass: this target does not let replication connections through",
        )
        .hint("An operator can allow it with replication = true."),
        Denial::TooManyConnections(limit) => ErrorReply::new(
            SqlState::TOO_MANY_CONNECTIONS,
            format!("hallpass: the session has its {limit} connections already"),
        )
        .hint("Close one, or ask an operator to raise max_connections of the target."),
    }
}

/// The answer when a record could not be made.
pub(super) fn audit_unavailable(why: Unavailable) -> ErrorReply {
    ErrorReply::new(
        SqlState::IO_ERROR,
        format!("hallpass: {why}, so nothing is forwarded"),
    )
    .hint("Tell an operator; hallpass lets connections in again as soon as it can record them.")
}
