//! Identifiers: short enough to type, random enough not to be guessed, one type for each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::schema::written;

/// Crockford's base 32 alphabet: no letter that is taken for a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 12 characters of 5 bits: 60 random bits.
const LENGTH: usize = 12;

/// The text is not an identifier of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}: expected {prefix}- and {LENGTH} letters or digits")]
pub struct InvalidId {
    text: String,
    expected: &'static str,
    prefix: &'static str,
}

fn encode(mut random: u64) -> [u8; LENGTH] {
    std::array::from_fn(|_| {
        let digit = ALPHABET[(random % 32) as usize];
        random /= 32;
        digit
    })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name([u8; LENGTH]);

        impl $name {
            /// The identifier made of the low 60 bits of `random`.
            pub fn from_random(random: u64) -> Self {
                Self(encode(random))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "-"))?;
                self.0.iter().try_for_each(|&c| fmt::Write::write_char(f, char::from(c)))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let invalid = || InvalidId {
                    text: text.chars().take(64).collect(),
                    expected: $noun,
                    prefix: $prefix,
                };
                let digits = text.strip_prefix(concat!($prefix, "-")).ok_or_else(invalid)?;
                let digits: [u8; LENGTH] = digits.as_bytes().try_into().map_err(|_| invalid())?;
                if digits.iter().all(|c| ALPHABET.contains(c)) {
                    Ok(Self(digits))
                } else {
                    Err(invalid())
                }
            }
        }

        written!(
            $name,
            concat!("^", $prefix, "-[0-9a-hjkmnp-tv-z]{12}$"),
            concat!($prefix, "-4m0t8z1kqc7e")
        );

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }
    };
}

id!(
    /// Names an access request, like `req-4m0t8z1kqc7e`.
    RequestId, "req", "a request's id"
);
id!(
    /// Names a session, like `ses-4m0t8z1kqc7e`.
    SessionId, "ses", "a session's id"
);
id!(
    /// Names a connection, like `con-4m0t8z1kqc7e`.
    ConnectionId, "con", "a connection's id"
);
id!(
    /// Names an API token, like `tok-4m0t8z1kqc7e`; it is not the token.
    TokenId, "tok", "a token's id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text() {
        let id = SessionId::from_random(0x0123_4567_89ab_cdef);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let request = RequestId::from_random(7).to_string();
        assert!(request.parse::<SessionId>().is_err());
        for text in [
            "",
            "ses-",
            "ses-short",
            "ses-ABCDEFGHJKMN",
            "ses-abcdefghjkmnp",
            "ses-abcdefghjki!",
        ] {
            assert!(text.parse::<SessionId>().is_err(), "{text}");
        }
    }
}
