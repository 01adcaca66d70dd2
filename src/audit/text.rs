//! Bytes from strangers as JSON that gives them back exactly.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::redaction::ValueKey;
use crate::secret::hex;

/// Bytes that are mostly text: a JSON string if they are UTF-8, else `{"base64": ".."}`.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Text(pub Bytes);

impl Text {
    /// The bytes as text, with U+FFFD for what is not UTF-8.
    pub fn to_lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_lossy(), f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("base64", &STANDARD.encode(&self.0))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or an object with one key, base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text::from(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                let Some((key, encoded)) = map.next_entry::<String, String>()? else {
                    return Err(de::Error::missing_field("base64"));
                };
                if key != "base64" {
                    return Err(de::Error::unknown_field(&key, &["base64"]));
                }
                STANDARD
                    .decode(encoded)
                    .map(|bytes| Text(bytes.into()))
                    .map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

/// A bound parameter, as it was sent, or what its target lets be recorded of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// SQL's NULL.
    Null,
    /// In text format.
    Text(Text),
    /// In binary format, with the type's OID (0: the client left it to the server).
    Binary {
        /// The type's OID in `pg_type`.
        oid: u32,
        /// The bytes.
        bytes: Bytes,
    },
    /// Not recorded; its keyed hash is.
    Hashed {
        /// HMAC-SHA-256 of what it meant, in hexadecimal: see [`Parameter::hashed`].
        hmac: String,
    },
    /// Not recorded.
    Omitted,
}

impl Parameter {
    /// Bytes that it takes to keep it, about.
    pub(super) fn held(&self) -> usize {
        let bytes = match self {
            Self::Text(text) => text.0.len(),
            Self::Binary { bytes, .. } => bytes.len(),
            Self::Hashed { hmac } => hmac.len(),
            Self::Null | Self::Omitted => 0,
        };
        size_of::<Self>() + bytes
    }

    /// What it says, for people and for searches: its text, or that of a binary value of a simple
    /// type. `None` for what is not recorded, for NULL, and for other binary values.
    pub fn readable(&self) -> Option<std::borrow::Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(text.to_lossy()),
            Self::Binary { oid, bytes } => readable(*oid, bytes).map(Into::into),
            Self::Null | Self::Hashed { .. } | Self::Omitted => None,
        }
    }

    /// Its keyed hash in its place. The hash is over the text where the value is text, or where
    /// its binary type is one whose text is known: so that 42 is the same whichever way it was
    /// sent. Otherwise it is over the bytes. NULL stays.
    pub fn hashed(self, key: &ValueKey) -> Self {
        let hmac = match &self {
            Self::Null | Self::Hashed { .. } | Self::Omitted => return self,
            Self::Text(text) => key.hash(&text.0),
            Self::Binary { oid, bytes } => match readable(*oid, bytes) {
                Some(value) => key.hash(value.as_bytes()),
                None => key.hash(bytes),
            },
        };
        Self::Hashed { hmac }
    }
}

/// A binary parameter on disk. `value` is for the reader, where the type is one that is known;
/// `binary` is what was sent.
#[derive(serde::Serialize, serde::Deserialize)]
struct BinaryParameter {
    oid: u32,
    binary: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    value: Option<String>,
}

/// A hashed parameter on disk.
#[derive(serde::Serialize, serde::Deserialize)]
struct HashedParameter<S> {
    hmac: S,
}

/// An omitted parameter on disk. Without its length, which would give short values away.
#[derive(serde::Serialize, serde::Deserialize)]
struct OmittedParameter {
    omitted: bool,
}

impl Serialize for Parameter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Text(text) => text.serialize(serializer),
            Self::Binary { oid, bytes } => BinaryParameter {
                oid: *oid,
                binary: STANDARD.encode(bytes),
                value: readable(*oid, bytes),
            }
            .serialize(serializer),
            Self::Hashed { hmac } => HashedParameter { hmac }.serialize(serializer),
            Self::Omitted => OmittedParameter { omitted: true }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum OnDisk {
            Null(()),
            Binary(BinaryParameter),
            Hashed(HashedParameter<String>),
            Omitted(OmittedParameter),
            Text(Text),
        }
        Ok(match OnDisk::deserialize(deserializer)? {
            OnDisk::Null(()) => Self::Null,
            OnDisk::Text(text) => Self::Text(text),
            OnDisk::Binary(parameter) => Self::Binary {
                oid: parameter.oid,
                bytes: STANDARD
                    .decode(parameter.binary)
                    .map_err(de::Error::custom)?
                    .into(),
            },
            OnDisk::Hashed(HashedParameter { hmac }) => Self::Hashed { hmac },
            OnDisk::Omitted(OmittedParameter { .. }) => Self::Omitted,
        })
    }
}

/// The value of a binary parameter whose type has a simple binary form (PostgreSQL's `*send`
/// functions); OIDs are those of `pg_type.dat`, which never change.
fn readable(oid: u32, bytes: &[u8]) -> Option<String> {
    Some(match oid {
        16 => (*<&[u8; 1]>::try_from(bytes).ok()?.first()? != 0).to_string(),
        20 => i64::from_be_bytes(bytes.try_into().ok()?).to_string(),
        21 => i16::from_be_bytes(bytes.try_into().ok()?).to_string(),
        23 => i32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        26 => u32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        700 => f32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        701 => f64::from_be_bytes(bytes.try_into().ok()?).to_string(),
        2950 => uuid(bytes.try_into().ok()?),
        19 | 25 | 114 | 1042 | 1043 => std::str::from_utf8(bytes).ok()?.to_owned(),
        _ => return None,
    })
}

fn uuid(bytes: [u8; 16]) -> String {
    let digits = hex(&bytes);
    let (a, rest) = digits.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(text: &Text) -> String {
        let json = serde_json::to_string(text).unwrap();
        assert_eq!(&serde_json::from_str::<Text>(&json).unwrap(), text);
        json
    }

    #[test]
    fn any_bytes_come_back_exactly_and_stay_on_one_line() {
        assert_eq!(round_trip(&Text::from("select 1")), "\"select 1\"");
        for bytes in [
            &b"a\nb\0\x1b[31m"[..],
            b"\xff\xfe",
            "\u{202e}".as_bytes(),
            b"",
        ] {
            let json = round_trip(&Text::from(bytes));
            assert!(!json.contains(['\n', '\0', '\x1b']), "{json}");
        }
    }

    #[test]
    fn parameters_come_back_exactly_and_known_types_are_readable() {
        let parameters = vec![
            Parameter::Null,
            Parameter::Text("42".into()),
            Parameter::Text(Text::from(&b"\xff"[..])),
            Parameter::Binary {
                oid: 23,
                bytes: Bytes::from_static(&[0, 0, 0, 42]),
            },
            Parameter::Binary {
                oid: 23,
                bytes: Bytes::from_static(&[1]),
            },
            Parameter::Hashed {
                hmac: "0a".to_owned(),
            },
            Parameter::Omitted,
        ];
        let json = serde_json::to_string(&parameters).unwrap();
        assert!(
            json.contains(r#"{"oid":23,"binary":"AAAAKg==","value":"42"}"#),
            "{json}"
        );
        let redacted = r#"{"hmac":"0a"},{"omitted":true}]"#;
        assert!(json.ends_with(redacted), "{json}");
        assert_eq!(
            serde_json::from_str::<Vec<Parameter>>(&json).unwrap(),
            parameters
        );
    }
}
