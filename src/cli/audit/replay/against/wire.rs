//! Messages as bytes, and what comes back (manual section 55.7).

use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};

use crate::audit::replay::Seen;
use crate::audit::{Copy, CopyDirection, Parameter};
use crate::pg::StreamError;
use crate::secret::hex;

/// From here on a type may be another on another server.
const FIRST_OF_USERS: u32 = 16384;

/// The connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Lost(pub(super) String);

impl Lost {
    pub(super) fn new(why: &str) -> Self {
        Self(why.to_owned())
    }

    pub(super) fn garbled() -> Self {
        Self::new("the server does not speak PostgreSQL's protocol")
    }
}

impl From<StreamError> for Lost {
    fn from(error: StreamError) -> Self {
        Self(error.to_string())
    }
}

/// A message: its tag, its length, its body.
pub(super) fn message(tag: u8, body: &[u8]) -> Result<Bytes, Lost> {
    let too_long = |_| Lost::new("a message of more than 2 GiB");
    let len = i32::try_from(body.len() + 4).map_err(too_long)?;
    let mut bytes = BytesMut::with_capacity(body.len() + 5);
    bytes.put_u8(tag);
    bytes.put_i32(len);
    bytes.put_slice(body);
    Ok(bytes.freeze())
}

/// `Query`
pub(super) fn query(sql: &[u8]) -> Result<Bytes, Lost> {
    message(b'Q', &[sql, b"\0"].concat())
}

/// `Parse`, with the types that were fixed then, and those that are known of the parameters.
pub(super) fn parse(
    name: &[u8],
    sql: &[u8],
    types: &[u32],
    parameters: &[Parameter],
) -> Result<Bytes, Lost> {
    let mut body = BytesMut::from(&[name, b"\0", sql, b"\0"].concat()[..]);
    let all = types.len().max(parameters.len());
    body.put_u16(u16::try_from(all).map_err(|_| Lost::new("more than 65535 parameters"))?);
    for at in 0..all {
        let fixed = types.get(at).filter(|oid| **oid < FIRST_OF_USERS);
        body.put_u32(match parameters.get(at) {
            Some(Parameter::Binary { oid, .. }) if *oid != 0 => *oid,
            _ => fixed.copied().unwrap_or(0),
        });
    }
    message(b'P', &body)
}

/// `Bind`, with the parameters as they were sent.
pub(super) fn bind(portal: &[u8], name: &[u8], parameters: &[Parameter]) -> Result<Bytes, Lost> {
    let mut body = BytesMut::from(&[portal, b"\0", name, b"\0"].concat()[..]);
    put_values(&mut body, parameters)?;
    body.put_u16(0);
    message(b'B', &body)
}

/// `Execute`; 0 asks for all rows.
pub(super) fn execute(portal: &[u8], rows: u64) -> Result<Bytes, Lost> {
    let rows = i32::try_from(rows).unwrap_or(i32::MAX).to_be_bytes();
    message(b'E', &[portal, b"\0", &rows].concat())
}

/// `Close` of a prepared statement.
pub(super) fn close(name: &[u8]) -> Result<Bytes, Lost> {
    message(b'C', &[b"S", name, b"\0"].concat())
}

/// `FunctionCall`, with a result in binary format.
pub(super) fn function_call(function: u32, arguments: &[Parameter]) -> Result<Bytes, Lost> {
    let mut body = BytesMut::new();
    body.put_u32(function);
    put_values(&mut body, arguments)?;
    body.put_u16(1);
    message(b'F', &body)
}

fn put_values(body: &mut BytesMut, values: &[Parameter]) -> Result<(), Lost> {
    body.put_u16(count(values)?);
    for value in values {
        body.put_u16(u16::from(matches!(value, Parameter::Binary { .. })));
    }
    body.put_u16(count(values)?);
    for value in values {
        match value {
            Parameter::Text(text) => put_value(body, &text.0)?,
            Parameter::Binary { bytes, .. } => put_value(body, bytes)?,
            _ => body.put_i32(-1),
        }
    }
    Ok(())
}

fn put_value(body: &mut BytesMut, bytes: &[u8]) -> Result<(), Lost> {
    let too_long = |_| Lost::new("a parameter of more than 2 GiB");
    body.put_i32(i32::try_from(bytes.len()).map_err(too_long)?);
    body.put_slice(bytes);
    Ok(())
}

fn count(values: &[Parameter]) -> Result<u16, Lost> {
    u16::try_from(values.len()).map_err(|_| Lost::new("more than 65535 parameters"))
}

/// The code and the text of an ErrorResponse.
pub(super) fn error_fields(body: &[u8]) -> (String, String) {
    let field = |tag: u8| {
        let mut fields = body.split(|&byte| byte == 0);
        let field = fields.find_map(|field| field.strip_prefix(&[tag]));
        String::from_utf8_lossy(field.unwrap_or_default()).into_owned()
    };
    (field(b'C'), field(b'M'))
}

/// Gathers what answers a statement.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) seen: Seen,
    copying: Option<(u64, Sha256)>,
}

/// What a message means for whoever waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// More will come.
    More,
    /// A command was done, failed, or stopped in between.
    Done,
    /// The server waits for data, which there is not.
    WantsCopy,
    /// The server waits for what comes next; with the state of its transaction.
    Ready(u8),
}

impl Answer {
    /// Takes the next message.
    pub(super) fn take(&mut self, tag: u8, body: &[u8]) -> Result<Heard, Lost> {
        match tag {
            b'D' => self.seen.rows += 1,
            b'C' => {
                self.end_copy();
                let tag = body.strip_suffix(b"\0").unwrap_or(body);
                self.seen
                    .tags
                    .push(String::from_utf8_lossy(tag).into_owned());
                return Ok(Heard::Done);
            }
            b'I' => return Ok(Heard::Done),
            b's' => {
                self.seen.suspended = true;
                return Ok(Heard::Done);
            }
            b'E' => {
                self.end_copy();
                let (code, message) = error_fields(body);
                // The first error counts: what follows is for want of what failed.
                if self.seen.sqlstate.is_none() {
                    self.seen.sqlstate = Some(code);
                    self.seen.message = Some(message);
                }
                return Ok(Heard::Done);
            }
            b'H' => self.copying = Some((0, Sha256::new())),
            b'd' => {
                if let Some((bytes, hash)) = &mut self.copying {
                    *bytes += body.len() as u64;
                    hash.update(body);
                }
            }
            b'G' | b'W' => return Ok(Heard::WantsCopy),
            b'Z' => {
                return body
                    .first()
                    .map(|it| Heard::Ready(*it))
                    .ok_or_else(Lost::garbled);
            }
            _ => {}
        }
        Ok(Heard::More)
    }

    fn end_copy(&mut self) {
        if let Some((bytes, hash)) = self.copying.take() {
            self.seen.copies.push(Copy {
                direction: CopyDirection::Out,
                bytes,
                sha256: Some(hex(&hash.finalize())),
                hmac: None,
            });
        }
    }
}
