//! Joins records to statements: a start with its text and parameters, wherever they are recorded,
//! and with its end.

use std::collections::{BTreeMap, HashMap};

use super::holders::{Holders, Key};
use super::message::{Content, Message};
use super::outcome::{CommandResult, Copy};
use super::statement::{Finish, Missing, Statement};
use super::{Event, Record};
use crate::access::ConnectionId;

/// Takes records in their order, and gives statements back.
#[derive(Debug, Default)]
pub struct Joiner {
    /// By the sequence of their starts.
    statements: BTreeMap<u64, Pending>,
    /// The starts of those that run.
    running: HashMap<Key, u64>,
    /// The start of the statement of each connection that ended last: its commit may still fail.
    last: HashMap<ConnectionId, u64>,
    messages: HashMap<Key, Message>,
    holders: Holders,
}

/// A statement of which more may be said.
#[derive(Debug)]
struct Pending {
    statement: Statement,
    /// What was recorded before its end.
    results: Vec<CommandResult>,
    copies: Vec<Copy>,
    said: bool,
}

impl Joiner {
    /// Takes the next record. Those that do not tell of statements are passed over.
    pub fn take(&mut self, record: &Record) {
        match &record.event {
            Event::StatementPart { .. } => self.part(&record.event),
            Event::StatementPrepared { .. } | Event::PortalBound { .. } => {
                self.holder(&record.event);
            }
            Event::StatementStarted { .. } => self.started(record),
            Event::StatementResults {
                origin,
                statement,
                results,
                copies,
            } => {
                if let Some(pending) = self.running_mut((origin.connection, *statement)) {
                    pending.results.extend_from_slice(results);
                    pending.copies.extend_from_slice(copies);
                }
            }
            Event::StatementFinished {
                origin, statement, ..
            } => self.finished((origin.connection, *statement), record),
            Event::CommitFailed {
                origin,
                statement,
                sqlstate,
            } => self.commit_failed((origin.connection, *statement), sqlstate),
            Event::ConnectionClosed { origin, .. } => self.closed(origin.connection),
            _ => {}
        }
    }

    /// The statements that have ended since this was asked last, whatever began before them. Of a
    /// commit that fails later, nothing is said then.
    pub fn ended(&mut self) -> Vec<Statement> {
        let ended = self
            .statements
            .extract_if(.., |_, it| it.said || it.statement.finish.is_some());
        ended.map(|(_, it)| it.statement).collect()
    }

    /// The statements whose ends were not taken.
    pub fn running(&self) -> impl Iterator<Item = &Statement> {
        let starts = self.running.values();
        starts.filter_map(|start| self.statements.get(start).map(|it| &it.statement))
    }

    /// All that are left, in the order of their starts.
    pub fn finish(self) -> impl Iterator<Item = Statement> {
        self.statements.into_values().map(|it| it.statement)
    }

    fn part(&mut self, event: &Event) {
        if let Event::StatementPart {
            origin,
            statement,
            message,
            part,
            data,
            bytes,
            parameters,
            ..
        } = event
        {
            let key = (origin.connection, *statement);
            let whole = self.messages.entry(key).or_default();
            whole.take(message, *part, data.as_ref(), *bytes, parameters);
        }
    }

    /// A text, or parameters, that statements refer to.
    fn holder(&mut self, event: &Event) {
        let (key, content) = match event {
            Event::StatementPrepared {
                origin,
                statement,
                sql,
                parts,
                ..
            } => {
                let key = (origin.connection, *statement);
                let mut content = self.message(key, *parts);
                content.sql = sql.clone().or(content.sql);
                (key, content)
            }
            Event::PortalBound {
                origin,
                statement,
                sql,
                prepared,
                parameters,
                parts,
                ..
            } => {
                let key = (origin.connection, *statement);
                let mut content = self.message(key, *parts);
                content.parameters.extend_from_slice(parameters);
                content.sql.clone_from(sql);
                self.prepared(&mut content, key.0, *prepared);
                (key, content)
            }
            _ => return,
        };
        self.holders.keep(key, content);
    }

    /// What a message in parts says; nothing if it has none.
    fn message(&mut self, key: Key, parts: u64) -> Content {
        match parts {
            0 => Content::default(),
            _ => {
                let message = self.messages.remove(&key).unwrap_or_default();
                message.content(parts, key.1)
            }
        }
    }

    /// Adds the text that is recorded under the number `prepared`.
    fn prepared(&self, content: &mut Content, connection: ConnectionId, prepared: Option<u64>) {
        let Some(statement) = prepared.filter(|_| content.sql.is_none()) else {
            return;
        };
        match self.holders.find((connection, statement)) {
            Some(holder) => {
                content.sql.clone_from(&holder.sql);
                content.missing.extend_from_slice(&holder.missing);
            }
            None => content.missing.push(Missing::Text { statement }),
        }
    }

    fn started(&mut self, record: &Record) {
        let (
            Some(mut statement),
            Event::StatementStarted {
                prepared,
                bound,
                parts,
                ..
            },
        ) = (Statement::started_by(record), &record.event)
        else {
            return;
        };
        let key = (statement.origin.connection, statement.statement);
        let mut content = self.message(key, *parts);
        content.sql = statement.sql.take().or(content.sql);
        content.parameters.append(&mut statement.parameters);
        self.bound(&mut content, key.0, *bound);
        self.prepared(&mut content, key.0, *prepared);
        if content.sql.is_none() && content.missing.is_empty() && statement.function.is_none() {
            content.missing.push(Missing::Definition);
        }
        if bound.is_none() {
            self.holders.keep_portal(key, &statement, &content);
        }
        statement.sql = content.sql;
        statement.parameters = content.parameters;
        statement.missing = content.missing;
        self.begin(key, statement);
    }

    /// Adds the text and the parameters that are recorded under the number `bound`.
    fn bound(&self, content: &mut Content, connection: ConnectionId, bound: Option<u64>) {
        let Some(statement) = bound else {
            return;
        };
        match self.holders.find((connection, statement)) {
            Some(holder) => *content = holder.clone(),
            None => content.missing.push(Missing::Parameters { statement }),
        }
    }

    fn begin(&mut self, key: Key, statement: Statement) {
        self.running.insert(key, statement.seq);
        let pending = Pending {
            statement,
            results: Vec::new(),
            copies: Vec::new(),
            said: false,
        };
        self.statements.insert(pending.statement.seq, pending);
    }

    fn running_mut(&mut self, key: Key) -> Option<&mut Pending> {
        self.statements.get_mut(self.running.get(&key)?)
    }

    fn finished(&mut self, key: Key, record: &Record) {
        let Some(start) = self.running.remove(&key) else {
            return;
        };
        if let Some(mut finish) = Finish::told_by(record)
            && let Some(pending) = self.statements.get_mut(&start)
        {
            finish.results.splice(0..0, pending.results.drain(..));
            finish.copies.splice(0..0, pending.copies.drain(..));
            pending.statement.finish = Some(finish);
        }
        if let Some(before) = self.last.insert(key.0, start) {
            self.said(before);
        }
    }

    fn commit_failed(&mut self, key: Key, sqlstate: &str) {
        let last = self.last.get(&key.0);
        let pending = last.and_then(|start| self.statements.get_mut(start));
        if let Some(pending) = pending.filter(|it| it.statement.statement == key.1) {
            pending.statement.commit_failed = Some(sqlstate.to_owned());
        }
    }

    fn said(&mut self, start: u64) {
        if let Some(pending) = self.statements.get_mut(&start) {
            pending.said = true;
        }
    }

    /// Nothing more is said of any statement of a connection.
    fn closed(&mut self, connection: ConnectionId) {
        let running = self
            .running
            .extract_if(|(of, _), _| *of == connection)
            .map(|(_, start)| start);
        let mut said: Vec<u64> = running.collect();
        said.extend(self.last.remove(&connection));
        for start in said {
            self.said(start);
        }
        self.messages.retain(|(of, _), _| *of != connection);
        self.holders.forget(connection);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::{executed, finished, origin, parts, records, started};
    use super::super::{Outcome, Parameter};
    use super::*;

    fn joined(events: Vec<Event>) -> Vec<Statement> {
        let mut joiner = Joiner::default();
        records(events)
            .iter()
            .for_each(|record| joiner.take(record));
        joiner.finish().collect()
    }

    fn sql(statement: &Statement) -> &[u8] {
        statement.sql.as_ref().map_or(b"", |sql| &sql.0)
    }

    #[test]
    fn statements_come_in_the_order_of_their_starts_with_their_ends() {
        let (a, b) = (origin(1, 1), origin(2, 1));
        let statements = joined(vec![
            started(&a, 1, "slow"),
            started(&b, 1, "quick"),
            finished(&b, 1, 2),
            started(&b, 2, "runs"),
            finished(&a, 1, 1),
        ]);
        let seen: Vec<_> = statements
            .iter()
            .map(|it| (sql(it), it.finish.as_ref().map(|finish| finish.rows)))
            .collect();
        let expected: [(&[u8], _); 3] = [(b"slow", Some(1)), (b"quick", Some(2)), (b"runs", None)];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_is_recorded_elsewhere_is_fetched() {
        let a = origin(1, 1);
        let prepared = Event::StatementPrepared {
            origin: Arc::clone(&a),
            statement: 1,
            name: Some("q".into()),
            types: Vec::new(),
            sql: Some("select $1".into()),
            parts: 0,
        };
        let bound = Event::PortalBound {
            origin: Arc::clone(&a),
            statement: 2,
            name: Some("q".into()),
            portal: Some("p".into()),
            types: Vec::new(),
            sql: None,
            prepared: Some(1),
            parameters: vec![Parameter::Text("x".into())],
            parts: 0,
        };
        let slice = executed(&a, 3, None, (None, Some(2)), Vec::new());
        let own = executed(&a, 4, None, (Some(1), None), vec![Parameter::Null]);
        let later = executed(&a, 5, None, (None, Some(4)), Vec::new());
        let statements = joined(vec![prepared, bound, slice, own, later]);
        for (statement, value) in statements.iter().zip([
            Parameter::Text("x".into()),
            Parameter::Null,
            Parameter::Null,
        ]) {
            assert_eq!(sql(statement), b"select $1");
            assert_eq!(statement.parameters, [value]);
            assert_eq!(statement.missing, []);
        }
        assert_eq!(statements.len(), 3);
    }

    #[test]
    fn a_text_in_parts_is_put_together() {
        let a = origin(1, 1);
        let mut events = parts(&a, 1, "Query", &[b"select ", b"1\0"]);
        events.push(started(&a, 1, ""));
        if let Some(Event::StatementStarted { sql, parts, .. }) = events.last_mut() {
            (*sql, *parts) = (None, 2);
        }
        assert_eq!(sql(&joined(events)[0]), b"select 1");
    }

    #[test]
    fn what_cannot_be_found_is_said() {
        let a = origin(1, 1);
        let statements = joined(vec![
            executed(&a, 7, None, (Some(3), None), Vec::new()),
            executed(&a, 8, None, (None, Some(4)), Vec::new()),
            executed(&a, 9, None, (None, None), Vec::new()),
        ]);
        let missing: Vec<_> = statements.iter().flat_map(|it| &it.missing).collect();
        let expected = [
            &Missing::Text { statement: 3 },
            &Missing::Parameters { statement: 4 },
            &Missing::Definition,
        ];
        assert_eq!(missing, expected);
    }

    #[test]
    fn early_results_and_a_failed_commit_are_added() {
        let a = origin(1, 1);
        let early = Event::StatementResults {
            origin: Arc::clone(&a),
            statement: 1,
            results: vec![CommandResult {
                tag: "UPDATE 1".into(),
            }],
            copies: Vec::new(),
        };
        let failed = Event::CommitFailed {
            origin: Arc::clone(&a),
            statement: 1,
            sqlstate: "23503".to_owned(),
        };
        let events = vec![started(&a, 1, "x"), early, finished(&a, 1, 0), failed];
        let statement = &joined(events)[0];
        assert_eq!(statement.tags().collect::<Vec<_>>(), ["UPDATE 1"]);
        assert_eq!(statement.outcome(), Some(Outcome::Completed));
        assert_eq!(statement.sqlstate(), Some("23503"));
    }

    #[test]
    fn a_connection_that_closed_is_forgotten() {
        let a = origin(1, 1);
        let mut joiner = Joiner::default();
        let closed = Event::ConnectionClosed {
            origin: Arc::clone(&a),
            reason: "crashed".to_owned(),
            statements: 0,
            bytes_in: 0,
            bytes_out: 0,
        };
        for record in records(vec![
            executed(&a, 1, Some("x"), (None, None), vec![]),
            closed,
        ]) {
            joiner.take(&record);
        }
        assert!(matches!(&joiner.ended()[..], [it] if it.finish.is_none()));
        assert!(joiner.running.is_empty() && joiner.last.is_empty());
        assert!(joiner.holders.is_empty());
    }
}
