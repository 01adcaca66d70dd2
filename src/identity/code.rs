//! Codes that people type once: recovery codes, and the first password of an account.

use crate::secret::{Secret, random, sha256};

/// Without letters that are taken for digits.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Recovery codes of one set.
const CODES: usize = 10;

/// A code as it is shown, and what is kept of it.
pub struct Code {
    /// Four groups of four: 80 random bits.
    pub shown: Secret,
    /// The SHA-256 of its letters and digits. 80 bits are beyond trying out, so it needs no salt.
    pub hash: [u8; 32],
}

impl Code {
    fn generate() -> Self {
        let digits = random::<16>().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        let groups: Vec<String> = digits
            .chunks(4)
            .map(|group| group.iter().collect())
            .collect();
        let shown = groups.join("-");
        Self {
            hash: Self::hash(&shown),
            shown: Secret::new(shown),
        }
    }

    /// What is kept of a code that somebody typed: case, spaces and dashes do not count.
    pub fn hash(typed: &str) -> [u8; 32] {
        let digits: String = typed
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        sha256(digits.as_bytes())
    }
}

/// A set of recovery codes, each of which stands in once for a code of the second factor.
pub fn recovery_codes() -> Vec<Code> {
    std::iter::repeat_with(Code::generate).take(CODES).collect()
}

/// A first password, to be replaced at the first sign-in.
pub fn setup_code() -> Secret {
    Code::generate().shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_known_however_it_is_typed() {
        let code = Code::generate();
        let text = code.shown.expose();
        assert_eq!(text.len(), 19);
        assert_eq!(
            Code::hash(&text.to_uppercase().replace('-', " ")),
            code.hash
        );
        assert_ne!(Code::hash(&text[1..]), code.hash);
        assert_eq!(recovery_codes().len(), CODES);
    }
}
