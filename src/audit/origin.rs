//! Whose connection a fact belongs to.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::access::{ConnectionId, PrincipalName, SessionId, TargetName};

/// Whose connection a fact belongs to. Shared by all of its records.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Origin {
    /// The connection.
    pub connection: ConnectionId,
    /// Its session.
    pub session: SessionId,
    /// Who holds the session.
    pub principal: PrincipalName,
    /// What is reached.
    pub target: TargetName,
    /// The database, as the upstream knows it.
    pub database: String,
    /// All of this as it stands in each record: serialised once, not twice a statement.
    #[serde(skip)]
    fields: OnceLock<Box<[u8]>>,
}

impl Origin {
    /// A connection under a session of `principal` for `target`, in `database`.
    pub fn new(
        connection: ConnectionId,
        session: SessionId,
        principal: PrincipalName,
        target: TargetName,
        database: String,
    ) -> Self {
        Self {
            connection,
            session,
            principal,
            target,
            database,
            fields: OnceLock::new(),
        }
    }

    /// `"connection":..,"database":".."`.
    pub(super) fn fields(&self) -> &[u8] {
        self.fields.get_or_init(|| {
            let object = serde_json::to_vec(self).expect("names are plain text");
            object[1..object.len() - 1].into()
        })
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        self.connection == other.connection
            && self.session == other.session
            && self.principal == other.principal
            && self.target == other.target
            && self.database == other.database
    }
}

impl Eq for Origin {}
