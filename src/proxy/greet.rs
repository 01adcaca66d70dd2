//! Tells an authenticated client that it is connected: what the upstream said, with a cancel key
//! of ours.

use bytes::Bytes;
use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{Authentication, BackendKeyData, SecretKey};

use super::dial::Io;
use super::handshake::Client;
use crate::pg::startup::CancelKey;
use crate::pg::{Malformed, StreamError};

/// Sends AuthenticationOk (unless the client has it), the upstream's parameters, the key, and
/// ReadyForQuery.
///
/// # Errors
/// [`StreamError`]
pub(super) async fn greet<S: Io>(
    client: &mut Client<S>,
    parameters: &Bytes,
    key: CancelKey,
    status: u8,
) -> Result<(), StreamError> {
    let stream = &mut client.stream;
    if !std::mem::replace(&mut client.welcome, true) {
        stream.queue(&Authentication::Ok)?;
    }
    stream.queue_bytes(parameters);
    let secret = SecretKey::Bytes(key.secret);
    stream.queue(&BackendKeyData::new(key.process_id, secret))?;
    let status = TransactionStatus::try_from(status).map_err(|_| Malformed)?;
    stream.queue(&ReadyForQuery::new(status))?;
    stream.flush().await
}
