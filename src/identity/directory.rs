//! The principals of the configuration, with tokens of their own.

use crate::access::Principal;
use crate::secret::constant_time_eq;

/// A principal of the configuration.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who.
    pub principal: Principal,
    /// The SHA-256 of their token.
    pub token_sha256: [u8; 32],
    /// Where they are written to.
    pub email: Option<String>,
    /// Whether their token counts as a second factor.
    pub mfa: bool,
}

/// The principals of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Directory(Vec<Entry>);

impl Directory {
    /// These.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        Self(entries.into_iter().collect())
    }

    /// Whose token has this hash. Takes the same time whoever it is, and if it is nobody's.
    pub fn by_token(&self, sha256: &[u8; 32]) -> Option<&Entry> {
        self.0.iter().fold(None, |found, entry| {
            if constant_time_eq(&entry.token_sha256, sha256) {
                Some(entry)
            } else {
                found
            }
        })
    }

    /// All of them.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// All of them.
    pub fn principals(&self) -> impl Iterator<Item = &Principal> {
        self.0.iter().map(|entry| &entry.principal)
    }

    /// The one of this name, in whatever case.
    pub fn named(&self, name: &str) -> Option<&Entry> {
        let mut entries = self.0.iter();
        entries.find(|entry| entry.principal.name.as_str().eq_ignore_ascii_case(name))
    }
}
