//! Who the client is: SCRAM-SHA-256 with the session's secret (RFC 5802, RFC 7677; manual 54.3).
//!
//! A client that names nobody, or nothing, or no live session, has the same exchange with the same
//! salt each time, and fails at its end: it cannot tell which of these it was.

use std::str::FromStr;
use std::sync::Arc;

use pgwire::api::auth::sasl::scram::ScramServerAuth;
use pgwire::error::PgWireError;
use pgwire::messages::startup::{Authentication, NegotiateProtocolVersion};

use super::dial::Io;
use super::handshake::Client;
use super::refusal::Refusal;
use super::targets::{Claim, ProxyTarget, Targets};
use crate::access::{PrincipalName, SessionId};
use crate::admission::Admission;
use crate::pg::frontend;

const SCRAM: &str = "SCRAM-SHA-256";
const SCRAM_PLUS: &str = "SCRAM-SHA-256-PLUS";
/// In words of ours: pgwire's quote the client's message, proof and all.
const MALFORMED: &str = "the SCRAM exchange is malformed or badly bound";
/// Bytes that a message of the exchange may have.
const MAX_SASL: usize = 4096;
/// The newest minor version of protocol 3 that hallpass speaks with clients.
const NEWEST_MINOR: u16 = 2;

/// Who has proven to be whom, to reach what: by a session's secret here, or by an access token in
/// `asking`.
pub(super) struct Identity {
    pub(super) principal: PrincipalName,
    pub(super) session: SessionId,
    pub(super) target: Arc<ProxyTarget>,
    /// The database that the client named, or the target's default.
    pub(super) database: String,
}

/// Challenges the client.
///
/// # Errors
/// [`Refusal`]: the same one for a wrong secret and for names that lead nowhere.
pub(super) async fn authenticate<S: Io>(
    client: &mut Client<S>,
    claim: &Claim,
    targets: &Targets,
    admission: &Admission,
) -> Result<Identity, Refusal> {
    negotiate_version(client)?;
    let scram = match &client.tls {
        Some(tls) => tls.identity.scram.clone(),
        None => ScramServerAuth::new(),
    };
    let (verifier, session) = admission.challenge(&claim.principal, &claim.target);
    let proven = exchange(client, claim, &scram, verifier.to_scram()).await?;
    if !proven {
        return Err(failed(claim, unproven(session)));
    }

    let unknown = |reason: &str| failed(claim, reason);
    // The proof was right, so these only fail if a session ended, or a target went, just now.
    let session = session.ok_or_else(|| unknown("no live session"))?;
    let target = targets.find(&claim.target);
    let target = target.ok_or_else(|| unknown("no such target"))?;
    let principal = PrincipalName::from_str(&claim.principal);
    let principal = principal.map_err(|_| unknown("no such principal"))?;
    Ok(Identity::new(principal, session, target, claim))
}

impl Identity {
    /// To be called with what was proven.
    pub(super) fn new(
        principal: PrincipalName,
        session: SessionId,
        target: Arc<ProxyTarget>,
        claim: &Claim,
    ) -> Self {
        let database = claim.database.clone();
        Self {
            principal,
            session,
            database: database.unwrap_or_else(|| target.target.default_database.clone()),
            target,
        }
    }
}

/// Says what of the asked-for protocol is spoken, if it is not all: a newer minor version, or
/// options (`_pq_.*`), of which hallpass knows none.
pub(super) fn negotiate_version<S: Io>(client: &mut Client<S>) -> Result<(), Refusal> {
    let options: Vec<String> = client
        .startup
        .protocol_options()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    if client.startup.minor > NEWEST_MINOR || !options.is_empty() {
        let minor = client.startup.minor.min(NEWEST_MINOR);
        client.startup.minor = minor;
        let version = (3 << 16) | i32::from(minor);
        let message = NegotiateProtocolVersion::new(version, options);
        client.stream.queue(&message).map_err(stream)?;
    }
    Ok(())
}

/// Why the proof was wrong, for the reader of the audit.
fn unproven(session: Option<SessionId>) -> &'static str {
    match session {
        Some(_) => "the secret is wrong",
        None => "no live session of that principal for that target",
    }
}

/// Whether the client has proven to know the secret.
async fn exchange<S: Io>(
    client: &mut Client<S>,
    claim: &Claim,
    scram: &ScramServerAuth,
    secret: pgwire::api::auth::sasl::scram::ScramSecret,
) -> Result<bool, Refusal> {
    let mut mechanisms = vec![SCRAM.to_owned()];
    if scram.supports_channel_binding() {
        mechanisms.insert(0, SCRAM_PLUS.to_owned());
    }
    send(client, Authentication::SASL(mechanisms)).await?;

    let first = password_message(client, MAX_SASL).await?;
    let (mechanism, message) = frontend::sasl_initial_response(&first)
        .map_err(|_| Refusal::Protocol("malformed SASLInitialResponse"))?;
    check_mechanism(mechanism, message, scram)?;
    let (challenge, waiting) = scram
        .on_client_first_message_with_secret(message, secret)
        .map_err(|_| failed(claim, MALFORMED))?;
    send(client, Authentication::SASLContinue(challenge.into())).await?;

    let last = password_message(client, MAX_SASL).await?;
    let proof = match waiting.on_client_final_message(&last) {
        Ok(proof) => proof,
        Err(PgWireError::InvalidPassword(_)) => return Ok(false),
        Err(_) => return Err(failed(claim, MALFORMED)),
    };
    let proof = Authentication::SASLFinal(proof.into());
    client.stream.queue(&proof).map_err(stream)?;
    Ok(true)
}

/// The mechanism must be one that was offered, and agree with the message's own flag: binding
/// must not be dropped or pretended half-way.
fn check_mechanism(
    mechanism: &[u8],
    message: &[u8],
    scram: &ScramServerAuth,
) -> Result<(), Refusal> {
    let binds = message.starts_with(b"p");
    let plus = mechanism == SCRAM_PLUS.as_bytes() && scram.supports_channel_binding();
    if plus == binds && (plus || mechanism == SCRAM.as_bytes()) {
        Ok(())
    } else {
        Err(Refusal::Protocol("SASL mechanism and message disagree"))
    }
}

async fn send<S: Io>(client: &mut Client<S>, message: Authentication) -> Result<(), Refusal> {
    client.stream.queue(&message).map_err(stream)?;
    Ok(client.stream.flush().await?)
}

/// The body of the client's next message, which must be a PasswordMessage of whatever kind.
pub(super) async fn password_message<S: Io>(
    client: &mut Client<S>,
    max: usize,
) -> Result<bytes::Bytes, Refusal> {
    let frame = client.stream.frame(max).await?;
    match frame.tag {
        b'p' => Ok(frame.body),
        // psql without a password just goes.
        b'X' => Err(Refusal::Stream(crate::pg::StreamError::Closed)),
        _ => Err(Refusal::Protocol("expected a SASL response")),
    }
}

pub(super) fn stream(malformed: crate::pg::Malformed) -> Refusal {
    Refusal::Stream(malformed.into())
}

pub(super) fn failed(claim: &Claim, reason: &str) -> Refusal {
    Refusal::Authentication {
        reason: reason.to_owned(),
        target: claim.target.clone(),
    }
}
