//! Messages too long for one record: recorded in parts, in bounded memory, nothing cut.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::sent::{Outgoing, name};
use super::{Fact, Message, Part, Source, Tracker, Violation, WHOLE};
use crate::pg::Malformed;
use crate::pg::frame::{HEADER, Header};
use crate::pg::reader::Reader;

/// A part is not cut smaller than this unless it is the last.
const MIN_PART: usize = WHOLE / 2;

/// A message of which the end has not come yet.
#[derive(Debug)]
pub(super) struct Long {
    statement: u64,
    left: u64,
    parts: u64,
    hash: Sha256,
    types: Vec<u32>,
    head: Head,
}

/// What a long message is about.
#[derive(Debug)]
enum Head {
    Query,
    Parse { name: Bytes },
    Bind { portal: Bytes, statement: Bytes },
    FunctionCall { function: u32 },
}

impl Head {
    /// Reads the head from a message's first part, which must hold its names whole.
    fn read(tag: u8, start: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(start);
        Ok(match tag {
            b'P' => Self::Parse {
                name: name(reader.cstr()?),
            },
            b'B' => Self::Bind {
                portal: name(reader.cstr()?),
                statement: name(reader.cstr()?),
            },
            b'F' => Self::FunctionCall {
                function: reader.u32()?,
            },
            _ => Self::Query,
        })
    }

    fn message(&self) -> Message {
        match self {
            Self::Query => Message::Query,
            Self::Parse { .. } => Message::Parse,
            Self::Bind { .. } => Message::Bind,
            Self::FunctionCall { .. } => Message::FunctionCall,
        }
    }
}

/// Text without a last character that is cut, which would make all of it unreadable in the record;
/// what is no text stays as it is.
fn whole_characters(data: &[u8]) -> &[u8] {
    match std::str::from_utf8(data) {
        Err(cut) if cut.error_len().is_none() => data.get(..cut.valid_up_to()).unwrap_or(data),
        _ => data,
    }
}

impl Tracker {
    /// Takes the header of a long message, once the part behind it is there. 0: it is not yet.
    pub(super) fn begin_long(&mut self, header: Header, rest: &[u8]) -> Result<usize, Violation> {
        let Some(start) = rest.get(HEADER..HEADER + MIN_PART) else {
            return Ok(0);
        };
        // Before anything of it is forwarded: what is not a message must not reach the upstream.
        let malformed = |Malformed| Violation::Malformed(header.tag);
        let head = Head::read(header.tag, start).map_err(malformed)?;
        let types = self.types_of(&head);
        let statement = self.number();
        self.outgoing = Outgoing::Long(Box::new(Long {
            statement,
            left: header.body,
            parts: 0,
            hash: Sha256::new(),
            types,
            head,
        }));
        Ok(HEADER)
    }

    /// The types of the parameters that it binds, as far as they are known.
    fn types_of(&self, head: &Head) -> Vec<u32> {
        let Head::Bind { statement, .. } = head else {
            return Vec::new();
        };
        let definition = self.statements.resolve(statement, self.group);
        definition.map_or_else(Vec::new, |it| it.types.clone())
    }

    /// Takes the next part. 0: it is not there yet.
    pub(super) fn long(
        &mut self,
        mut long: Box<Long>,
        rest: &[u8],
        now: Instant,
        facts: &mut Vec<Fact>,
    ) -> usize {
        let left = usize::try_from(long.left).unwrap_or(usize::MAX);
        let take = left.min(rest.len()).min(WHOLE);
        if take < left.min(MIN_PART) {
            self.outgoing = Outgoing::Long(long);
            return 0;
        }
        let data = rest.get(..take).unwrap_or(rest);
        let data = if take < left {
            whole_characters(data)
        } else {
            data
        };
        long.hash.update(data);
        long.left -= data.len() as u64;
        long.parts += 1;
        let last = long.left == 0;
        facts.push(Fact::Part(Part {
            statement: long.statement,
            message: long.head.message(),
            part: long.parts,
            data: Bytes::copy_from_slice(data),
            types: std::mem::take(&mut long.types),
            sha256: last.then(|| long.hash.clone().finalize().into()),
        }));
        if last {
            self.end_long(long.head, long.statement, long.parts, now, facts);
        } else {
            self.outgoing = Outgoing::Long(long);
        }
        data.len()
    }

    fn end_long(
        &mut self,
        head: Head,
        statement: u64,
        parts: u64,
        now: Instant,
        facts: &mut Vec<Fact>,
    ) {
        match head {
            Head::Query => self.start_query(statement, None, parts, now, facts),
            Head::FunctionCall { function } => {
                self.start_function_call(statement, function, Vec::new(), parts, now, facts);
            }
            Head::Parse { name } => {
                let source = Source {
                    name: name.clone(),
                    ..Source::default()
                };
                facts.push(Fact::Prepared {
                    statement,
                    source,
                    parts,
                });
                self.define_recorded(name, Vec::new(), true, statement, now);
            }
            Head::Bind {
                portal,
                statement: bound_to,
            } => {
                let definition = self.statements.resolve(&bound_to, self.group);
                facts.push(Fact::Bound {
                    statement,
                    source: Source::of(&bound_to, definition.as_deref()),
                    portal: portal.clone(),
                    parameters: Vec::new(),
                    parts,
                });
                self.bind_recorded(portal, (bound_to, definition), statement, now, facts);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_text_ends_with_a_whole_character() {
        let text = "é€𝄞".as_bytes();
        let whole: Vec<usize> = (0..=text.len())
            .map(|end| whole_characters(&text[..end]).len())
            .collect();
        assert_eq!(whole, [0, 0, 2, 2, 2, 5, 5, 5, 5, 9]);
        assert_eq!(whole_characters(b"\xff\x00\xc3"), b"\xff\x00\xc3");
    }
}
