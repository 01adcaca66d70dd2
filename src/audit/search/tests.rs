//! A search finds what reading everything would find, wherever segments end.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::archive::Archive;
use super::super::chain::Head;
use super::super::files::FileKind;
use super::super::join::Joiner;
use super::super::source::Directory;
use super::super::testing::{
    at, executed, finished, lines, origin, parts, seal_all_but_last, started,
};
use super::super::{
    CommandResult, Event, Origin, Outcome, Parameter, Record, Statement, Text, reader,
};
use super::*;

/// Words that texts are made of, in all kinds of writing.
const WORDS: [&str; 12] = [
    "select",
    "orders",
    "FROM",
    "it\\'s",
    "\"q\"",
    "naïve",
    "\n\t",
    "\u{1b}[2J",
    "日本",
    "42",
    "straße",
    "x",
];

/// Events of some connections, told by random bytes.
struct Story {
    events: Vec<Event>,
    connections: Vec<Told>,
}

struct Told {
    origin: Arc<Origin>,
    number: u64,
    open: Vec<u64>,
    /// What may be referred to.
    prepared: Vec<u64>,
    bound: Vec<u64>,
}

impl Story {
    fn new() -> Self {
        let told = |n| Told {
            origin: origin(n, n / 2),
            number: 0,
            open: Vec::new(),
            prepared: Vec::new(),
            bound: Vec::new(),
        };
        let connections: Vec<Told> = (0..4).map(told).collect();
        let events = connections.iter().map(|it| opened(&it.origin)).collect();
        Self {
            events,
            connections,
        }
    }

    fn tell(&mut self, [connection, what, a, b]: [u8; 4]) {
        let it = &mut self.connections[usize::from(connection) % 4];
        let sql = text(a, b);
        let value = parameter(b, a);
        it.number += 1;
        let (origin, number) = (&it.origin, it.number);
        match what % 10 {
            0 | 1 => self.events.push(started(origin, number, &sql)),
            2 => {
                let event = executed(origin, number, Some(&sql), (None, None), vec![value]);
                self.events.push(event);
            }
            3 => {
                it.prepared.push(number);
                self.events.push(prepared(origin, number, Some(&sql), 0));
                return;
            }
            4 => {
                let body = [b"name\0", sql.as_bytes(), b"\0\0\0"].concat();
                let (first, second) = body.split_at(usize::from(b) % body.len());
                self.events
                    .extend(parts(origin, number, "Parse", &[first, second]));
                self.events.push(prepared(origin, number, None, 2));
                it.prepared.push(number);
                return;
            }
            5 if !it.prepared.is_empty() => {
                let prepared = it.prepared[usize::from(a) % it.prepared.len()];
                it.bound.push(number);
                self.events.push(bound(origin, number, prepared, value));
                return;
            }
            6 if !it.prepared.is_empty() => {
                let prepared = it.prepared[usize::from(a) % it.prepared.len()];
                let event = executed(origin, number, None, (Some(prepared), None), vec![value]);
                self.events.push(event);
            }
            7 if !it.bound.is_empty() => {
                let bound = it.bound[usize::from(a) % it.bound.len()];
                let event = executed(origin, number, None, (None, Some(bound)), vec![]);
                self.events.push(event);
            }
            8 => {
                let body = [sql.as_bytes(), b"\0"].concat();
                let (first, second) = body.split_at(usize::from(a) % body.len());
                self.events
                    .extend(parts(origin, number, "Query", &[first, second]));
                let mut event = started(origin, number, "");
                if let Event::StatementStarted { sql, parts, .. } = &mut event {
                    (*sql, *parts) = (None, 2);
                }
                self.events.push(event);
            }
            _ => {
                it.number -= 1;
                if !it.open.is_empty() {
                    let ended = it.open.remove(usize::from(a) % it.open.len());
                    self.events.push(ending(&it.origin, ended, b));
                    if b % 5 == 0 {
                        self.events.push(Event::CommitFailed {
                            origin: Arc::clone(&it.origin),
                            statement: ended,
                            sqlstate: "23503".to_owned(),
                        });
                    }
                }
                return;
            }
        }
        it.open.push(number);
    }
}

fn text(a: u8, b: u8) -> String {
    let word = |n: u8| WORDS[usize::from(n) % WORDS.len()];
    [word(a), word(b), word(a / 12), word(b / 12)].concat()
}

fn parameter(a: u8, b: u8) -> Parameter {
    let text = text(a, b);
    match a % 6 {
        0 => Parameter::Null,
        1 => Parameter::Text(text.as_str().into()),
        2 => Parameter::Text(Text([text.as_bytes(), b"\xff"].concat().into())),
        3 => Parameter::Binary {
            oid: 25,
            bytes: text.into_bytes().into(),
        },
        4 => Parameter::Binary {
            oid: 0,
            bytes: text.into_bytes().into(),
        },
        _ => Parameter::Binary {
            oid: 23,
            bytes: Bytes::copy_from_slice(&[0, 0, a, b]),
        },
    }
}

fn opened(origin: &Arc<Origin>) -> Event {
    Event::ConnectionOpened {
        origin: Arc::clone(origin),
        peer: "127.0.0.1:5".to_owned(),
        application_name: "psql".into(),
        startup: Vec::new(),
        tls: None,
    }
}

fn prepared(origin: &Arc<Origin>, statement: u64, sql: Option<&str>, parts: u64) -> Event {
    Event::StatementPrepared {
        origin: Arc::clone(origin),
        statement,
        name: None,
        types: Vec::new(),
        sql: sql.map(Text::from),
        parts,
    }
}

fn bound(origin: &Arc<Origin>, statement: u64, prepared: u64, value: Parameter) -> Event {
    Event::PortalBound {
        origin: Arc::clone(origin),
        statement,
        name: None,
        portal: None,
        types: Vec::new(),
        sql: None,
        prepared: Some(prepared),
        parameters: vec![value],
        parts: 0,
    }
}

fn ending(origin: &Arc<Origin>, statement: u64, n: u8) -> Event {
    let mut event = finished(origin, statement, u64::from(n));
    if let Event::StatementFinished {
        outcome,
        results,
        sqlstate,
        ..
    } = &mut event
    {
        match n % 3 {
            0 => (*outcome, *sqlstate) = (Outcome::Failed, Some("42P01".to_owned())),
            _ => results.push(CommandResult {
                tag: format!("SELECT {n}").as_str().into(),
            }),
        }
    }
    event
}

/// Writes the events as a log whose segments have so many records, and seals some of them.
fn write(folder: &Path, events: &[Event], size: usize, sealed: bool) {
    let mut head = Head::START;
    for events in events.chunks(size) {
        let first = head.seq + 1;
        let lines = lines(&mut head, events);
        std::fs::write(folder.join(FileKind::Raw.name(first)), lines).unwrap();
    }
    if sealed {
        seal_all_but_last(folder);
    }
}

fn archive(folder: &Path) -> Archive {
    Archive::open(Box::new(Directory(folder.to_owned()))).unwrap()
}

fn manner(newest_first: bool, without_index: bool) -> Manner {
    Manner {
        newest_first,
        without_index,
        workers: 2,
    }
}

fn statements(archive: &Archive, query: &Query, manner: Manner) -> Vec<Statement> {
    let mut found = Vec::new();
    let coverage = search(archive, query, manner, &mut |it| {
        match it {
            Found::Statement(statement) => found.push(*statement),
            Found::Event(event) => panic!("{event:?}"),
        }
        ControlFlow::Continue(())
    });
    assert_eq!(coverage.unwrap().unreadable, 0);
    found
}

/// What reading everything finds.
fn expected(folder: &Path, query: &Query) -> Vec<Statement> {
    let mut joiner = Joiner::default();
    for record in reader::records(folder).unwrap() {
        joiner.take(&record.unwrap());
    }
    joiner.finish().filter(|it| query.accepts(it)).collect()
}

fn any_query() -> impl Strategy<Value = Query> {
    let scope = prop_oneof![Just(Scope::Both), Just(Scope::Sql), Just(Scope::Parameters)];
    let text = (any::<[u8; 2]>(), 0usize..9, 1usize..9, scope, 0u8..6).prop_map(
        |([a, b], from, len, scope, kind)| {
            let all = text(a, b);
            let some: String = all.chars().skip(from).take(len).collect();
            let wanted = if some.is_empty() { all } else { some };
            match kind {
                0..3 => TextFilter::literal(&wanted, scope).ok(),
                3 => TextFilter::pattern(&regex::escape(&wanted), scope).ok(),
                4 => TextFilter::pattern("(?i)[a-z]+orders|42.x", scope).ok(),
                _ => None,
            }
        },
    );
    (text, any::<[u8; 8]>()).prop_map(|(text, n)| {
        let when = |n: u8, t: u8| n.is_multiple_of(4).then(|| at(i64::from(t)));
        Query {
            text,
            session: (n[0] % 4 == 0)
                .then(|| origin(u64::from(n[0] / 4) % 4, u64::from(n[0] / 4) % 2).session),
            since: when(n[1], n[2] / 2),
            until: when(n[2], n[1]),
            longer: (n[3] % 5 == 0).then(|| Duration::from_millis(n[3].into())),
            sqlstate: (n[4] % 7 == 0).then(|| "42*".parse().unwrap()),
            outcomes: match n[5] % 9 {
                0 => vec![Ending::As(Outcome::Failed)],
                1 => vec![Ending::None, Ending::As(Outcome::Completed)],
                _ => vec![],
            },
            tag: (n[6] % 7 == 0).then(|| "select".to_owned()),
            table: (n[7] % 7 == 0).then(|| "orders".parse().unwrap()),
            ..Query::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_search_finds_what_reading_everything_finds(
        acts in prop::collection::vec(any::<[u8; 4]>(), 1..120),
        size in 1usize..40,
        sealed in any::<bool>(),
        query in any_query(),
    ) {
        let mut story = Story::new();
        acts.into_iter().for_each(|act| story.tell(act));
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &story.events, size, sealed);
        let mut expected = expected(dir.path(), &query);
        let archive = archive(dir.path());
        for without_index in [false, true] {
            let found = statements(&archive, &query, manner(false, without_index));
            prop_assert_eq!(&found, &expected);
        }
        expected.reverse();
        prop_assert_eq!(statements(&archive, &query, manner(true, false)), expected);
    }
}

#[test]
fn breaking_ends_a_search() {
    let dir = tempfile::tempdir().unwrap();
    let one = origin(1, 1);
    let events: Vec<Event> = (1..50).map(|n| started(&one, n, "x")).collect();
    write(dir.path(), &events, 5, true);
    let mut numbers = Vec::new();
    let done = search(
        &archive(dir.path()),
        &Query::default(),
        manner(true, false),
        &mut |it: Found| {
            numbers.push(it.seq());
            if numbers.len() == 3 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    );
    assert!(done.is_ok());
    assert_eq!(numbers, [49, 48, 47]);
}

#[test]
fn lines_in_another_order_are_read_and_others_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let one = origin(1, 1);
    let mut head = Head::START;
    let bytes = lines(
        &mut head,
        &[started(&one, 1, "odd one"), finished(&one, 1, 3)],
    );
    let mut text = String::new();
    for line in String::from_utf8(bytes).unwrap().lines() {
        let record: Record = serde_json::from_str(line).unwrap();
        let mut value = serde_json::to_value(&record).unwrap();
        let at = value["at"].take();
        value.as_object_mut().unwrap().remove("at");
        let rest = value.to_string();
        text += &format!("{{\"at\":{at},{}\n", &rest[1..]);
    }
    text += "not a record\n";
    std::fs::write(dir.path().join(FileKind::Raw.name(1)), text).unwrap();
    let query = Query {
        text: TextFilter::literal("odd", Scope::Sql).ok(),
        ..Query::default()
    };
    let mut rows = Vec::new();
    let coverage = search(
        &archive(dir.path()),
        &query,
        manner(true, false),
        &mut |it: Found| {
            if let Found::Statement(statement) = it {
                rows.push(statement.finish.map(|finish| finish.rows));
            }
            ControlFlow::Continue(())
        },
    );
    assert_eq!(coverage.unwrap().unreadable, 1);
    assert_eq!(rows, [Some(3)]);
}

#[test]
fn events_are_found_by_who_they_are_about() {
    let dir = tempfile::tempdir().unwrap();
    let one = origin(1, 1);
    let denied = |user: &str| Event::ConnectionDenied {
        connection: one.connection,
        peer: "127.0.0.1:5".to_owned(),
        user: user.into(),
        database: "orders".into(),
        reason: "the password is wrong".to_owned(),
    };
    let events = [
        denied("maya~orders-ro"),
        denied("mayaa"),
        started(&one, 1, "x"),
        Event::Stopped,
    ];
    write(dir.path(), &events, 2, true);
    let find = |query: &Query| {
        let mut seqs = Vec::new();
        let mut each = |it: Found| {
            seqs.push(it.seq());
            ControlFlow::Continue(())
        };
        search(&archive(dir.path()), query, manner(false, false), &mut each).unwrap();
        seqs
    };
    let mut query = Query {
        principals: vec!["maya".parse().unwrap()],
        events: Events::Also,
        ..Query::default()
    };
    assert_eq!(find(&query), [1, 3]);
    query.events = Events::Only;
    assert_eq!(find(&query), [1]);
    query.principals.clear();
    assert_eq!(find(&query), [1, 2, 4]);
    query.text = TextFilter::literal("password", Scope::Both).ok();
    assert_eq!(find(&query), [1, 2]);
}
