//! What a story is made of, besides statements.

use jiff::Timestamp;
use serde::Serialize;

use super::super::open::CRASHED;
use crate::access::{ConnectionId, Grantor, PrincipalName, RequestId};
use crate::audit::{Origin, Record, Text};

/// Somebody asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct Submitted {
    pub seq: u64,
    pub at: Timestamp,
    pub request: RequestId,
    pub principal: PrincipalName,
    pub seconds: u64,
    pub reason: String,
}

/// Somebody approved.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct Approved {
    pub seq: u64,
    pub at: Timestamp,
    pub request: RequestId,
    pub by: Grantor,
    pub expires_at: Timestamp,
}

/// Its holder fetched the secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct SecretRead {
    pub seq: u64,
    pub at: Timestamp,
    pub by: PrincipalName,
}

/// Its records may not be deleted, or may again.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct Hold {
    pub seq: u64,
    pub at: Timestamp,
    pub by: PrincipalName,
    pub reason: String,
    pub released: bool,
}

/// A connection under it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Connection {
    /// The connection.
    pub id: ConnectionId,
    /// The database.
    pub database: String,
    /// The sequence of its first record in the log.
    pub seq: u64,
    /// When that was made.
    pub at: Timestamp,
    /// Where the client dialled from; `None` if that is not in the log, as with the next two.
    pub peer: Option<String>,
    /// What it calls itself.
    pub application_name: Option<Text>,
    /// Startup parameters that the server got.
    pub startup: Vec<(Text, Text)>,
    /// TLS towards the client; `None` without it.
    pub tls: Option<String>,
    /// When the server had accepted it.
    pub established: Option<Established>,
    /// The server's process, if hallpass had it ended.
    pub terminated: Option<i32>,
    /// The server's process, if it could not be ended in time.
    pub left: Option<i32>,
    /// Its end; `None` if it is open, or that is not in the log.
    pub closed: Option<Closed>,
}

/// The server accepted a connection.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct Established {
    pub seq: u64,
    pub at: Timestamp,
    pub upstream_pid: i32,
    pub role: String,
}

/// A connection ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct Closed {
    pub seq: u64,
    pub at: Timestamp,
    pub reason: String,
    pub statements: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Closed {
    /// Whether hallpass itself died over it.
    pub fn is_crash(&self) -> bool {
        self.reason == CRASHED
    }
}

/// A client asked to cancel.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct Cancelled {
    pub seq: u64,
    pub at: Timestamp,
    pub connection: ConnectionId,
    pub peer: String,
}

/// The session ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ended {
    /// The sequence of its record.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who revoked it; `None` if time ended it.
    pub by: Option<PrincipalName>,
    /// Why, if they said.
    pub reason: String,
}

/// A session in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Connections.
    pub connections: usize,
    /// Statements that were run.
    pub statements: usize,
    /// Of them: failed.
    pub failed: usize,
    /// Of them: whose outcome nobody knows.
    pub unknown: usize,
    /// Rows that were sent to the client.
    pub rows: u64,
    /// Bytes that answered statements.
    pub bytes: u64,
    /// Bytes copied from the client.
    pub copied_in: u64,
    /// Bytes copied to the client.
    pub copied_out: u64,
    /// Time that statements took, in microseconds.
    pub microseconds: u64,
}

impl Connection {
    pub(super) fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    pub(super) fn new(origin: &Origin, record: &Record) -> Self {
        Self {
            id: origin.connection,
            database: origin.database.clone(),
            seq: record.seq,
            at: record.at,
            peer: None,
            application_name: None,
            startup: Vec::new(),
            tls: None,
            established: None,
            terminated: None,
            left: None,
            closed: None,
        }
    }
}
