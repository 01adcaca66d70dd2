//! Frontend messages as borrowed views of their bodies (manual section 55.7).

use super::reader::{Malformed, Reader};

/// `Query`: the text.
///
/// # Errors
/// [`Malformed`] if it does not end in its only NUL.
pub fn query(body: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(body);
    let sql = reader.cstr()?;
    reader.end()?;
    Ok(sql)
}

/// `Parse`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The prepared statement's name; empty for the unnamed one.
    pub name: &'a [u8],
    /// The text.
    pub sql: &'a [u8],
    /// OIDs of the parameter types that the client fixes; 0 leaves one to the server.
    pub types: Vec<u32>,
}

impl Parse<'_> {
    /// The same, with no types if it leaves all to the server.
    #[must_use]
    pub fn without_empty_types(mut self) -> Self {
        if self.types.iter().all(|oid| *oid == 0) {
            self.types.clear();
        }
        self
    }
}

/// Reads a `Parse`.
///
/// # Errors
/// [`Malformed`] if the body is anything but that.
pub fn parse(body: &[u8]) -> Result<Parse<'_>, Malformed> {
    let mut reader = Reader::new(body);
    let name = reader.cstr()?;
    let sql = reader.cstr()?;
    let types = (0..reader.u16()?)
        .map(|_| reader.u32())
        .collect::<Result<_, _>>()?;
    reader.end()?;
    Ok(Parse { name, sql, types })
}

/// `Bind`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal to make; empty for the unnamed one.
    pub portal: &'a [u8],
    /// The prepared statement that it is made from.
    pub statement: &'a [u8],
    /// The parameters and their formats.
    pub parameters: Vec<Value<'a>>,
}

/// A parameter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// SQL's NULL.
    Null,
    /// In text format.
    Text(&'a [u8]),
    /// In binary format.
    Binary(&'a [u8]),
}

/// Reads a `Bind`.
///
/// # Errors
/// [`Malformed`] if the body is anything but that, or a format is neither text nor binary.
pub fn bind(body: &[u8]) -> Result<Bind<'_>, Malformed> {
    let mut reader = Reader::new(body);
    let portal = reader.cstr()?;
    let statement = reader.cstr()?;
    let parameters = values(&mut reader)?;
    // Result formats change nothing of what is run; they only have to be there whole.
    for _ in 0..reader.u16()? {
        reader.u16()?;
    }
    reader.end()?;
    Ok(Bind {
        portal,
        statement,
        parameters,
    })
}

/// Formats and values, as `Bind` and `FunctionCall` both carry them: no format (all text), one for
/// all, or one for each.
fn values<'a>(reader: &mut Reader<'a>) -> Result<Vec<Value<'a>>, Malformed> {
    let formats: Vec<bool> = (0..reader.u16()?)
        .map(|_| match reader.u16()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        })
        .collect::<Result<_, _>>()?;
    let count = usize::from(reader.u16()?);
    if formats.len() > 1 && formats.len() != count {
        return Err(Malformed);
    }
    let binary = |i: usize| match formats.as_slice() {
        [] => false,
        [all] => *all,
        each => each.get(i).copied().unwrap_or(false),
    };
    (0..count)
        .map(|i| {
            Ok(match reader.value()? {
                None => Value::Null,
                Some(bytes) if binary(i) => Value::Binary(bytes),
                Some(bytes) => Value::Text(bytes),
            })
        })
        .collect()
}

/// Reads an `Execute`: the portal's name.
///
/// # Errors
/// [`Malformed`] if the body is anything but that.
pub fn execute(body: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(body);
    let portal = reader.cstr()?;
    reader.i32()?;
    reader.end()?;
    Ok(portal)
}

/// What `Describe` and `Close` are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A prepared statement.
    Statement(&'a [u8]),
    /// A portal.
    Portal(&'a [u8]),
}

/// Reads a `Describe` or a `Close`.
///
/// # Errors
/// [`Malformed`] if the body is anything but that.
pub fn subject(body: &[u8]) -> Result<Subject<'_>, Malformed> {
    let mut reader = Reader::new(body);
    let kind = reader.u8()?;
    let name = reader.cstr()?;
    reader.end()?;
    match kind {
        b'S' => Ok(Subject::Statement(name)),
        b'P' => Ok(Subject::Portal(name)),
        _ => Err(Malformed),
    }
}

/// `FunctionCall`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionCall<'a> {
    /// The function's OID.
    pub function: u32,
    /// The arguments.
    pub arguments: Vec<Value<'a>>,
}

/// Reads a `FunctionCall`.
///
/// # Errors
/// [`Malformed`] if the body is anything but that.
pub fn function_call(body: &[u8]) -> Result<FunctionCall<'_>, Malformed> {
    let mut reader = Reader::new(body);
    let function = reader.u32()?;
    let arguments = values(&mut reader)?;
    reader.u16()?;
    reader.end()?;
    Ok(FunctionCall {
        function,
        arguments,
    })
}

/// Reads a `SASLInitialResponse`: the mechanism, and the client's first message.
///
/// # Errors
/// [`Malformed`] if the body is anything but that.
pub fn sasl_initial_response(body: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut reader = Reader::new(body);
    let mechanism = reader.cstr()?;
    let data = reader.value()?.unwrap_or_default();
    reader.end()?;
    Ok((mechanism, data))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_ends_in_its_only_nul() {
        assert_eq!(query(b"select 1\0"), Ok(&b"select 1"[..]));
        assert_eq!(query(b"\0"), Ok(&b""[..]));
        for body in [&b""[..], b"select 1", b"select 1\0x", b"select 1\0\0"] {
            assert_eq!(query(body), Err(Malformed), "{body:?}");
        }
    }

    #[test]
    fn a_bind_reads_each_parameter_in_its_format() {
        let body = b"p\0s\0\0\x02\0\0\0\x01\0\x03\0\0\0\x01a\xff\xff\xff\xff\0\0\0\x02xy\0\0";
        assert_eq!(bind(body), Err(Malformed), "two formats for three values");
        let body = b"p\0s\0\0\x02\0\0\0\x01\0\x02\0\0\0\x01a\0\0\0\x02xy\0\x01\0\x01";
        let bind = bind(body).unwrap();
        assert_eq!(bind.parameters, [Value::Text(b"a"), Value::Binary(b"xy")]);
        assert_eq!((bind.portal, bind.statement), (&b"p"[..], &b"s"[..]));
    }

    #[test]
    fn lengths_past_the_body_are_refused() {
        for len in [2_u32, 0x7fff_ffff, 0xffff_fffe] {
            let body = [b"\0\0\0\0\0\x01", &len.to_be_bytes()[..], b"x\0\0"].concat();
            assert_eq!(bind(&body), Err(Malformed), "{len:x}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_view_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (query(&body), parse(&body), bind(&body), execute(&body));
            let _ = (subject(&body), function_call(&body));
        }
    }
}
