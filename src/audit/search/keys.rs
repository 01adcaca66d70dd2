//! Statements that are looked for in other pieces, by their numbers.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use super::super::holders::Key;
use super::super::line::{self, Line};
use super::super::{Event, Record};
use crate::access::{ConnectionId, SessionId};

/// Numbers of statements, by connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    connections: HashMap<Vec<u8>, OfConnection>,
}

#[derive(Debug, Clone)]
struct OfConnection {
    session: SessionId,
    statements: HashSet<u64>,
}

impl Keys {
    pub(super) fn add(&mut self, (connection, statement): Key, session: SessionId) {
        let entry = self.connections.entry(name(connection));
        let of_connection = entry.or_insert_with(|| OfConnection {
            session,
            statements: HashSet::new(),
        });
        of_connection.statements.insert(statement);
    }

    /// Adds the statement that a line is of.
    pub(super) fn add_line(&mut self, line: &Line<'_>) {
        let Some(origin) = line.origin() else {
            return;
        };
        let ids = (parsed(origin.connection), parsed(origin.session));
        if let (Some(connection), Some(session)) = ids {
            self.add((connection, origin.statement), session);
        }
    }

    /// Adds the statement whose end `record` is.
    pub(super) fn add_end(&mut self, record: &Record) {
        if let Event::StatementFinished {
            origin, statement, ..
        } = &record.event
        {
            self.add((origin.connection, *statement), origin.session);
        }
    }

    /// Removes what ends with `record`.
    pub(super) fn forget_ended(&mut self, record: &Record) {
        match &record.event {
            Event::ConnectionClosed { .. } => self.remove_connection(record),
            Event::StatementFinished {
                origin, statement, ..
            } => self.remove((origin.connection, *statement)),
            _ => {}
        }
    }

    pub(super) fn remove(&mut self, (connection, statement): Key) {
        let name = name(connection);
        if let Some(of_connection) = self.connections.get_mut(&name) {
            of_connection.statements.remove(&statement);
            if of_connection.statements.is_empty() {
                self.connections.remove(&name);
            }
        }
    }

    pub(super) fn remove_connection(&mut self, record: &Record) {
        if let Some(origin) = record.event.origin() {
            self.connections.remove(&name(origin.connection));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    pub(super) fn sessions(&self) -> HashSet<SessionId> {
        self.connections.values().map(|it| it.session).collect()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, SessionId)> {
        self.connections.iter().flat_map(|(connection, it)| {
            // It was made from one.
            let connection = parsed(connection);
            let keys = it.statements.iter();
            keys.filter_map(move |statement| Some(((connection?, *statement), it.session)))
        })
    }

    fn has(&self, connection: &[u8], statement: u64) -> bool {
        let of_connection = self.connections.get(connection);
        of_connection.is_some_and(|it| statement == 0 || it.statements.contains(&statement))
    }

    /// The records in `block` that are of one of these statements, or of their connections as
    /// such, and whose `type` is one of `kinds`.
    pub(super) fn records_in(&self, block: &[u8], kinds: &[&[u8]]) -> Vec<Record> {
        let records = line::lines(block).filter_map(|line| self.record(line, kinds));
        records.collect()
    }

    /// The same, with how many bytes of the block are behind each.
    pub(super) fn places_in(&self, block: &[u8], kinds: &[&[u8]]) -> Vec<(usize, Record)> {
        let mut left = block.len();
        let place = |line: &[u8]| {
            left -= line.len() + 1;
            Some((left, self.record(line, kinds)?))
        };
        line::lines(block).filter_map(place).collect()
    }

    fn record(&self, whole: &[u8], kinds: &[&[u8]]) -> Option<Record> {
        let Some(line) = Line::of(whole) else {
            return self.odd(whole, kinds);
        };
        let wanted = kinds.contains(&line.kind);
        let origin = line.origin().filter(|_| wanted)?;
        let is_one = self.has(origin.connection, origin.statement);
        is_one.then(|| line.parse().ok()).flatten()
    }

    /// The same for a line with its fields in another order.
    fn odd(&self, whole: &[u8], kinds: &[&[u8]]) -> Option<Record> {
        let record: Record = serde_json::from_slice(whole).ok()?;
        let canonical = serde_json::to_vec(&record).ok()?;
        let line = Line::of(&canonical)?;
        let origin = line.origin()?;
        let is_one = kinds.contains(&line.kind) && self.has(origin.connection, origin.statement);
        is_one.then_some(record)
    }
}

/// The statement that a record is of.
pub(super) fn key_of(event: &Event) -> Option<Key> {
    match event {
        Event::StatementPrepared {
            origin, statement, ..
        }
        | Event::PortalBound {
            origin, statement, ..
        }
        | Event::StatementStarted {
            origin, statement, ..
        }
        | Event::StatementPart {
            origin, statement, ..
        }
        | Event::StatementResults {
            origin, statement, ..
        }
        | Event::CommitFailed {
            origin, statement, ..
        }
        | Event::StatementFinished {
            origin, statement, ..
        } => Some((origin.connection, *statement)),
        _ => None,
    }
}

fn name(connection: ConnectionId) -> Vec<u8> {
    connection.to_string().into_bytes()
}

fn parsed<T: FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
