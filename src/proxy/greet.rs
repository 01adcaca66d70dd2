//! Tells an authenticated client that it is connected: what the upstream said, with a cancel key
//! of ours.

use bytes::Bytes;
use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{Authentication, BackendKeyData, SecretKey};

use super::dial::Io;
use crate::pg::startup::CancelKey;
use crate::pg::{Malformed, Stream, StreamError};
use crate::tls::MaybeTls;

/// Sends AuthenticationOk, the upstream's parameters, the key, and ReadyForQuery.
///
/// # Errors
/// [`StreamError`]
pub(super) async fn greet<S: Io>(
    stream: &mut Stream<MaybeTls<S>>,
    parameters: &Bytes,
    key: CancelKey,
    status: u8,
) -> Result<(), StreamError> {
    stream.queue(&Authentication::Ok)?;
    stream.queue_bytes(parameters);
    let secret = SecretKey::Bytes(key.secret);
    stream.queue(&BackendKeyData::new(key.process_id, secret))?;
    let status = TransactionStatus::try_from(status).map_err(|_| Malformed)?;
    stream.queue(&ReadyForQuery::new(status))?;
    stream.flush().await
}
