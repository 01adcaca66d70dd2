//! API tokens: 256 random bits behind a prefix by which scanners for leaked secrets find them.

use crate::secret::{Secret, hex, random, sha256};

/// Whose token it is, as its prefix says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A person's: `hp_pat_`.
    Person,
    /// A service's: `hp_svc_`.
    Service,
}

/// A new token.
pub fn generate(kind: Kind) -> Secret {
    let prefix = match kind {
        Kind::Person => "hp_pat_",
        Kind::Service => "hp_svc_",
    };
    Secret::new(format!("{prefix}{}", hex(&random::<32>())))
}

/// What is kept of a token. It has 256 random bits, so its hash needs neither salt nor slowness.
pub fn hash(token: &Secret) -> [u8; 32] {
    sha256(token.expose().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_say_whose_they_are() {
        let (one, other) = (generate(Kind::Person), generate(Kind::Service));
        assert!(one.expose().starts_with("hp_pat_") && one.expose().len() == 7 + 64);
        assert!(other.expose().starts_with("hp_svc_"));
        assert_ne!(hash(&one), hash(&generate(Kind::Person)));
        assert_eq!(hash(&one), hash(&Secret::new(one.expose())));
    }
}
