//! Statements that are looked for in other pieces, by their numbers.

use std::collections::{HashMap, HashSet};

use super::super::holders::Key;
use super::super::line::{self, Line};
use super::super::{Event, Record};
use crate::access::SessionId;

/// Numbers of statements, by connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    connections: HashMap<String, OfConnection>,
}

#[derive(Debug, Clone)]
struct OfConnection {
    session: SessionId,
    statements: HashSet<u64>,
}

impl Keys {
    pub(super) fn add(&mut self, (connection, statement): Key, session: SessionId) {
        let entry = self.connections.entry(connection.to_string());
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
        if let (Ok(connection), Ok(session)) = (origin.connection.parse(), origin.session.parse()) {
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
        let name = connection.to_string();
        if let Some(of_connection) = self.connections.get_mut(&name) {
            of_connection.statements.remove(&statement);
            if of_connection.statements.is_empty() {
                self.connections.remove(&name);
            }
        }
    }

    pub(super) fn remove_connection(&mut self, record: &Record) {
        if let Some(origin) = record.event.origin() {
            self.connections.remove(&origin.connection.to_string());
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
            let connection = connection.parse().ok();
            let keys = it.statements.iter();
            keys.filter_map(move |statement| Some(((connection?, *statement), it.session)))
        })
    }

    fn has(&self, connection: &str, statement: u64) -> bool {
        let of_connection = self.connections.get(connection);
        of_connection.is_some_and(|it| statement == 0 || it.statements.contains(&statement))
    }

    /// The records in `block` that are of one of these statements, or of their connections as
    /// such, and whose `type` is one of `kinds`.
    pub(super) fn records_in(&self, block: &[u8], kinds: &[&str]) -> Vec<Record> {
        let records = line::lines(block).filter_map(|line| self.record(line, kinds));
        records.collect()
    }

    /// The same, with how many bytes of the block are behind each.
    pub(super) fn places_in(&self, block: &[u8], kinds: &[&str]) -> Vec<(usize, Record)> {
        let mut left = block.len();
        let place = |line: &[u8]| {
            left -= line.len() + 1;
            Some((left, self.record(line, kinds)?))
        };
        line::lines(block).filter_map(place).collect()
    }

    fn record(&self, whole: &[u8], kinds: &[&str]) -> Option<Record> {
        let Some(line) = Line::read(whole) else {
            return self.odd(whole, kinds);
        };
        let wanted = kinds.contains(&line.kind);
        let origin = line.origin().filter(|_| wanted)?;
        let is_one = self.has(origin.connection, origin.statement);
        is_one.then(|| line.parse().ok()).flatten()
    }

    /// The same for a line with its fields in another order.
    fn odd(&self, whole: &[u8], kinds: &[&str]) -> Option<Record> {
        let record: Record = serde_json::from_slice(whole).ok()?;
        let canonical = serde_json::to_vec(&record).ok()?;
        let line = Line::read(&canonical)?;
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
