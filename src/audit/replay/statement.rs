//! Statements with all that is on record of them, wherever it stands.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;

use super::super::{CommandResult, Copy, Event, Outcome, Parameter, Record, StatementKind, Text};
use super::message::Message;
use crate::access::ConnectionId;

/// How far a number within a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A text was prepared.
    Prepared,
    /// Parameters were bound to it.
    Bound,
    /// It was run.
    Started,
}

/// A statement of a session.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statement {
    /// The sequence of the record that it begins with.
    pub seq: u64,
    /// When that was made: before it was given to the server.
    pub at: Timestamp,
    /// Its connection.
    pub connection: ConnectionId,
    /// Its number there, from 1.
    pub number: u64,
    /// How far it came.
    pub step: Step,
    /// How it was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<StatementKind>,
    /// The prepared statement's name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// The text; `None` if only its name is on record, or what has it is not in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<Text>,
    /// The OIDs of the parameters' types as they were fixed with the text, 0 where one was left to
    /// the server; empty if all were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<u32>,
    /// The parameters, or a function's arguments; `None` if what has them is not in the log.
    pub parameters: Option<Vec<Parameter>>,
    /// The OID of the function, of a function call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<u32>,
    /// The number that its portal began with: its own, or that of what was bound before.
    #[serde(skip)]
    pub portal: u64,
    /// The same, if something was executed from that portal before: this goes on with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continues: Option<u64>,
    /// How it ended; `None` if that is not on record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// The SQLSTATE with which its transaction failed to commit, after it had completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_failed: Option<String>,
}

/// How a statement ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct End {
    /// The sequence of the record that says so.
    pub seq: u64,
    /// When it was made.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// What each command did.
    pub results: Vec<CommandResult>,
    /// The error's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// Rows that were sent to the client.
    pub rows: u64,
    /// Bytes that answered it.
    pub bytes: u64,
    /// What was copied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<Copy>,
    /// From its start to its end.
    pub microseconds: u64,
}

impl Statement {
    fn text(&mut self, text: Option<(Text, Vec<u32>)>) {
        let (sql, types) = text.unzip();
        self.sql = sql;
        self.types = types.unwrap_or_default();
    }

    /// Its text, with the types that were fixed with it.
    fn with_types(&self) -> Option<(Text, Vec<u32>)> {
        Some((self.sql.clone()?, self.types.clone()))
    }

    /// What became of it.
    pub fn outcome(&self) -> Option<Outcome> {
        self.end.as_ref().map(|end| end.outcome)
    }

    /// Whether values of it were kept out of the record.
    pub fn is_redacted(&self) -> bool {
        let kept_out = |it: &Parameter| matches!(it, Parameter::Hashed { .. } | Parameter::Omitted);
        self.parameters.iter().flatten().any(kept_out)
    }

    /// Whether it says more than what is run later says again: it was run, or it failed before.
    pub fn is_telling(&self) -> bool {
        self.step == Step::Started || self.outcome() != Some(Outcome::Completed)
    }
}

type Place = (ConnectionId, u64);

/// Puts statements together from a session's records, which must come in their order.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    statements: Vec<Statement>,
    /// Where the statement of a number is.
    known: HashMap<Place, usize>,
    /// Portals that something was executed from.
    executed: HashSet<Place>,
    messages: HashMap<Place, Message>,
    /// Results that were recorded before the end.
    results: HashMap<Place, (Vec<CommandResult>, Vec<Copy>)>,
}

impl Joiner {
    /// All statements, in the order in which they began.
    pub(super) fn finish(self) -> Vec<Statement> {
        self.statements
    }

    /// Takes the next record.
    pub(super) fn take(&mut self, record: &Record) {
        match &record.event {
            Event::StatementPart {
                origin,
                statement,
                data,
                parameters,
                ..
            } => {
                let message = self.messages.entry((origin.connection, *statement));
                message.or_default().push(data.as_ref(), parameters);
            }
            Event::StatementPrepared { .. } => self.prepared(record),
            Event::PortalBound { .. } => self.bound(record),
            Event::StatementStarted { .. } => self.started(record),
            Event::StatementResults {
                origin,
                statement,
                results,
                copies,
            } => {
                let so_far = self.results.entry((origin.connection, *statement));
                let so_far = so_far.or_default();
                so_far.0.extend_from_slice(results);
                so_far.1.extend_from_slice(copies);
            }
            Event::StatementFinished { .. } => self.finished(record),
            Event::CommitFailed {
                origin,
                statement,
                sqlstate,
            } => {
                if let Some(known) = self.at((origin.connection, *statement)) {
                    known.commit_failed = Some(sqlstate.clone());
                }
            }
            _ => {}
        }
    }

    fn at(&mut self, place: Place) -> Option<&mut Statement> {
        self.known.get(&place).map(|&at| &mut self.statements[at])
    }

    fn of(&self, connection: ConnectionId, number: Option<u64>) -> Option<&Statement> {
        let at = self.known.get(&(connection, number?))?;
        Some(&self.statements[*at])
    }

    /// The message in `parts`, if they are all there.
    fn message(&mut self, place: Place, parts: u64) -> Option<Message> {
        let message = self.messages.remove(&place)?;
        (message.parts == parts).then_some(message)
    }

    fn push(&mut self, statement: Statement) {
        let place = (statement.connection, statement.number);
        self.known.insert(place, self.statements.len());
        self.statements.push(statement);
    }

    fn prepared(&mut self, record: &Record) {
        let Event::StatementPrepared {
            origin,
            statement,
            name,
            types,
            sql,
            parts,
        } = &record.event
        else {
            return;
        };
        let mut new = new(record, origin.connection, *statement, Step::Prepared);
        new.name.clone_from(name);
        let whole = self.message((origin.connection, *statement), *parts);
        let whole = whole.and_then(|whole| whole.parse());
        let here = sql.clone().map(|sql| (sql, types.clone()));
        new.text(here.or(whole));
        self.push(new);
    }

    fn bound(&mut self, record: &Record) {
        let Event::PortalBound {
            origin,
            statement,
            name,
            types,
            sql,
            prepared,
            parameters,
            parts,
            ..
        } = &record.event
        else {
            return;
        };
        let mut new = new(record, origin.connection, *statement, Step::Bound);
        new.name.clone_from(name);
        let text = self.of(origin.connection, *prepared);
        let here = sql.clone().map(|sql| (sql, types.clone()));
        new.text(here.or_else(|| text?.with_types()));
        new.parameters = match parts {
            0 => Some(parameters.clone()),
            parts => self
                .message((origin.connection, *statement), *parts)
                .and_then(Message::bind),
        };
        self.push(new);
    }

    fn started(&mut self, record: &Record) {
        let Event::StatementStarted {
            origin,
            statement,
            kind,
            name,
            types,
            sql,
            prepared,
            bound,
            parameters,
            function,
            parts,
            ..
        } = &record.event
        else {
            return;
        };
        let connection = origin.connection;
        let mut new = new(record, connection, *statement, Step::Started);
        new.kind = Some(*kind);
        new.name.clone_from(name);
        new.function = *function;
        new.text(sql.clone().map(|sql| (sql, types.clone())));
        new.parameters = Some(parameters.clone());
        if new.sql.is_none() {
            let text = self.of(connection, *prepared);
            new.text(text.and_then(Statement::with_types));
        }
        if bound.is_some() {
            let bound = self.of(connection, *bound);
            new.parameters = bound.and_then(|it| it.parameters.clone());
            if new.sql.is_none() {
                new.text(bound.and_then(Statement::with_types));
            }
            new.portal = bound.map_or(new.number, |it| it.portal);
        }
        if !self.executed.insert((connection, new.portal)) {
            new.continues = Some(new.portal);
        }
        if *parts > 0 {
            self.whole(&mut new, *parts);
        }
        self.push(new);
    }

    /// Reads what stands in the parts of a message.
    fn whole(&mut self, new: &mut Statement, parts: u64) {
        let whole = self.message((new.connection, new.number), parts);
        match new.kind {
            Some(StatementKind::Simple) => new.sql = whole.and_then(|it| it.query()),
            Some(StatementKind::FunctionCall) => {
                new.parameters = whole.and_then(Message::function_call);
            }
            _ => new.parameters = whole.and_then(Message::bind),
        }
    }

    fn finished(&mut self, record: &Record) {
        let Event::StatementFinished {
            origin,
            statement,
            outcome,
            results,
            sqlstate,
            rows,
            bytes,
            copies,
            microseconds,
        } = &record.event
        else {
            return;
        };
        let place = (origin.connection, *statement);
        let (mut all_results, mut all_copies) = self.results.remove(&place).unwrap_or_default();
        all_results.extend_from_slice(results);
        all_copies.extend_from_slice(copies);
        let end = End {
            seq: record.seq,
            at: record.at,
            outcome: *outcome,
            results: all_results,
            sqlstate: sqlstate.clone(),
            rows: *rows,
            bytes: *bytes,
            copies: all_copies,
            microseconds: *microseconds,
        };
        if let Some(known) = self.at(place) {
            known.end = Some(end);
        }
    }
}

fn new(record: &Record, connection: ConnectionId, number: u64, step: Step) -> Statement {
    Statement {
        seq: record.seq,
        at: record.at,
        connection,
        number,
        step,
        kind: None,
        name: None,
        sql: None,
        types: Vec::new(),
        parameters: Some(Vec::new()),
        function: None,
        portal: number,
        continues: None,
        end: None,
        commit_failed: None,
    }
}
