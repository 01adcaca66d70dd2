//! What the record holds of bound and copied values: all of them, keyed hashes, or nothing.

use std::sync::Arc;

use bytes::Bytes;

use crate::audit::{Copy, CopyDirection, Event, Origin, Parameter, Redaction, Text, ValueHasher};
use crate::pg::statements::{self as pg, Message};
use crate::pg::values::{Piece, ValueReader};

/// Values up to this many bytes are hashed in one go: a UUID's is the longest binary form whose
/// text is hashed in its place.
const SHORT: u32 = 16;

/// Does to one connection's values as its target demands.
#[derive(Debug, Clone)]
pub(super) struct Values {
    redaction: Redaction,
    /// The message in parts that is being sent, if its values may not be recorded as they are.
    long: Option<Long>,
}

impl Values {
    pub(super) fn new(redaction: Redaction) -> Self {
        Self {
            redaction,
            long: None,
        }
    }

    pub(super) fn parameters(&self, parameters: Vec<pg::Parameter>) -> Vec<Parameter> {
        let parameters = parameters.into_iter().map(parameter);
        match &self.redaction {
            Redaction::None => parameters.collect(),
            redaction => parameters.map(|it| redaction.apply(it)).collect(),
        }
    }

    pub(super) fn copies(&self, copies: &[pg::Copied]) -> Vec<Copy> {
        copies.iter().map(|copied| self.copy(copied)).collect()
    }

    fn copy(&self, copied: &pg::Copied) -> Copy {
        let (sha256, hmac) = self.redaction.digest(&copied.sha256);
        Copy {
            direction: if copied.from_client {
                CopyDirection::In
            } else {
                CopyDirection::Out
            },
            bytes: copied.bytes,
            sha256,
            hmac,
        }
    }

    /// The record of a part: its bytes, or what may be recorded of the values that end in it.
    pub(super) fn part(&mut self, origin: Arc<Origin>, mut part: pg::Part) -> Event {
        let redaction = match part.message {
            Message::Query | Message::Parse => &Redaction::None,
            Message::Bind | Message::FunctionCall => &self.redaction,
        };
        let is_full = matches!(redaction, Redaction::None);
        let digests = part.sha256.map(|sha256| redaction.digest(&sha256));
        let (sha256, hmac) = digests.unwrap_or_default();
        let parameters = match is_full {
            true => Vec::new(),
            false => self.read(&mut part),
        };
        Event::StatementPart {
            origin,
            statement: part.statement,
            message: part.message.name().to_owned(),
            part: part.part,
            bytes: (!is_full).then_some(part.data.len() as u64),
            data: is_full.then_some(Text(part.data)),
            parameters,
            sha256,
            hmac,
        }
    }

    /// What may be recorded of the values that end in this part.
    fn read(&mut self, part: &mut pg::Part) -> Vec<Parameter> {
        if part.part == 1 {
            self.long = Some(Long::new(part.message, std::mem::take(&mut part.types)));
        }
        let long = self.long.as_mut();
        let parameters = long.map(|long| long.read(&part.data, &self.redaction));
        if part.sha256.is_some() {
            self.long = None;
        }
        parameters.unwrap_or_default()
    }
}

fn parameter(parameter: pg::Parameter) -> Parameter {
    match parameter {
        pg::Parameter::Null => Parameter::Null,
        pg::Parameter::Text(text) => Parameter::Text(Text(text)),
        pg::Parameter::Binary(oid, bytes) => Parameter::Binary { oid, bytes },
    }
}

/// A message in parts, of which no value is kept.
#[derive(Debug, Clone)]
struct Long {
    reader: ValueReader,
    types: Vec<u32>,
    open: Option<Open>,
}

/// A value that has begun.
#[derive(Debug, Clone)]
enum Open {
    Short { binary: Option<u32>, bytes: Vec<u8> },
    Hashed(ValueHasher),
    Omitted,
}

impl Long {
    fn new(message: Message, types: Vec<u32>) -> Self {
        let reader = match message {
            Message::FunctionCall => ValueReader::function_call(),
            _ => ValueReader::bind(),
        };
        Self {
            reader,
            types,
            open: None,
        }
    }

    fn read(&mut self, data: &[u8], redaction: &Redaction) -> Vec<Parameter> {
        let Self {
            reader,
            types,
            open,
        } = self;
        let mut ended = Vec::new();
        reader.read(data, |piece| match piece {
            Piece::Null => ended.push(redaction.apply(Parameter::Null)),
            Piece::Begin { index, binary, len } => {
                let oid = types.get(index).copied().unwrap_or(0);
                *open = Some(Open::new(redaction, binary.then_some(oid), len));
            }
            Piece::Bytes(bytes) => {
                if let Some(open) = open {
                    open.update(bytes);
                }
            }
            Piece::End => ended.extend(open.take().map(|open| open.end(redaction))),
        });
        ended
    }
}

impl Open {
    /// `binary`: the type's OID, if the value is in binary format.
    fn new(redaction: &Redaction, binary: Option<u32>, len: u32) -> Self {
        match redaction {
            Redaction::Hash(key) if len > SHORT => Self::Hashed(key.hasher()),
            Redaction::Hash(_) => Self::Short {
                binary,
                bytes: Vec::new(),
            },
            Redaction::Omit | Redaction::None => Self::Omitted,
        }
    }

    fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Short { bytes, .. } => bytes.extend_from_slice(piece),
            Self::Hashed(hasher) => hasher.update(piece),
            Self::Omitted => {}
        }
    }

    fn end(self, redaction: &Redaction) -> Parameter {
        match self {
            Self::Short { binary, bytes } => {
                let bytes = Bytes::from(bytes);
                redaction.apply(match binary {
                    Some(oid) => Parameter::Binary { oid, bytes },
                    None => Parameter::Text(Text(bytes)),
                })
            }
            Self::Hashed(hasher) => Parameter::Hashed {
                hmac: hasher.finish(),
            },
            Self::Omitted => Parameter::Omitted,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::access::{ConnectionId, SessionId};
    use crate::audit::ValueKey;
    use crate::secret::ServerKey;

    fn hash() -> Redaction {
        Redaction::Hash(ValueKey::derive(&ServerKey::from_bytes([7; 32])))
    }

    fn origin() -> Arc<Origin> {
        Arc::new(Origin::new(
            ConnectionId::from_random(1),
            SessionId::from_random(1),
            "maya".parse().unwrap(),
            "orders-ro".parse().unwrap(),
            "orders".to_owned(),
        ))
    }

    /// The body of a Bind of all these values in binary format, in parts of so many bytes.
    fn parts(values: &[(u32, Vec<u8>)], size: usize) -> Vec<pg::Part> {
        let mut body = b"\0\0\0\x01\0\x01".to_vec();
        body.extend((values.len() as u16).to_be_bytes());
        for (_, value) in values {
            body.extend((value.len() as u32).to_be_bytes());
            body.extend(value);
        }
        body.extend([0, 0]);
        let pieces = body.chunks(size).zip(1..);
        let last = body.len().div_ceil(size) as u64;
        pieces
            .map(|(data, part)| pg::Part {
                statement: 1,
                message: Message::Bind,
                part,
                data: Bytes::copy_from_slice(data),
                types: match part {
                    1 => values.iter().map(|(oid, _)| *oid).collect(),
                    _ => Vec::new(),
                },
                sha256: (part == last).then_some([9; 32]),
            })
            .collect()
    }

    fn recorded(values: &mut Values, parts: Vec<pg::Part>) -> (Vec<Parameter>, Option<String>) {
        let mut found = Vec::new();
        let mut last = None;
        for part in parts {
            let len = part.data.len() as u64;
            let event = values.part(origin(), part);
            let Event::StatementPart {
                data: None,
                bytes,
                parameters,
                sha256: None,
                hmac,
                ..
            } = event
            else {
                panic!("recorded as it was: {event:?}");
            };
            assert_eq!(bytes, Some(len));
            found.extend(parameters);
            last = hmac;
        }
        (found, last)
    }

    fn any_value() -> impl Strategy<Value = (u32, Vec<u8>)> {
        let oids = [0, 16, 17, 19, 20, 21, 23, 25, 26, 114, 700, 701, 1043, 2950];
        let len = prop_oneof![Just(4_usize), Just(8), Just(16), 0..40_usize];
        let bytes = len.prop_flat_map(|len| vec(any::<u8>(), len));
        (proptest::sample::select(oids.to_vec()), bytes)
    }

    proptest! {
        #[test]
        fn a_value_has_one_hash_whether_its_message_is_short_or_in_parts(
            bound in vec(any_value(), 1..9),
            size in 1_usize..50,
        ) {
            let mut values = Values::new(hash());
            let short = bound
                .iter()
                .map(|(oid, bytes)| pg::Parameter::Binary(*oid, bytes.clone().into()));
            let short = values.parameters(short.collect());
            let (long, hmac) = recorded(&mut values, parts(&bound, size));
            prop_assert_eq!(long, short);
            prop_assert!(hmac.is_some());
            prop_assert!(values.long.is_none());
        }

        #[test]
        fn omitted_values_are_only_counted(bound in vec(any_value(), 1..9), size in 1_usize..50) {
            let mut values = Values::new(Redaction::Omit);
            let (long, hmac) = recorded(&mut values, parts(&bound, size));
            prop_assert_eq!(long, vec![Parameter::Omitted; bound.len()]);
            prop_assert_eq!(hmac, None);
        }
    }

    #[test]
    fn texts_in_parts_stay_as_they_are() {
        let mut values = Values::new(Redaction::Omit);
        for message in [Message::Query, Message::Parse] {
            let mut part = parts(&[], 1 << 16).remove(0);
            part.message = message;
            let event = values.part(origin(), part.clone());
            let Event::StatementPart { data, sha256, .. } = event else {
                panic!("{event:?}");
            };
            assert_eq!((data.unwrap().0, sha256.is_some()), (part.data, true));
        }
    }
}
