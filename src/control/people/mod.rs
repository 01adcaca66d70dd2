//! Who is who: accounts, what proves that somebody is one's holder, and the tokens given for it.

mod accounts;
mod authenticate;
mod credentials;
mod exchange;
mod failures;
mod flows;
mod guesses;
mod known;
mod prove;
mod scope;
mod sessions;
mod sign_in;
mod tokens;
mod vouch;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::identity::{Directory, Oidc, Passwords, Sealing};

pub use accounts::NewAccount;
pub use credentials::Own;
pub use exchange::Job;
pub use guesses::Guesses;
pub use sign_in::SignIn;
pub use tokens::{Made, MakeToken};
pub use vouch::Begun;

pub(super) use failures::Failures;
pub(super) use flows::Flows;
pub(super) use known::Known;
pub(super) use scope::{must_have, within_scope};
pub(super) use tokens::unlimited;

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
    /// The provider that vouches for people.
    pub oidc: Option<Arc<Oidc>>,
    /// The CI jobs that are vouched for.
    pub jobs: Vec<Job>,
}
