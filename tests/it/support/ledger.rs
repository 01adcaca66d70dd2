//! The audit as a reader of it sees it: each statement with its text and parameters, wherever they
//! are recorded; and PostgreSQL's own log as the witness.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use hallpass::access::ConnectionId;
use hallpass::audit::{Event, Outcome, Parameter, Record};
use hallpass::pg::frontend::{self, Value};
use hallpass::secret::{hex, sha256};

use super::postgres::LoggedStatement;

/// What hallpass runs itself, to end a backend that does not listen.
const OWN: &str = "select pg_catalog.pg_terminate_backend(";

/// A statement's place: its connection, and its number there.
type Place = (ConnectionId, u64);

/// A statement that was given to the upstream.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Its place.
    pub place: Place,
    /// Its text; of a function call `function` and the OID.
    pub sql: String,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
}

/// What a message too long for one record was.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// Its name (`Query`).
    pub kind: String,
    /// Its body, as it was sent, where it is on record.
    pub body: Vec<u8>,
    /// What is on record of its values where its body is not.
    pub parameters: Vec<Parameter>,
    /// How many records hold it.
    pub parts: u64,
}

/// All that was recorded.
#[derive(Debug, Default)]
pub struct Ledger {
    /// What was started, in order.
    pub statements: Vec<Statement>,
    /// The messages in parts.
    pub messages: HashMap<Place, Message>,
    /// How each number ended.
    pub outcomes: HashMap<Place, Vec<Outcome>>,
    texts: HashMap<Place, String>,
    values: HashMap<Place, Vec<Parameter>>,
    numbers: Vec<Place>,
    closed: Vec<ConnectionId>,
}

impl Ledger {
    /// Reads the records.
    ///
    /// # Panics
    /// If the sequence has a gap, a part is missing or its hash is wrong, or a text that a record
    /// refers to is not there.
    pub fn read(records: &[Record]) -> Self {
        let mut ledger = Self::default();
        for (record, expected) in records.iter().zip(1..) {
            assert_eq!(record.seq, expected, "a gap before {record:?}");
            ledger.take(&record.event);
        }
        ledger
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::StatementPart { .. } => self.part(event),
            Event::StatementPrepared {
                origin,
                statement,
                sql,
                parts,
                ..
            } => {
                let place = (origin.connection, *statement);
                self.numbers.push(place);
                let text = sql.as_ref().map(|sql| sql.to_lossy().into_owned());
                let text = text.unwrap_or_else(|| self.whole(place, *parts, "Parse"));
                self.texts.insert(place, text);
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
                let place = (origin.connection, *statement);
                self.numbers.push(place);
                let known = prepared.and_then(|it| self.texts.get(&(origin.connection, it)));
                let text = sql.as_ref().map(|sql| sql.to_lossy().into_owned());
                let text = text.or_else(|| known.cloned()).unwrap_or_default();
                self.texts.insert(place, text);
                let values = match parts {
                    0 => parameters.clone(),
                    parts => bound(self.message(place, *parts, "Bind")),
                };
                self.values.insert(place, values);
            }
            Event::StatementStarted { .. } => self.started(event),
            Event::StatementFinished {
                origin,
                statement,
                outcome,
                ..
            } => {
                let place = (origin.connection, *statement);
                self.outcomes.entry(place).or_default().push(*outcome);
            }
            Event::ConnectionClosed { origin, .. } => self.closed.push(origin.connection),
            _ => {}
        }
    }

    fn part(&mut self, event: &Event) {
        let Event::StatementPart {
            origin,
            statement,
            message,
            part,
            data,
            parameters,
            sha256: hash,
            ..
        } = event
        else {
            return;
        };
        let whole = self.messages.entry((origin.connection, *statement));
        let whole = whole.or_default();
        whole.kind.clone_from(message);
        whole.parts += 1;
        assert_eq!(*part, whole.parts, "the parts come in order");
        let data = data.iter().flat_map(|data| &data.0[..]);
        whole.body.extend(data);
        whole.parameters.extend_from_slice(parameters);
        if let Some(hash) = hash {
            assert_eq!(*hash, hex(&sha256(&whole.body)), "the hash of all parts");
        }
    }

    /// The body of a message in parts.
    fn message(&self, place: Place, parts: u64, kind: &str) -> &Message {
        let message = &self.messages[&place];
        assert_eq!((message.parts, &*message.kind), (parts, kind));
        message
    }

    /// The text of a message in parts.
    fn whole(&self, place: Place, parts: u64, kind: &str) -> String {
        let message = self.message(place, parts, kind);
        let mut strings = message.body.split(|&byte| byte == 0);
        let text = strings.nth(usize::from(kind == "Parse")).unwrap();
        String::from_utf8_lossy(text).into_owned()
    }

    fn started(&mut self, event: &Event) {
        let Event::StatementStarted {
            origin,
            statement,
            sql,
            prepared,
            bound,
            parameters,
            function,
            parts,
            ..
        } = event
        else {
            return;
        };
        let place = (origin.connection, *statement);
        let elsewhere = |number: u64| (origin.connection, number);
        self.numbers.push(place);
        let sql = match (sql, prepared, function) {
            (Some(sql), ..) => sql.to_lossy().into_owned(),
            (_, Some(prepared), _) => self.texts[&elsewhere(*prepared)].clone(),
            (_, _, Some(oid)) => format!("function {oid}"),
            _ if *parts > 0 => self.whole(place, *parts, "Query"),
            _ => bound.map_or_else(String::new, |bound| self.texts[&elsewhere(bound)].clone()),
        };
        self.texts.insert(place, sql.clone());
        let parameters = match bound {
            Some(bound) => self.values[&elsewhere(*bound)].clone(),
            None if function.is_some() && *parts > 0 => {
                bound_to_call(self.message(place, *parts, "FunctionCall"))
            }
            None => parameters.clone(),
        };
        self.values.insert(place, parameters.clone());
        self.statements.push(Statement {
            place,
            sql,
            parameters,
        });
    }

    /// Checks that no number finished twice, and that all of a connection that closed finished.
    ///
    /// # Panics
    /// If it is not so.
    pub fn check_outcomes(&self) {
        for place in &self.numbers {
            let finished = self.outcomes.get(place).map_or(0, Vec::len);
            assert!(finished <= 1, "{place:?} finished {finished} times");
            let is_closed = self.closed.contains(&place.0);
            assert!(finished == 1 || !is_closed, "{place:?} never finished");
        }
    }

    /// What the server's log shows, of the roles behind hallpass, and the record lacks.
    pub fn lacks(&self, log: &[LoggedStatement]) -> Vec<String> {
        let mut texts = BTreeMap::<String, i64>::new();
        let mut values = BTreeMap::<(String, String), i64>::new();
        let mut binary = BTreeMap::<&str, i64>::new();
        for statement in &self.statements {
            *texts.entry(statement.sql.clone()).or_default() += 1;
            match as_logged(&statement.parameters) {
                Some(shown) => *values.entry((statement.sql.clone(), shown)).or_default() += 1,
                None => *binary.entry(&statement.sql).or_default() += 1,
            }
        }
        let mut missing = Vec::new();
        let of_clients =
            |it: &&LoggedStatement| it.role.starts_with("orders_") && !it.sql.starts_with(OWN);
        for logged in log.iter().filter(of_clients) {
            let sql = name_of(&logged.sql);
            let left = texts.entry(sql.clone()).or_default();
            *left -= 1;
            if *left < 0 {
                missing.push(sql);
                continue;
            }
            let Some((_, shown)) = logged.detail.split_once("arameters: ") else {
                continue;
            };
            let left = values.entry((sql.clone(), shown.to_owned())).or_default();
            *left -= 1;
            if *left < 0 && binary.get(&*sql).copied().unwrap_or(0) + *left < 0 {
                missing.push(format!("{sql:.1000} with {shown:.1000}"));
            }
        }
        missing
    }
}

/// A function call by its OID, any other statement by its text.
fn name_of(logged: &str) -> String {
    let call = logged.strip_prefix("fastpath function call: ");
    let oid = call.and_then(|call| call.rsplit_once("OID ")?.1.strip_suffix(')'));
    oid.map_or_else(|| logged.to_owned(), |oid| format!("function {oid}"))
}

/// Parameters as PostgreSQL's log shows them; `None` if one is binary.
fn as_logged(parameters: &[Parameter]) -> Option<String> {
    let shown: Option<Vec<String>> = parameters
        .iter()
        .zip(1..)
        .map(|(value, i)| match value {
            Parameter::Null => Some(format!("${i} = NULL")),
            Parameter::Text(text) => {
                Some(format!("${i} = '{}'", text.to_lossy().replace('\'', "''")))
            }
            Parameter::Binary { .. } | Parameter::Hashed { .. } | Parameter::Omitted => None,
        })
        .collect();
    shown.map(|shown| shown.join(", "))
}

/// The parameters of a Bind message, or what is on record of them.
fn bound(message: &Message) -> Vec<Parameter> {
    if message.body.is_empty() {
        return message.parameters.clone();
    }
    let bind = frontend::bind(&message.body).unwrap();
    bind.parameters.iter().map(parameter).collect()
}

/// The arguments of a FunctionCall message, or what is on record of them.
fn bound_to_call(message: &Message) -> Vec<Parameter> {
    if message.body.is_empty() {
        return message.parameters.clone();
    }
    let call = frontend::function_call(&message.body).unwrap();
    call.arguments.iter().map(parameter).collect()
}

fn parameter(value: &Value<'_>) -> Parameter {
    match value {
        Value::Null => Parameter::Null,
        Value::Text(text) => Parameter::Text((*text).into()),
        Value::Binary(bytes) => Parameter::Binary {
            oid: 0,
            bytes: Bytes::copy_from_slice(bytes),
        },
    }
}
