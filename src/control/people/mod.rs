//! Who is who: accounts, what proves that somebody is one's holder, and the tokens given for it.

mod accounts;
mod authenticate;
mod credentials;
mod failures;
mod known;
mod prove;
mod scope;
mod sessions;
mod sign_in;
mod tokens;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::identity::{Directory, Passwords, Sealing};

pub use accounts::NewAccount;
pub use credentials::Own;
pub use sign_in::SignIn;
pub use tokens::{Made, MakeToken};

pub(super) use failures::Failures;
pub(super) use known::Known;
pub(super) use scope::{must_have, within_scope};

/// How people and services prove who they are, as the configuration has it.
pub struct Identity {
    /// Who there is in the configuration itself.
    pub directory: Directory,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// Keeps what has to be read again.
    pub sealing: Arc<Sealing>,
    /// How long a sign-in lasts.
    pub login_lifetime: Duration,
}
