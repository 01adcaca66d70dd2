//! Texts and parameters that are recorded once and referred to.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::message::Content;
use super::outcome::StatementKind;
use super::statement::Statement;
use super::text::Text;
use crate::access::ConnectionId;

/// Bytes that are kept; the oldest go when there are more, and count as missing then.
const KEPT: usize = 64 << 20;

/// A number within a connection.
pub(super) type Key = (ConnectionId, u64);

/// What records hold for others.
#[derive(Debug, Default)]
pub(super) struct Holders {
    contents: HashMap<ConnectionId, BTreeMap<u64, Content>>,
    /// The statement that was run last through each portal, with parameters of its own: later
    /// slices refer to it.
    portals: HashMap<ConnectionId, HashMap<Option<Text>, u64>>,
    /// From the oldest on; some of them may be gone.
    order: VecDeque<Key>,
    bytes: usize,
}

impl Holders {
    pub(super) fn find(&self, (connection, statement): Key) -> Option<&Content> {
        self.contents.get(&connection)?.get(&statement)
    }

    pub(super) fn keep(&mut self, key: Key, content: Content) {
        self.bytes += content.held();
        self.order.push_back(key);
        let of_connection = self.contents.entry(key.0).or_default();
        of_connection.insert(key.1, content);
        while self.bytes > KEPT && self.order.len() > 1 {
            if let Some(oldest) = self.order.pop_front() {
                self.drop(oldest);
            }
        }
    }

    /// Keeps what a statement runs, in the place of what was run through its portal before.
    pub(super) fn keep_portal(&mut self, key: Key, statement: &Statement, content: &Content) {
        if statement.kind != StatementKind::Extended {
            return;
        }
        let portals = self.portals.entry(key.0).or_default();
        if let Some(before) = portals.insert(statement.portal.clone(), key.1) {
            self.drop((key.0, before));
        }
        self.keep(key, content.clone());
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.contents.is_empty() && self.portals.is_empty() && self.bytes == 0
    }

    /// Forgets a connection.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.portals.remove(&connection);
        let gone = self.contents.remove(&connection).unwrap_or_default();
        self.bytes -= gone.values().map(Content::held).sum::<usize>();
    }

    fn drop(&mut self, (connection, statement): Key) {
        let of_connection = self.contents.get_mut(&connection);
        if let Some(content) = of_connection.and_then(|it| it.remove(&statement)) {
            self.bytes -= content.held();
        }
        // Most of what is gone came last, or first.
        if self.order.len() > 2 * self.contents.values().map(BTreeMap::len).sum::<usize>() + 64 {
            let contents = &self.contents;
            let is_kept = |key: &Key| {
                contents
                    .get(&key.0)
                    .is_some_and(|it| it.contains_key(&key.1))
            };
            self.order.retain(is_kept);
        }
    }
}
