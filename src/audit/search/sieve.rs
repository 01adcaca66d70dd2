//! What can be told of a line without reading it whole: most lines are not looked for, and go here.

use std::ops::{Bound, RangeBounds};

use jiff::Timestamp;
use memchr::memmem;

use super::super::line::{Cursor, Line, LineOrigin};
use super::super::shown::{Field, Shown, strings};
use super::query::{Ending, Events, Query};
use super::text::{Signs, TextFilter};

/// A query as bytes of lines.
pub(super) struct Sieve<'q> {
    query: &'q Query,
    session: Option<String>,
    connection: Option<String>,
    /// With JSON's escapes.
    database: Option<String>,
    time: Option<(Bound<Timestamp>, Bound<Timestamp>)>,
    /// Of the text, or of the table.
    signs: Option<Signs>,
}

impl<'q> Sieve<'q> {
    pub(super) fn new(query: &'q Query) -> Self {
        let timed = query.since.is_some() || query.until.is_some();
        let of_text = query.text.as_ref().and_then(TextFilter::signs).cloned();
        let of_table = || query.table.as_ref().and_then(Signs::of_table);
        Self {
            query,
            session: query.session.map(|it| it.to_string()),
            connection: query.connection.map(|it| it.to_string()),
            database: query.database.as_deref().map(escaped),
            time: timed.then(|| query.time()),
            signs: of_text.or_else(of_table),
        }
    }

    /// What lines have that may be found.
    pub(super) fn signs(&self) -> Option<&Signs> {
        self.signs.as_ref()
    }

    /// Whether what is looked for may be in a block of which all statements show what they say.
    pub(super) fn may_have(&self, block: &[u8]) -> bool {
        let has = |signs: &Signs| signs.find(block, 0).is_some();
        self.query.events != Events::None || self.signs.as_ref().is_none_or(has)
    }

    /// Whether the statement that starts here may be looked for. `signed` tells whether what
    /// follows the statement's number has the signs.
    pub(super) fn passes(
        &self,
        line: &Line<'_>,
        origin: &LineOrigin<'_>,
        signed: impl FnOnce() -> bool,
    ) -> bool {
        let is = |wanted: &Option<String>, found: &[u8]| {
            wanted.as_ref().is_none_or(|it| it.as_bytes() == found)
        };
        let query = self.query;
        is(&self.session, origin.session)
            && is(&self.connection, origin.connection)
            && is(&self.database, origin.database)
            && (query.principals.is_empty()
                || query
                    .principals
                    .iter()
                    .any(|it| it.as_str().as_bytes() == origin.principal))
            && (query.targets.is_empty()
                || query
                    .targets
                    .iter()
                    .any(|it| it.as_str().as_bytes() == origin.target))
            && self.is_in_time(line)
            && (self.asks_for_no_text() || signed() || self.may_have_text(origin.rest))
    }

    fn asks_for_no_text(&self) -> bool {
        self.query.text.is_none() && self.query.table.is_none()
    }

    fn is_in_time(&self, line: &Line<'_>) -> bool {
        let in_time = |time: &(Bound<Timestamp>, Bound<Timestamp>)| {
            line.at().is_none_or(|at| time.contains(&at))
        };
        self.time.as_ref().is_none_or(in_time)
    }

    /// Whether a start without signs may still have what is looked for: it has none that are known,
    /// or the text is elsewhere, or in base64.
    fn may_have_text(&self, rest: &[u8]) -> bool {
        let (sql, parameters) = match (&self.query.text, &self.query.table) {
            (Some(text), _) => (text.scope.has_sql(), text.scope.has_parameters()),
            (None, Some(_)) => (true, false),
            (None, None) => return true,
        };
        let shown = Shown::of(rest);
        if self.signs.is_none() {
            return self.is_shown(&shown);
        }
        let hidden = |field: Field<'_>| matches!(field, Field::Hidden);
        sql && hidden(shown.sql) || parameters && hidden(shown.parameters)
    }

    /// Whether a text without known signs is in what is shown, or may be in what is not.
    fn is_shown(&self, shown: &Shown<'_>) -> bool {
        let Some(text) = &self.query.text else {
            return true;
        };
        let has = |field: Field<'_>| match field {
            Field::Hidden => true,
            Field::Here(json) => strings(json).any(|it| is_in_string(text, it)),
            Field::None => false,
        };
        text.scope.has_sql() && has(shown.sql)
            || text.scope.has_parameters() && has(shown.parameters)
    }

    /// Whether the statement that ends here may be looked for, by its `statement_finished`.
    pub(super) fn passes_end(&self, rest: &[u8]) -> bool {
        let query = self.query;
        let longer = query.longer.map_or(0, |it| it.as_micros() as u64);
        (query.longer.is_none()
            || number(rest, b"\"microseconds\":").is_none_or(|took| took > longer))
            && query
                .rows
                .is_none_or(|it| number(rest, b"\"rows\":").is_none_or(|rows| it.is(rows)))
    }

    /// Whether its failure may be. Not to be asked of a statement whose commit may have failed.
    pub(super) fn passes_failure(&self, rest: &[u8]) -> bool {
        let query = self.query;
        let outcome = || {
            let mut cursor = Cursor(rest);
            cursor.expect(b",\"outcome\":\"")?;
            cursor.plain()
        };
        let is = |ending: &Ending| match ending {
            Ending::As(wanted) => outcome().is_none_or(|it| it == wanted.label().as_bytes()),
            Ending::None => false,
        };
        (query.outcomes.is_empty() || query.outcomes.iter().any(is))
            && query
                .sqlstate
                .as_ref()
                .is_none_or(|it| text(rest, b"\"sqlstate\":\"").is_some_and(|code| it.is(code)))
    }
}

fn escaped(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json[1..json.len() - 1].to_owned()
}

/// The number behind `key`. A key is found nowhere else: within strings, quotes are escaped.
fn number(rest: &[u8], key: &[u8]) -> Option<u64> {
    let at = memmem::rfind(rest, key)? + key.len();
    Cursor(rest.get(at..)?).number()
}

fn text<'a>(rest: &'a [u8], key: &[u8]) -> Option<&'a str> {
    let at = memmem::rfind(rest, key)? + key.len();
    std::str::from_utf8(Cursor(rest.get(at..)?).plain()?).ok()
}

/// Whether the text is in a JSON string.
fn is_in_string(text: &TextFilter, raw: &[u8]) -> bool {
    if memchr::memchr(b'\\', raw).is_none() {
        return text.is_in_bytes(raw);
    }
    let quoted = [b"\"", raw, b"\""].concat();
    let plain = serde_json::from_slice::<String>(&quoted);
    plain.map_or(true, |plain| text.is_in_bytes(plain.as_bytes()))
}
