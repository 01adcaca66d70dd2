//! The values of a `Bind` or a `FunctionCall` that comes in pieces, read without keeping it.

/// What comes of a piece, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A value that is NULL.
    Null,
    /// A value begins.
    Begin {
        /// Its place among all values, from 0.
        index: usize,
        /// Whether it is in binary format.
        binary: bool,
        /// How many bytes it has.
        len: u32,
    },
    /// The next of its bytes.
    Bytes(&'a [u8]),
    /// It ended.
    End,
}

/// Reads a message's body, from its first byte. What is not a message by PostgreSQL's rules, which
/// it refuses too, yields nothing more from there.
#[derive(Debug, Clone)]
pub struct ValueReader {
    at: At,
    /// The number that is being read, as far as it is there.
    number: u32,
    /// Its bytes that are still to come.
    missing: u8,
    /// Whether each value is in binary format; one stands for all, none for all text.
    formats: Vec<bool>,
    index: usize,
    count: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the first of so many names.
    Name(u8),
    Function,
    FormatCount,
    Format(u32),
    ValueCount,
    Length,
    Value(u32),
    /// Behind the last value.
    Done,
}

impl ValueReader {
    /// For the body of a `Bind`.
    pub fn bind() -> Self {
        Self::new(At::Name(2))
    }

    /// For the body of a `FunctionCall`.
    pub fn function_call() -> Self {
        Self::new(At::Function)
    }

    fn new(at: At) -> Self {
        let mut reader = Self {
            at: At::Done,
            number: 0,
            missing: 0,
            formats: Vec::new(),
            index: 0,
            count: 0,
        };
        reader.go(at);
        reader
    }

    /// Reads the next bytes of the body.
    pub fn read(&mut self, data: &[u8], mut take: impl FnMut(Piece<'_>)) {
        let mut rest = data;
        while let Some((&first, behind)) = rest.split_first() {
            rest = match self.at {
                At::Done => return,
                At::Name(left) => self.name(left, rest),
                At::Value(left) => self.value(left, rest, &mut take),
                _ => {
                    self.digit(first, &mut take);
                    behind
                }
            };
        }
    }

    fn go(&mut self, at: At) {
        self.at = at;
        self.number = 0;
        self.missing = match at {
            At::Function | At::Length => 4,
            At::FormatCount | At::Format(_) | At::ValueCount => 2,
            At::Name(_) | At::Value(_) | At::Done => 0,
        };
    }

    fn name<'a>(&mut self, left: u8, rest: &'a [u8]) -> &'a [u8] {
        let Some(end) = memchr::memchr(0, rest) else {
            return &[];
        };
        self.go(match left {
            0 | 1 => At::FormatCount,
            _ => At::Name(left - 1),
        });
        rest.get(end + 1..).unwrap_or_default()
    }

    fn value<'a>(
        &mut self,
        left: u32,
        rest: &'a [u8],
        take: &mut impl FnMut(Piece<'_>),
    ) -> &'a [u8] {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        let (bytes, behind) = rest.split_at(here);
        take(Piece::Bytes(bytes));
        self.at = At::Value(left - u32::try_from(here).unwrap_or(left));
        if self.at == At::Value(0) {
            take(Piece::End);
            self.next_value();
        }
        behind
    }

    fn digit(&mut self, byte: u8, take: &mut impl FnMut(Piece<'_>)) {
        self.number = self.number << 8 | u32::from(byte);
        self.missing -= 1;
        if self.missing == 0 {
            self.number_read(self.number, take);
        }
    }

    fn number_read(&mut self, number: u32, take: &mut impl FnMut(Piece<'_>)) {
        match self.at {
            At::FormatCount => self.go(after_format(number)),
            At::Format(left) => match number {
                0 | 1 => {
                    self.formats.push(number == 1);
                    self.go(after_format(left - 1));
                }
                _ => self.go(At::Done),
            },
            At::ValueCount => self.count_read(number as usize),
            At::Length => self.length(number, take),
            At::Function => self.go(At::FormatCount),
            At::Name(_) | At::Value(_) | At::Done => {}
        }
    }

    fn count_read(&mut self, count: usize) {
        self.count = count;
        let formats = self.formats.len();
        self.go(if count == 0 || (formats > 1 && formats != count) {
            At::Done
        } else {
            At::Length
        });
    }

    fn length(&mut self, len: u32, take: &mut impl FnMut(Piece<'_>)) {
        const NULL: u32 = u32::MAX;
        match len {
            NULL => {
                take(Piece::Null);
                self.next_value();
            }
            len if i32::try_from(len).is_err() => self.go(At::Done),
            len => {
                take(Piece::Begin {
                    index: self.index,
                    binary: self.is_binary(),
                    len,
                });
                self.go(At::Value(len));
                if len == 0 {
                    take(Piece::End);
                    self.next_value();
                }
            }
        }
    }

    fn is_binary(&self) -> bool {
        match self.formats.as_slice() {
            [all] => *all,
            each => each.get(self.index).copied().unwrap_or(false),
        }
    }

    fn next_value(&mut self) {
        self.index += 1;
        let more = self.index < self.count;
        self.go(if more { At::Length } else { At::Done });
    }
}

/// Where to go on when so many formats are still to come.
fn after_format(left: u32) -> At {
    match left {
        0 => At::ValueCount,
        left => At::Format(left),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::pg::frontend::{self, Value};

    /// A value, with its place where it is not NULL.
    type Read = Option<(usize, bool, Vec<u8>)>;

    /// The values that are read whole, with the body cut at these places.
    fn read(mut reader: ValueReader, body: &[u8], cuts: &[usize]) -> Vec<Read> {
        let mut values: Vec<Read> = Vec::new();
        let mut open = None;
        let mut rest = body;
        for cut in cuts.iter().copied().chain([body.len()]) {
            let (data, behind) = rest.split_at(cut.min(rest.len()));
            rest = behind;
            reader.read(data, |piece| match piece {
                Piece::Null => values.push(None),
                Piece::Begin { index, binary, len } => {
                    assert_eq!(index, values.len());
                    open = Some((len as usize, (index, binary, Vec::new())));
                }
                Piece::Bytes(bytes) => open.as_mut().unwrap().1.2.extend_from_slice(bytes),
                Piece::End => {
                    let (len, value) = open.take().unwrap();
                    assert_eq!(value.2.len(), len);
                    values.push(Some(value));
                }
            });
        }
        values
    }

    fn expected(values: &[Value<'_>]) -> Vec<Read> {
        let values = values.iter().enumerate();
        values
            .map(|(i, value)| match value {
                Value::Null => None,
                Value::Text(bytes) => Some((i, false, bytes.to_vec())),
                Value::Binary(bytes) => Some((i, true, bytes.to_vec())),
            })
            .collect()
    }

    /// Formats, values and what stands behind them.
    fn tail(values: &[Option<Vec<u8>>], formats: &[u16]) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend((formats.len() as u16).to_be_bytes());
        body.extend(formats.iter().flat_map(|format| format.to_be_bytes()));
        body.extend((values.len() as u16).to_be_bytes());
        for value in values {
            let len = value.as_ref().map_or(-1, |value| value.len() as i32);
            body.extend(len.to_be_bytes());
            body.extend(value.iter().flatten());
        }
        body.extend([0, 0]);
        body
    }

    proptest! {
        #[test]
        fn values_are_those_of_the_whole_message_wherever_it_is_cut(
            values in vec(proptest::option::of(vec(any::<u8>(), 0..20)), 0..12),
            formats in vec(0_u16..2, 0..4),
            each in vec(0_u16..2, 12),
            cuts in vec(0_usize..8, 0..60),
            names in ("[a-z]{0,9}", "[a-z]{0,9}"),
        ) {
            let formats = match formats.len() {
                0 | 1 => formats,
                _ => each[..values.len()].to_vec(),
            };
            let tail = tail(&values, &formats);
            let body = [names.0.as_bytes(), b"\0", names.1.as_bytes(), b"\0", &tail].concat();
            let bind = frontend::bind(&body).unwrap();
            prop_assert_eq!(read(ValueReader::bind(), &body, &cuts), expected(&bind.parameters));
            let body = [b"\0\0\x03\xba", &tail[..]].concat();
            let call = frontend::function_call(&body).unwrap();
            let found = read(ValueReader::function_call(), &body, &cuts);
            prop_assert_eq!(found, expected(&call.arguments));
        }

        #[test]
        fn no_bytes_make_it_panic(body in vec(any::<u8>(), 0..200), cuts in vec(0_usize..9, 0..20)) {
            read(ValueReader::bind(), &body, &cuts);
            read(ValueReader::function_call(), &body, &cuts);
        }
    }

    #[test]
    fn what_is_no_message_yields_nothing_more() {
        let two_formats_for_three = b"p\0s\0\0\x02\0\0\0\x01\0\x03\0\0\0\x01a\xff\xff\xff\xff";
        let a_third_format = b"\0\0\0\x01\0\x02\0\x01\0\0\0\x01a";
        let a_negative_length = b"\0\0\0\0\0\x02\0\0\0\x01a\xff\xff\xff\xfe\0\0\0\x01a";
        assert_eq!(
            read(ValueReader::bind(), two_formats_for_three, &[]),
            Vec::<Read>::new()
        );
        assert_eq!(
            read(ValueReader::bind(), a_third_format, &[]),
            Vec::<Read>::new()
        );
        let before = vec![Some((0, false, b"a".to_vec()))];
        assert_eq!(read(ValueReader::bind(), a_negative_length, &[]), before);
    }
}
