//! Facts as JSON. Serde defines the form; the two records of every statement are written by hand,
//! which takes a quarter of the time, and a test holds them to what serde makes.

use std::cell::RefCell;
use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;

use super::{CommandResult, Event, Origin, Text};

#[derive(Serialize)]
struct Body<'a> {
    at: Timestamp,
    #[serde(flatten)]
    event: &'a Event,
}

/// Appends `"at":..,"type":..}`: a record but for what its place in the chain adds before.
pub(super) fn body(at: Timestamp, event: &Event, out: &mut Vec<u8>) {
    let start = out.len();
    if statement(at, event, out).is_none() {
        out.truncate(start);
        json(&Body { at, event }, out);
        // The prefix has the opening brace.
        out.remove(start);
    }
}

fn json(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("events are plain data, and a Vec takes every byte");
}

/// A key, with what stands around it.
macro_rules! key {
    ($key:literal) => {
        concat!(",\"", $key, "\":")
    };
}

/// Appends a record of a statement's start or end; `None` if it is another.
fn statement(at: Timestamp, event: &Event, out: &mut Vec<u8>) -> Option<()> {
    let mut fields = Fields(out);
    match event {
        Event::StatementStarted {
            origin,
            statement,
            kind,
            name,
            portal,
            types,
            sql,
            prepared,
            bound,
            parameters,
            function,
            parts,
        } => {
            fields.open(at, b"\",\"type\":\"statement_started\",", origin);
            fields.number(key!("statement"), *statement);
            fields.label(key!("kind"), kind.label());
            fields.text(key!("name"), name.as_ref());
            fields.text(key!("portal"), portal.as_ref());
            if !types.is_empty() {
                fields.value(key!("types"), types);
            }
            fields.text(key!("sql"), sql.as_ref());
            fields.some(key!("prepared"), *prepared);
            fields.some(key!("bound"), *bound);
            if !parameters.is_empty() {
                fields.value(key!("parameters"), parameters);
            }
            fields.some(key!("function"), function.map(u64::from));
            fields.some(key!("parts"), (*parts > 0).then_some(*parts));
        }
        Event::StatementFinished {
            origin,
            statement,
            outcome,
            results,
            sqlstate,
            rows,
            bytes,
            copies,
            microseconds,
        } => {
            fields.open(at, b"\",\"type\":\"statement_finished\",", origin);
            fields.number(key!("statement"), *statement);
            fields.label(key!("outcome"), outcome.label());
            fields.results(key!("results"), results);
            if let Some(sqlstate) = sqlstate {
                fields.value(key!("sqlstate"), sqlstate);
            }
            fields.number(key!("rows"), *rows);
            fields.number(key!("bytes"), *bytes);
            if !copies.is_empty() {
                fields.value(key!("copies"), copies);
            }
            fields.number(key!("microseconds"), *microseconds);
        }
        _ => return None,
    }
    out.push(b'}');
    Some(())
}

/// A JSON object's fields, behind the first. Keys are as [`key!`] writes them.
struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    fn open(&mut self, at: Timestamp, kind: &[u8], origin: &Origin) {
        self.put(b"\"at\":\"");
        timestamp(at, self.0);
        self.put(kind);
        self.put(origin.fields());
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn value(&mut self, key: &str, value: &impl Serialize) {
        self.put(key.as_bytes());
        json(value, self.0);
    }

    /// A word of ours, which needs no escapes.
    fn label(&mut self, key: &str, label: &str) {
        self.put(key.as_bytes());
        self.quoted(label.as_bytes());
    }

    fn number(&mut self, key: &str, number: u64) {
        self.put(key.as_bytes());
        decimal(number, self.0);
    }

    fn some(&mut self, key: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.number(key, number);
        }
    }

    fn text(&mut self, key: &str, text: Option<&Text>) {
        if let Some(text) = text {
            self.put(key.as_bytes());
            self.string(text);
        }
    }

    fn results(&mut self, key: &str, results: &[CommandResult]) {
        if results.is_empty() {
            return;
        }
        self.put(key.as_bytes());
        for (i, result) in results.iter().enumerate() {
            self.put(if i == 0 { b"[{\"tag\":" } else { b",{\"tag\":" });
            self.string(&result.tag);
            self.put(b"}");
        }
        self.put(b"]");
    }

    fn string(&mut self, text: &Text) {
        match is_plain(&text.0) {
            true => self.quoted(&text.0),
            false => json(text, self.0),
        }
    }

    fn quoted(&mut self, bytes: &[u8]) {
        self.0.reserve(bytes.len() + 2);
        self.put(b"\"");
        self.put(bytes);
        self.put(b"\"");
    }
}

/// Whether bytes are ASCII that JSON takes as it is.
fn is_plain(bytes: &[u8]) -> bool {
    // Without a way out, so that it is done many bytes at a time.
    bytes.iter().fold(true, |plain, byte| {
        plain & matches!(byte, b' '..=b'~') & (*byte != b'"') & (*byte != b'\\')
    })
}

thread_local! {
    /// The second that was written last: many records are of the same one.
    static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// Appends a moment as RFC 3339 has it.
fn timestamp(at: Timestamp, out: &mut Vec<u8>) {
    let (second, nanosecond) = (at.as_second(), at.subsec_nanosecond());
    if second < 0 || nanosecond < 0 {
        // Before 1970 the two have other signs.
        write!(out, "{at}").expect("a Vec takes every byte");
        return;
    }
    SECOND.with_borrow_mut(|(written, text)| {
        if *written != second {
            let whole = Timestamp::from_second(second).unwrap_or(at);
            *text = whole.to_string().trim_end_matches('Z').to_owned();
            *written = second;
        }
        out.extend_from_slice(text.as_bytes());
    });
    fraction(nanosecond.unsigned_abs(), out);
    out.push(b'Z');
}

/// Appends the fraction of a second, as short as it can be.
fn fraction(mut nanosecond: u32, out: &mut Vec<u8>) {
    if nanosecond == 0 {
        return;
    }
    let mut digits = [b'0'; 9];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (nanosecond % 10) as u8;
        nanosecond /= 10;
    }
    let zeros = digits
        .iter()
        .rev()
        .take_while(|digit| **digit == b'0')
        .count();
    out.push(b'.');
    out.extend_from_slice(&digits[..digits.len() - zeros]);
}

/// Appends a number in decimal.
pub(super) fn decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::option;
    use proptest::prelude::*;

    use super::super::{Copy, CopyDirection, Outcome, Parameter, StatementKind};
    use super::*;
    use crate::access::{ConnectionId, SessionId};

    fn text() -> impl Strategy<Value = Text> {
        let bytes = prop::collection::vec(any::<u8>(), 0..20);
        prop_oneof![
            any::<String>().prop_map(|text| Text::from(text.as_str())),
            bytes.prop_map(|bytes| Text::from(&bytes[..])),
        ]
    }

    fn parameter() -> impl Strategy<Value = Parameter> {
        let bytes = prop::collection::vec(any::<u8>(), 0..9);
        let binary = (prop_oneof![Just(23), Just(20), any::<u32>()], bytes);
        prop_oneof![
            Just(Parameter::Null),
            Just(Parameter::Omitted),
            text().prop_map(Parameter::Text),
            binary.prop_map(|(oid, bytes)| Parameter::Binary {
                oid,
                bytes: bytes.into()
            }),
        ]
    }

    fn origin() -> impl Strategy<Value = Arc<Origin>> {
        (any::<u64>(), any::<String>()).prop_map(|(id, database)| {
            Arc::new(Origin::new(
                ConnectionId::from_random(id),
                SessionId::from_random(id / 2),
                "maya".parse().unwrap(),
                "orders-ro".parse().unwrap(),
                database,
            ))
        })
    }

    fn started() -> impl Strategy<Value = Event> {
        let kind = prop_oneof![
            Just(StatementKind::Simple),
            Just(StatementKind::Extended),
            Just(StatementKind::FunctionCall)
        ];
        let texts = [option::of(text()), option::of(text()), option::of(text())];
        let numbers = [option::of(any::<u64>()), option::of(any::<u64>())];
        let parameters = prop::collection::vec(parameter(), 0..4);
        let types = prop::collection::vec(any::<u32>(), 0..3);
        let rest = (option::of(any::<u32>()), 0..3u64, types);
        (
            origin(),
            any::<u64>(),
            kind,
            texts,
            numbers,
            parameters,
            rest,
        )
            .prop_map(
                |(
                    origin,
                    statement,
                    kind,
                    [name, portal, sql],
                    [prepared, bound],
                    parameters,
                    rest,
                )| {
                    Event::StatementStarted {
                        origin,
                        statement,
                        kind,
                        name,
                        portal,
                        types: rest.2,
                        sql,
                        prepared,
                        bound,
                        parameters,
                        function: rest.0,
                        parts: rest.1,
                    }
                },
            )
    }

    fn finished() -> impl Strategy<Value = Event> {
        let outcome = prop_oneof![Just(Outcome::Completed), Just(Outcome::Failed)];
        let result = text().prop_map(|tag| CommandResult { tag });
        let copy = (any::<u64>(), option::of("[0-9a-f]{64}")).prop_map(|(bytes, sha256)| Copy {
            direction: CopyDirection::In,
            bytes,
            sha256,
            hmac: None,
        });
        let lists = (
            prop::collection::vec(result, 0..3),
            prop::collection::vec(copy, 0..3),
        );
        let numbers = [any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()];
        let sqlstate = option::of("[0-9A-Z]{5}");
        (origin(), outcome, lists, sqlstate, numbers).prop_map(
            |(origin, outcome, (results, copies), sqlstate, numbers)| Event::StatementFinished {
                origin,
                statement: numbers[0],
                outcome,
                results,
                sqlstate,
                rows: numbers[1],
                bytes: numbers[2],
                copies,
                microseconds: numbers[3],
            },
        )
    }

    fn moment() -> impl Strategy<Value = Timestamp> {
        let second = prop_oneof![
            1_700_000_000..1_700_000_003i64,
            -4_000_000_000..9_000_000_000i64
        ];
        let nanosecond = prop_oneof![
            0..1_000_000_000,
            Just(0),
            (0..1000).prop_map(|ms| ms * 1_000_000)
        ];
        (second, nanosecond)
            .prop_map(|(second, nanosecond)| Timestamp::new(second, nanosecond).unwrap())
    }

    proptest! {
        #[test]
        fn by_hand_is_what_serde_makes(
            event in prop_oneof![started(), finished()], at in moment()
        ) {
            let mut fast = b"{".to_vec();
            body(at, &event, &mut fast);
            let mut serde = Vec::new();
            json(&Body { at, event: &event }, &mut serde);
            prop_assert_eq!(String::from_utf8(fast).unwrap(), String::from_utf8(serde).unwrap());
        }
    }
}
