//! Where somebody wants to go: one of our own pages, never an address that was given to us.

use std::fmt;

use crate::access::{RequestId, SessionId};

/// A page that one can come back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// What waits.
    Home,
    /// A request.
    Request(RequestId),
    /// A review.
    Review(SessionId),
}

impl Place {
    /// The page with, or below, this path; what is none of ours is the first page.
    pub(super) fn of(path: &str) -> Self {
        let mut parts = path.strip_prefix('/').unwrap_or_default().split('/');
        let (kind, id) = (parts.next(), parts.next().unwrap_or_default());
        let place = match kind {
            Some("requests") => id.parse().ok().map(Self::Request),
            Some("reviews") => id.parse().ok().map(Self::Review),
            _ => None,
        };
        place.unwrap_or(Self::Home)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home => f.write_str("/"),
            Self::Request(id) => write!(f, "/requests/{id}"),
            Self::Review(id) => write!(f, "/reviews/{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_back_to_our_own_pages_and_to_no_other() {
        for own in [
            "/",
            "/requests/req-4m0t8z1kqc7e",
            "/reviews/ses-4m0t8z1kqc7e",
        ] {
            assert_eq!(Place::of(own).to_string(), own);
        }
        let below = Place::of("/requests/req-4m0t8z1kqc7e/approve").to_string();
        assert_eq!(below, "/requests/req-4m0t8z1kqc7e");
        for foreign in [
            "https://evil.example.com/",
            "//evil.example.com/requests/req-4m0t8z1kqc7e",
            "/\\evil.example.com",
            "/requests/../../evil",
            "/requests/ses-4m0t8z1kqc7e",
            "javascript:alert(1)",
            "",
        ] {
            assert_eq!(Place::of(foreign), Place::Home, "{foreign}");
        }
    }
}
