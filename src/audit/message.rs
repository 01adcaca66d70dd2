//! Frontend messages that were recorded in parts, put together again.

use bytes::Bytes;

use super::statement::Missing;
use super::text::{Parameter, Text};

/// Bytes of a message that are put together; of longer ones the rest is left out, and that is said.
const LONGEST: usize = 64 << 20;

/// A message in parts.
#[derive(Debug, Clone, Default)]
pub(super) struct Message {
    /// PostgreSQL's word for it.
    kind: String,
    body: Vec<u8>,
    /// Bytes of the whole.
    bytes: u64,
    /// What is on record in the place of the bytes.
    parameters: Vec<Parameter>,
    parts: u64,
}

/// What a message says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Content {
    pub(super) sql: Option<Text>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) missing: Vec<Missing>,
}

impl Content {
    /// Bytes that it takes to keep it, about.
    pub(super) fn held(&self) -> usize {
        let sql = self.sql.as_ref().map_or(0, |sql| sql.0.len());
        let parameters = self.parameters.iter().map(Parameter::held);
        256 + sql + parameters.sum::<usize>()
    }
}

impl Message {
    /// Takes the next part. One that is not the next is left out: [`Message::content`] will miss
    /// parts then.
    pub(super) fn take(
        &mut self,
        kind: &str,
        part: u64,
        data: Option<&Text>,
        bytes: Option<u64>,
        parameters: &[Parameter],
    ) {
        if part != self.parts + 1 {
            return;
        }
        self.parts = part;
        kind.clone_into(&mut self.kind);
        let data = data.map_or(&[][..], |data| &data.0);
        self.bytes += bytes.unwrap_or(data.len() as u64);
        let room = LONGEST.saturating_sub(self.body.len());
        self.body.extend_from_slice(&data[..data.len().min(room)]);
        self.parameters.extend_from_slice(parameters);
    }

    /// What it says, if `parts` are all that it has. `statement` is its number.
    pub(super) fn content(self, parts: u64, statement: u64) -> Content {
        if self.parts != parts {
            return Content {
                missing: vec![Missing::Parts { statement }],
                ..Content::default()
            };
        }
        let cut = self.bytes > self.body.len() as u64 && !self.body.is_empty();
        let rest = cut.then_some(Missing::Rest { bytes: self.bytes });
        let mut body = Body(&self.body);
        let (sql, parameters) = match &*self.kind {
            "Query" => (Some(body.text()), Vec::new()),
            "Parse" => (body.cstr().map(|_| body.text()), Vec::new()),
            "Bind" if !self.body.is_empty() => (None, body.bind().unwrap_or_default()),
            "FunctionCall" if !self.body.is_empty() => (None, body.call().unwrap_or_default()),
            _ => (None, self.parameters),
        };
        Content {
            sql,
            parameters,
            missing: rest.into_iter().collect(),
        }
    }
}

/// A message's body that is read from its beginning. hallpass has read it before it was recorded,
/// so that it is well formed, unless its end was left out here.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn cstr(&mut self) -> Option<&'a [u8]> {
        let text = self.take(memchr::memchr(0, self.0)?)?;
        self.take(1)?;
        Some(text)
    }

    /// Up to a NUL, or all there is.
    fn text(&mut self) -> Text {
        Text::from(self.cstr().unwrap_or(self.0))
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take(4)?.try_into().ok().map(i32::from_be_bytes)
    }

    fn bind(&mut self) -> Option<Vec<Parameter>> {
        self.cstr()?;
        self.cstr()?;
        self.values()
    }

    fn call(&mut self) -> Option<Vec<Parameter>> {
        self.take(4)?;
        self.values()
    }

    /// Formats, then values. The values that are whole.
    fn values(&mut self) -> Option<Vec<Parameter>> {
        let formats = self.u16()?;
        let formats: Option<Vec<bool>> = (0..formats).map(|_| Some(self.u16()? == 1)).collect();
        let formats = formats?;
        let count = usize::from(self.u16()?);
        let is_binary = |index: usize| match formats.as_slice() {
            [all] => *all,
            each => each.get(index).copied().unwrap_or(false),
        };
        let value = |index| self.value(is_binary(index));
        Some((0..count).map_while(value).collect())
    }

    fn value(&mut self, binary: bool) -> Option<Parameter> {
        let len = self.i32()?;
        let Ok(len) = usize::try_from(len) else {
            return Some(Parameter::Null);
        };
        let bytes = self.take(len)?;
        Some(match binary {
            true => Parameter::Binary {
                oid: 0,
                bytes: Bytes::copy_from_slice(bytes),
            },
            false => Parameter::Text(bytes.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &str, parts: &[&[u8]]) -> Message {
        let mut message = Message::default();
        for (data, part) in parts.iter().zip(1..) {
            message.take(kind, part, Some(&Text::from(*data)), None, &[]);
        }
        message
    }

    #[test]
    fn texts_come_back_over_the_borders_of_parts() {
        let query = message("Query", &[b"select 'a", b"b'\0"]).content(2, 1);
        assert_eq!(query.sql, Some("select 'ab'".into()));
        let parse = message("Parse", &[b"na", b"me\0sele", b"ct 1\0\0\0"]).content(3, 1);
        assert_eq!(parse.sql, Some("select 1".into()));
        assert_eq!(parse.missing, []);
    }

    #[test]
    fn values_come_back_in_their_formats() {
        let bind = b"\0s\0\0\x03\0\0\0\x01\0\0\0\x03\0\0\0\x02ab\0\0\0\x01\xff\xff\xff\xff\xff\0\0";
        let bind = message("Bind", &[&bind[..9], &bind[9..]]).content(2, 1);
        let binary = Parameter::Binary {
            oid: 0,
            bytes: Bytes::from_static(b"\xff"),
        };
        let expected = [Parameter::Text("ab".into()), binary, Parameter::Null];
        assert_eq!(bind.parameters, expected);
        let call = b"\0\0\0\x2a\0\0\0\x01\0\0\0\x01x\0\0";
        let call = message("FunctionCall", &[call]).content(1, 1);
        assert_eq!(call.parameters, [Parameter::Text("x".into())]);
    }

    #[test]
    fn what_is_recorded_in_the_place_of_bytes_is_put_together() {
        let mut message = Message::default();
        message.take("Bind", 1, None, Some(9), &[Parameter::Omitted]);
        message.take("Bind", 2, None, Some(9), &[Parameter::Null]);
        let content = message.content(2, 1);
        assert_eq!(content.parameters, [Parameter::Omitted, Parameter::Null]);
        assert_eq!(content.missing, []);
    }

    #[test]
    fn a_part_that_is_not_there_is_missed() {
        let mut message = message("Query", &[b"select"]);
        message.take("Query", 3, Some(&" 1\0".into()), None, &[]);
        let content = message.content(3, 7);
        assert_eq!(content.sql, None);
        assert_eq!(content.missing, [Missing::Parts { statement: 7 }]);
    }
}
