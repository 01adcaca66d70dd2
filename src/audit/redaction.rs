//! What a target's records hold of the values that clients bind and copy.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::text::Parameter;
use crate::secret::{ServerKey, hex};

/// What becomes of values before they are recorded. SQL text is never touched.
#[derive(Debug, Clone, Default)]
pub enum Redaction {
    /// They are recorded as they were sent.
    #[default]
    None,
    /// Their keyed hashes are: equal values can be joined, and not guessed without the key.
    Hash(ValueKey),
    /// Nothing of them is, not even whether they were NULL.
    Omit,
}

impl Redaction {
    /// The parameter as it may be recorded.
    pub fn apply(&self, parameter: Parameter) -> Parameter {
        match self {
            Self::None => parameter,
            Self::Hash(key) => parameter.hashed(key),
            Self::Omit => Parameter::Omitted,
        }
    }

    /// The hash of longer data, as `sha256` and `hmac`, of which at most one may be recorded.
    pub fn digest(&self, sha256: &[u8; 32]) -> (Option<String>, Option<String>) {
        match self {
            Self::None => (Some(hex(sha256)), None),
            // Of the hash, so that data need not be hashed twice.
            Self::Hash(key) => (None, Some(key.hash(sha256))),
            Self::Omit => (None, None),
        }
    }
}

/// The key of [`Redaction::Hash`]. All targets of one server share it, so that equal values can be
/// joined across them.
#[derive(Clone)]
pub struct ValueKey(Arc<Hmac<Sha256>>);

impl ValueKey {
    /// The key that belongs to the server's. Who has this one can try values, and do nothing else.
    pub fn derive(server: &ServerKey) -> Self {
        let key = server.derive("audit parameters", &[]);
        Self(Arc::new(
            Hmac::new_from_slice(&key).expect("HMAC takes keys of any length"),
        ))
    }

    /// A hash that takes a value piece by piece.
    pub fn hasher(&self) -> ValueHasher {
        ValueHasher(Hmac::clone(&self.0))
    }

    /// HMAC-SHA-256 of `value`, in hexadecimal.
    pub fn hash(&self, value: &[u8]) -> String {
        let mut hasher = self.hasher();
        hasher.update(value);
        hasher.finish()
    }
}

impl fmt::Debug for ValueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// A value on its way into its hash.
#[derive(Clone)]
pub struct ValueHasher(Hmac<Sha256>);

impl ValueHasher {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// HMAC-SHA-256 of all pieces, in hexadecimal.
    pub fn finish(self) -> String {
        hex(&self.0.finalize().into_bytes())
    }
}

impl fmt::Debug for ValueHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn key(byte: u8) -> ValueKey {
        ValueKey::derive(&ServerKey::from_bytes([byte; 32]))
    }

    fn binary(oid: u32, bytes: &[u8]) -> Parameter {
        let bytes = Bytes::copy_from_slice(bytes);
        Parameter::Binary { oid, bytes }
    }

    #[test]
    fn equal_values_have_equal_hashes_however_they_travel() {
        let hash = Redaction::Hash(key(7));
        let text = |text: &str| hash.apply(Parameter::Text(text.into()));
        let uuid = "0188a1c4-0b5f-7def-8000-00ff10a2b3c4";
        let raw = b"\x01\x88\xa1\xc4\x0b\x5f\x7d\xef\x80\x00\x00\xff\x10\xa2\xb3\xc4";
        for (sent, meant) in [
            (binary(23, &42_i32.to_be_bytes()), "42"),
            (binary(20, &42_i64.to_be_bytes()), "42"),
            (binary(21, &(-1_i16).to_be_bytes()), "-1"),
            (binary(25, b"text"), "text"),
            (binary(0, b"text"), "text"),
            (binary(2950, raw), uuid),
        ] {
            assert_eq!(hash.apply(sent.clone()), text(meant), "{sent:?}");
        }
        assert_ne!(text("42"), text("43"));
        assert_eq!(hash.apply(Parameter::Null), Parameter::Null);
    }

    #[test]
    fn a_hash_is_what_the_format_says() {
        // Made with Python's hmac, by ARCHITECTURE.md.
        let expected = "f24f699eb18d0d6a4569b94972f3003842936203b816b1a2fcd7e2fa38b173d2";
        assert_eq!(key(7).hash(b"42"), expected);
        assert_ne!(key(8).hash(b"42"), expected);
        assert_eq!(format!("{:?}", Redaction::Hash(key(7))), "Hash(<secret>)");
    }

    #[test]
    fn an_omitted_value_tells_nothing_not_even_that_it_was_null() {
        for value in [Parameter::Null, Parameter::Text("42".into())] {
            assert_eq!(Redaction::Omit.apply(value), Parameter::Omitted);
        }
        assert_eq!(Redaction::Omit.digest(&[1; 32]), (None, None));
    }

    #[test]
    fn only_the_full_record_has_a_hash_that_anybody_can_make() {
        let sha256 = [1; 32];
        let hash = Redaction::Hash(key(7)).digest(&sha256);
        assert_eq!(hash, (None, Some(key(7).hash(&sha256))));
        let full = Redaction::None.digest(&sha256);
        assert_eq!(full, (Some(hex(&sha256)), None));
    }
}
