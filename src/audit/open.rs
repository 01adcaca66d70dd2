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
            Event::ConnectionOpened { origin, .. } => _ = self.opened(origin),
            Event::ConnectionClosed { origin, .. } => _ = self.closed(&origin.connection),
            Event::StatementPrepared {
                origin, statement, ..
            }
            | Event::PortalBound {
                origin, statement, ..
            }
            | Event::StatementStarted {
                origin, statement, ..
            } => _ = self.begun(&origin.connection, *statement),
            Event::StatementFinished {
                origin, statement, ..
            } => _ = self.finished(&origin.connection, *statement),
            _ => {}
        }
    }

    /// A connection was opened; `false` if it was open.
    pub(super) fn opened(&mut self, origin: &Arc<Origin>) -> bool {
        let opened = OpenConnection {
            origin: Arc::clone(origin),
            statements: BTreeSet::new(),
        };
        self.connections.insert(origin.connection, opened).is_none()
    }

    /// A connection was closed; its statements without an outcome, `None` if it was not open.
    pub(super) fn closed(&mut self, connection: &ConnectionId) -> Option<BTreeSet<u64>> {
        self.connections.remove(connection).map(|it| it.statements)
    }

    /// A statement of an open connection was begun; `false` if it was before.
    pub(super) fn begun(&mut self, connection: &ConnectionId, statement: u64) -> bool {
        let open = self.connections.get_mut(connection);
        open.is_some_and(|open| open.statements.insert(statement))
    }

    /// A statement of an open connection has its outcome; `false` if it was not begun.
    pub(super) fn finished(&mut self, connection: &ConnectionId, statement: u64) -> bool {
        let open = self.connections.get_mut(connection);
        open.is_some_and(|open| open.statements.remove(&statement))
    }

    /// Whose an open connection is.
    pub(super) fn origin(&self, connection: &ConnectionId) -> Option<&Origin> {
        self.connections.get(connection).map(|open| &*open.origin)
    }

    /// Whether all that is open here is open there.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.connections.iter().all(|(id, here)| {
            let there = other.connections.get(id);
            there.is_some_and(|there| here.statements.is_subset(&there.statements))
        })
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
