//! Messages that were recorded in parts, put together again.

use bytes::Bytes;

use super::super::text::{Parameter, Text};

/// What is on record of a message in parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Its body, as it was sent, where that is on record.
    body: Vec<u8>,
    /// Its values, where its body is not.
    values: Vec<Parameter>,
    /// How many parts there were.
    pub(super) parts: u64,
}

impl Message {
    /// Takes the next part.
    pub(super) fn push(&mut self, data: Option<&Text>, values: &[Parameter]) {
        self.parts += 1;
        self.body.extend(data.iter().flat_map(|data| &data.0[..]));
        self.values.extend_from_slice(values);
    }

    /// The text of a Query.
    pub(super) fn query(&self) -> Option<Text> {
        let mut body = Body(&self.body);
        body.string().map(Text::from)
    }

    /// The text of a Parse, and the types that it fixes.
    pub(super) fn parse(&self) -> Option<(Text, Vec<u32>)> {
        let mut body = Body(&self.body);
        body.string()?;
        let sql = body.string().map(Text::from)?;
        let count = body.u16()?;
        let types = (0..count).map(|_| body.u32()).collect::<Option<_>>()?;
        Some((sql, types))
    }

    /// The parameters of a Bind.
    pub(super) fn bind(self) -> Option<Vec<Parameter>> {
        if self.body.is_empty() {
            return Some(self.values);
        }
        let mut body = Body(&self.body);
        body.string()?;
        body.string()?;
        body.values()
    }

    /// The arguments of a FunctionCall.
    pub(super) fn function_call(self) -> Option<Vec<Parameter>> {
        if self.body.is_empty() {
            return Some(self.values);
        }
        let mut body = Body(&self.body);
        body.take(4)?;
        body.values()
    }
}

/// A cursor over a message's body ("Message Formats", section 55.7 of PostgreSQL's manual).
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let text = self.take(memchr::memchr(0, self.0)?)?;
        self.take(1)?;
        Some(text)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn values(&mut self) -> Option<Vec<Parameter>> {
        let count = self.u16()?;
        let formats: Vec<u16> = (0..count).map(|_| self.u16()).collect::<Option<_>>()?;
        let count = usize::from(self.u16()?);
        let format = |i: usize| match formats[..] {
            [] => 0,
            [all] => all,
            ref each => each.get(i).copied().unwrap_or(0),
        };
        (0..count).map(|i| self.value(format(i) == 1)).collect()
    }

    fn value(&mut self, binary: bool) -> Option<Parameter> {
        let len = self.i32()?;
        if len < 0 {
            return Some(Parameter::Null);
        }
        let bytes = self.take(usize::try_from(len).ok()?)?;
        Some(match binary {
            // Which type it is stands in the Parse, and is not known here.
            true => Parameter::Binary {
                oid: 0,
                bytes: Bytes::copy_from_slice(bytes),
            },
            false => Parameter::Text(Text::from(bytes)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(pieces: &[&[u8]]) -> Message {
        let mut message = Message::default();
        for piece in pieces {
            message.push(Some(&Text::from(*piece)), &[]);
        }
        message
    }

    #[test]
    fn texts_are_found_behind_their_names() {
        assert_eq!(
            message(&[b"sel", b"ect 1\0"]).query(),
            Some("select 1".into())
        );
        let parse = message(&[b"name\0sele", b"ct $1\0\0\x01\0\0\0\x17"]);
        let expected = Some(("select $1".into(), vec![23]));
        assert_eq!((parse.parse(), parse.parts), (expected, 2));
        assert_eq!(message(&[b"cut off"]).query(), None);
    }

    #[test]
    fn values_have_their_formats() {
        let text = |text: &str| Parameter::Text(text.into());
        let bind = b"\0\0\0\x02\0\0\0\x01\0\x03\0\0\0\x01a\0\0\0\x01b\xff\xff\xff\xff\0\0";
        let bytes = Bytes::from_static(b"b");
        let binary = Parameter::Binary { oid: 0, bytes };
        let expected = vec![text("a"), binary, Parameter::Null];
        assert_eq!(message(&[&bind[..7], &bind[7..]]).bind(), Some(expected));
        let call = b"\0\0\x03\xba\0\0\0\x01\0\0\0\x02hi\0\x01";
        assert_eq!(message(&[call]).function_call(), Some(vec![text("hi")]));
        assert_eq!(message(&[&bind[..12]]).bind(), None);
    }

    #[test]
    fn where_the_bytes_are_not_on_record_what_is_of_the_values_stands_for_them() {
        let mut message = Message::default();
        message.push(None, &[Parameter::Omitted]);
        message.push(None, &[Parameter::Omitted]);
        assert_eq!(message.bind(), Some(vec![Parameter::Omitted; 2]));
    }
}
