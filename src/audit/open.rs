//! What has begun and not ended: connections, and their statements.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Event, Origin, Outcome};
use crate::access::ConnectionId;

/// Why a connection ended that was open when hallpass died.
pub const CRASHED: &str = "crashed";

/// The connections that are open after some record, and the statements without an outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Open {
    connections: BTreeMap<ConnectionId, OpenConnection>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OpenConnection {
    #[serde(flatten)]
    origin: Arc<Origin>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    statements: BTreeSet<u64>,
}

impl Open {
    /// Takes note of a record; records must come in their order.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::ConnectionOpened { origin, .. } => {
                let opened = OpenConnection {
                    origin: Arc::clone(origin),
                    statements: BTreeSet::new(),
                };
                self.connections.insert(origin.connection, opened);
            }
            Event::ConnectionClosed { origin, .. } => {
                self.connections.remove(&origin.connection);
            }
            Event::StatementPrepared {
                origin, statement, ..
            }
            | Event::PortalBound {
                origin, statement, ..
            }
            | Event::StatementStarted {
                origin, statement, ..
            } => {
                if let Some(open) = self.connections.get_mut(&origin.connection) {
                    open.statements.insert(*statement);
                }
            }
            Event::StatementFinished {
                origin, statement, ..
            } => {
                if let Some(open) = self.connections.get_mut(&origin.connection) {
                    open.statements.remove(statement);
                }
            }
            _ => {}
        }
    }

    /// Whether all is closed.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// The connections, and of each the statements that have no outcome.
    pub fn iter(&self) -> impl Iterator<Item = (&Origin, &BTreeSet<u64>)> {
        let connections = self.connections.values();
        connections.map(|open| (&*open.origin, &open.statements))
    }

    /// Whether a statement has begun and not ended.
    pub fn has(&self, connection: ConnectionId, statement: u64) -> bool {
        let open = self.connections.get(&connection);
        open.is_some_and(|it| it.statements.contains(&statement))
    }

    /// The records that close everything: nobody knows how it ended.
    pub(super) fn closing(self) -> impl Iterator<Item = Event> {
        self.connections.into_values().flat_map(|open| {
            let closed = Event::ConnectionClosed {
                origin: Arc::clone(&open.origin),
                reason: CRASHED.to_owned(),
                statements: 0,
                bytes_in: 0,
                bytes_out: 0,
            };
            let unknown = move |statement| Event::StatementFinished {
                origin: Arc::clone(&open.origin),
                statement,
                outcome: Outcome::Unknown,
                results: Vec::new(),
                sqlstate: None,
                rows: 0,
                bytes: 0,
                copies: Vec::new(),
                microseconds: 0,
            };
            let finished = open.statements.into_iter().map(unknown);
            finished.chain([closed])
        })
    }
}
