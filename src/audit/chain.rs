//! The chain: every record carries the SHA-256 of the line before it, so that a line that is
//! changed, dropped, added or moved breaks it at that place.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::access::schema::written;
use crate::secret::sha256;

/// The SHA-256 of a record's line, without its line end. Written in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Hash([u8; 32]);

/// The text is not a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a SHA-256: 64 hexadecimal digits")]
pub struct InvalidHash;

written!(Hash, "^[0-9a-f]{64}$", "00");

impl Hash {
    /// What the first record ever has before it.
    pub const NONE: Self = Self([0; 32]);

    /// The hash of a line, given without its line end.
    pub fn of(line: &[u8]) -> Self {
        Self(sha256(line))
    }

    /// Its 64 hexadecimal digits.
    pub fn digits(&self) -> [u8; 64] {
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&PAIRS[usize::from(byte)]);
        }
        digits
    }
}

/// The two digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(InvalidHash),
        };
        let text: &[u8; 64] = text.as_bytes().try_into().map_err(|_| InvalidHash)?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(hash))
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for Hash {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, InvalidHash> {
        text.parse()
    }
}

/// A place in the log and the hash of the record there: whoever knows it from elsewhere can tell
/// whether the log up to it is the one that was written. Written `SEQ:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Head {
    /// The record's sequence; 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Head {
    /// Before the first record ever.
    pub const START: Self = Self {
        seq: 0,
        hash: Hash::NONE,
    };

    /// The head after `line`, given without its line end, has followed this one.
    #[must_use]
    pub fn followed_by(self, line: &[u8]) -> Self {
        Self {
            seq: self.seq.saturating_add(1),
            hash: Hash::of(line),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

/// The text is not a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected SEQ:HASH, as `hallpass audit verify` prints it")]
pub struct InvalidHead;

impl FromStr for Head {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let (seq, hash) = text.split_once(':').ok_or(InvalidHead)?;
        Ok(Self {
            seq: seq.parse().map_err(|_| InvalidHead)?,
            hash: hash.parse().map_err(|_| InvalidHead)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_sha256sum_and_comes_back_from_its_text() {
        let hash = Hash::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse(), Ok(hash));
        assert_eq!(text.to_uppercase().parse::<Hash>(), Err(InvalidHash));
        assert_eq!("ba78".parse::<Hash>(), Err(InvalidHash));
    }

    #[test]
    fn a_head_comes_back_from_its_text() {
        let head = Head::START.followed_by(b"{}");
        assert_eq!(head.to_string().parse(), Ok(head));
        assert_eq!(head.seq, 1);
        assert_eq!("7".parse::<Head>(), Err(InvalidHead));
    }
}
