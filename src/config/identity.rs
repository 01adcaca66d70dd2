//! `[identity]`.

use std::time::Duration;

use super::check::{Check, Section};
use super::raw::RawIdentity;
use super::values;

const HOUR: Duration = Duration::from_secs(3600);

/// `[identity]`: how people and services prove who they are.
#[derive(Debug, Clone)]
pub struct Identity {
    /// `login_lifetime`: how long a sign-in lasts. Default 12h.
    pub login_lifetime: Duration,
}

pub(super) fn identity(check: &mut Check<'_>, raw: &RawIdentity) -> Identity {
    let mut section = Section::new(check, "identity", 0..0);
    let lifetime = &raw.login_lifetime;
    Identity {
        login_lifetime: section
            .optional("login_lifetime", lifetime, values::positive_duration)
            .unwrap_or(12 * HOUR),
    }
}
