//! What somebody wants changed, as they saw it.

use super::Error;

/// A request or a session that somebody wants changed, and the version in which they saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<I> {
    /// Which.
    pub id: I,
    /// The version; `None`: whichever it has.
    pub version: Option<u64>,
}

impl<I> From<I> for Seen<I> {
    fn from(id: I) -> Self {
        Self { id, version: None }
    }
}

impl<I> Seen<I> {
    /// Whether it is still as it was seen, now that it has `version`. What is changed starts from
    /// that one, or is refused: nothing can come between.
    pub(super) fn check(&self, version: u64) -> Result<(), Error> {
        match self.version {
            Some(seen) if seen != version => Err(Error::Changed(version)),
            _ => Ok(()),
        }
    }
}
