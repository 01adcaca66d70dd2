//! What the line of a statement's start shows of its text and its parameters, without reading it
//! as JSON.

use memchr::memmem;

use super::line::{Cursor, Line, lines};

/// What a start shows of its text and its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown<'a> {
    pub(super) sql: Field<'a>,
    pub(super) parameters: Field<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field<'a> {
    /// It has none.
    None,
    /// Here: JSON strings, and what is between them.
    Here(&'a [u8]),
    /// In another record, or in base64.
    Hidden,
}

impl<'a> Shown<'a> {
    const HIDDEN: Self = Self {
        sql: Field::Hidden,
        parameters: Field::Hidden,
    };

    /// Of what follows the statement's number.
    pub(super) fn of(rest: &'a [u8]) -> Self {
        Self::read(Cursor(rest)).unwrap_or(Self::HIDDEN)
    }

    fn read(mut cursor: Cursor<'a>) -> Option<Self> {
        cursor.expect(b",\"kind\":\"")?;
        cursor.plain()?;
        for name in [&b",\"name\":\""[..], b",\"portal\":\""] {
            if cursor.expect(name).is_some() {
                cursor.escaped()?;
            }
        }
        if cursor.expect(b",\"types\":[").is_some() {
            cursor.beyond(b']')?;
        }
        let before = cursor.0;
        cursor.expect(b",\"sql\":\"")?;
        cursor.escaped()?;
        let sql = Field::Here(&before[b",\"sql\":".len()..before.len() - cursor.0.len()]);
        let parameters = match cursor.0 {
            b"}" => Field::None,
            rest if rest.starts_with(b",\"parameters\":[") => values(rest),
            _ => Field::Hidden,
        };
        Some(Self { sql, parameters })
    }
}

/// Parameters are hidden if one is in base64, and has no readable form beside it.
fn values(rest: &[u8]) -> Field<'_> {
    let binary = b"\"binary\":\"";
    let unreadable = |at: usize| {
        let mut cursor = Cursor(&rest[at + binary.len()..]);
        cursor.plain().is_none() || !cursor.0.starts_with(b",\"value\":")
    };
    // Objects are rare, and these searches are not cheap to begin.
    if memchr::memchr(b'{', rest).is_none() && rest.ends_with(b"]}") {
        return Field::Here(&rest[b",\"parameters\":".len()..]);
    }
    let hidden = memmem::find(rest, b"{\"base64\":").is_some()
        || memmem::find_iter(rest, binary).any(unreadable)
        || !rest.ends_with(b"]}");
    if hidden {
        Field::Hidden
    } else {
        Field::Here(&rest[b",\"parameters\":".len()..])
    }
}

/// The JSON strings in `json`, without their quotes, with their escapes.
pub(super) fn strings(json: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut cursor = Cursor(json);
    std::iter::from_fn(move || {
        let quote = memchr::memchr(b'"', cursor.0)?;
        cursor.0 = &cursor.0[quote + 1..];
        cursor.escaped()
    })
}

/// Whether every statement that starts in `block` shows all that it says: neither is its text or a
/// parameter in another record, nor in base64. Who looks for a text needs to look at no line then
/// that does not have it.
pub(super) fn is_plain(block: &[u8]) -> bool {
    lines(block).all(|line| {
        let Some(line) = Line::of(line) else {
            return false;
        };
        line.kind != b"statement_started" || line.origin().is_some_and(|it| shows_all(it.rest))
    })
}

fn shows_all(rest: &[u8]) -> bool {
    let shown = Shown::of(rest);
    shown.sql != Field::Hidden && shown.parameters != Field::Hidden
}

#[cfg(test)]
mod tests {
    use super::super::chain::Head;
    use super::super::testing::{executed, finished, lines, origin, started};
    use super::super::{Event, Parameter, Text};
    use super::*;

    fn plain(event: &Event) -> bool {
        let mut head = Head::START;
        is_plain(&lines(&mut head, std::slice::from_ref(event)))
    }

    #[test]
    fn a_start_is_plain_if_all_that_it_says_can_be_read_there() {
        let origin = origin(1, 1);
        let binary = |oid| Parameter::Binary {
            oid,
            bytes: vec![0, 0, 0, 42].into(),
        };
        let with = |value| executed(&origin, 1, Some("a \"{\\ $1"), (None, None), vec![value]);
        assert!(plain(&started(&origin, 1, "select 1")));
        let mut typed = with(Parameter::Null);
        if let Event::StatementStarted { types, .. } = &mut typed {
            *types = vec![23, 0];
        }
        assert!(plain(&typed));
        assert!(plain(&finished(&origin, 1, 2)));
        for value in [
            Parameter::Null,
            Parameter::Text("{\"a\": 1}".into()),
            binary(23),
        ] {
            assert!(plain(&with(value.clone())), "{value:?}");
        }
        for value in [binary(0), Parameter::Text(Text::from(&b"\xff"[..]))] {
            assert!(!plain(&with(value.clone())), "{value:?}");
        }
        for refers in [(Some(1), None), (None, Some(1)), (None, None)] {
            assert!(
                !plain(&executed(&origin, 2, None, refers, vec![])),
                "{refers:?}"
            );
        }
        assert!(!is_plain(b"not a record\n"));
    }
}
