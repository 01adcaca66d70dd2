//! A line at a glance: what its beginning says, without reading it all.
//!
//! hallpass writes the fields of a record in one order. A line that has them in another one is not
//! understood here, and is to be read as JSON.

use jiff::Timestamp;

use super::Record;

/// The beginning of a record's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The whole line, without its end.
    pub whole: &'a [u8],
    /// The record's sequence.
    pub seq: u64,
    at: &'a [u8],
    /// The record's `type`.
    pub kind: &'a [u8],
    /// What follows.
    pub rest: &'a [u8],
}

/// Whose connection a line belongs to: text between quotes, as it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineOrigin<'a> {
    /// The connection.
    pub connection: &'a [u8],
    /// The session.
    pub session: &'a [u8],
    /// The principal.
    pub principal: &'a [u8],
    /// The target.
    pub target: &'a [u8],
    /// The database, with JSON's escapes.
    pub database: &'a [u8],
    /// The statement's number; 0 if it is not about one.
    pub statement: u64,
    /// What follows.
    pub rest: &'a [u8],
}

impl<'a> Line<'a> {
    /// Reads the first line of `lines`. `None` if it is not as hallpass writes it.
    pub fn read(lines: &'a [u8]) -> Option<Self> {
        let end = memchr::memchr(b'\n', lines).unwrap_or(lines.len());
        Self::of(&lines[..end])
    }

    /// Reads `whole`, a line without its end. `None` if it is not as hallpass writes it.
    pub fn of(whole: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor(whole);
        cursor.expect(b"{\"v\":1,\"seq\":")?;
        let seq = cursor.number()?;
        cursor.expect(b",\"prev\":\"")?;
        cursor.skip(64)?;
        cursor.expect(b"\",\"at\":\"")?;
        let at = cursor.plain()?;
        cursor.expect(b",\"type\":\"")?;
        let kind = cursor.plain()?;
        Some(Self {
            whole,
            seq,
            at,
            kind,
            rest: cursor.0,
        })
    }

    /// Whose connection it belongs to; `None` if to none.
    pub fn origin(&self) -> Option<LineOrigin<'a>> {
        Cursor(self.rest).origin()
    }

    /// When the fact was observed.
    pub fn at(&self) -> Option<Timestamp> {
        std::str::from_utf8(self.at).ok()?.parse().ok()
    }

    /// The record.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(&self) -> serde_json::Result<Record> {
        serde_json::from_slice(self.whole)
    }
}

/// The lines in `bytes`, without their ends; a last one without an end is left out.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest)?;
        let line = &rest[..end];
        rest = &rest[end + 1..];
        Some(line)
    })
}

/// What is left of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn expect(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// Goes behind the next such byte.
    pub(super) fn beyond(&mut self, byte: u8) -> Option<()> {
        let at = memchr::memchr(byte, self.0)?;
        self.skip(at + 1)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        let mut digits = 0;
        while let Some(digit) = self.0.get(digits).filter(|byte| byte.is_ascii_digit()) {
            number = number
                .checked_mul(10)?
                .checked_add(u64::from(digit - b'0'))?;
            digits += 1;
        }
        self.0 = &self.0[digits..];
        (digits > 0).then_some(number)
    }

    /// Text up to its closing quote, which is consumed. Without escapes. For what is short: names,
    /// times.
    pub(super) fn plain(&mut self) -> Option<&'a [u8]> {
        let end = self
            .0
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\'))?;
        match self.0[end] {
            b'"' => self.upto(end),
            _ => None,
        }
    }

    /// Text up to its closing quote, which is consumed. With its escapes.
    pub(super) fn escaped(&mut self) -> Option<&'a [u8]> {
        let mut end = 0;
        loop {
            end += memchr::memchr2(b'"', b'\\', self.0.get(end..)?)?;
            if self.0[end] == b'"' {
                return self.upto(end);
            }
            end += 2;
        }
    }

    fn upto(&mut self, quote: usize) -> Option<&'a [u8]> {
        let (text, rest) = self.0.split_at_checked(quote)?;
        self.0 = rest.get(1..)?;
        Some(text)
    }

    fn origin(mut self) -> Option<LineOrigin<'a>> {
        self.expect(b",\"connection\":\"")?;
        let connection = self.plain()?;
        self.expect(b",\"session\":\"")?;
        let session = self.plain()?;
        self.expect(b",\"principal\":\"")?;
        let principal = self.plain()?;
        self.expect(b",\"target\":\"")?;
        let target = self.plain()?;
        self.expect(b",\"database\":\"")?;
        let database = self.escaped()?;
        let statement = match self.expect(b",\"statement\":") {
            Some(()) => self.number()?,
            None => 0,
        };
        Some(LineOrigin {
            connection,
            session,
            principal,
            target,
            database,
            statement,
            rest: self.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::chain::Head;
    use super::super::{Batch, Event, Origin, Outcome};
    use super::*;
    use crate::access::{ConnectionId, SessionId};

    fn finished(database: &str, statement: u64) -> Event {
        Event::StatementFinished {
            origin: Arc::new(Origin::new(
                ConnectionId::from_random(1),
                SessionId::from_random(2),
                "maya@example.com".parse().unwrap(),
                "orders-ro".parse().unwrap(),
                database.to_owned(),
            )),
            statement,
            outcome: Outcome::Completed,
            results: Vec::new(),
            sqlstate: None,
            rows: 1,
            bytes: 2,
            copies: Vec::new(),
            microseconds: 3,
        }
    }

    fn written(event: &Event, at: Timestamp) -> Vec<u8> {
        let mut batch = Batch::new(at);
        batch.push(event);
        let mut lines = Vec::new();
        let mut head = Head::START;
        batch.link(&mut head, &mut lines);
        lines
    }

    proptest! {
        #[test]
        fn a_glance_sees_what_is_there(database in any::<String>(), statement in 1u64.., second in 0i64..4_000_000_000) {
            let at = Timestamp::from_second(second).unwrap();
            let lines = written(&finished(&database, statement), at);
            let line = Line::read(&lines).unwrap();
            let record = line.parse().unwrap();
            prop_assert_eq!((line.seq, line.at()), (1, Some(at)));
            let seen = line.origin().unwrap();
            let origin = record.event.origin().unwrap();
            prop_assert_eq!(seen.connection.to_vec(), origin.connection.to_string().into_bytes());
            prop_assert_eq!(seen.principal, origin.principal.as_str().as_bytes());
            let quoted = [b"\"", seen.database, b"\""].concat();
            let seen_database: String = serde_json::from_slice(&quoted).unwrap();
            prop_assert_eq!(seen_database, database);
            prop_assert_eq!(seen.statement, statement);
            prop_assert!(seen.rest.starts_with(b",\"outcome\":\"completed\""));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Line::read(&bytes);
            let lines = written(&Event::Stopped, Timestamp::UNIX_EPOCH);
            let cut = bytes.len().min(lines.len());
            let _ = Line::read(&[&lines[..cut], &bytes[..]].concat());
        }
    }

    #[test]
    fn records_of_no_connection_have_no_origin() {
        let lines = written(&Event::Stopped, Timestamp::UNIX_EPOCH);
        let line = Line::read(&lines).unwrap();
        assert_eq!((line.kind, line.origin()), (&b"stopped"[..], None));
        assert_eq!(super::lines(b"a\n\nb\nc").count(), 3);
    }
}
