//! OpenID Connect: a provider vouches for people (authorization code with PKCE, device flow) and for
//! services (a CI provider's tokens). Its tokens are verified here and never kept.

mod claims;
mod http;
mod provider;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod workload;

pub use claims::Claims;
pub use provider::{Browser, Device, Oidc, OidcSettings, Vouched};
pub use workload::{Workload, WorkloadSettings};

/// Why nobody was vouched for. For the log and the audit; who signs in is told less.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The provider does not answer, or not as it should.
    #[error("the provider: {0}")]
    Provider(String),
    /// It has no device flow.
    #[error("the provider has no device flow")]
    NoDeviceFlow,
    /// The person did not agree, or not in time.
    #[error("the sign-in was not finished: {0}")]
    Unfinished(String),
    /// What it says of somebody is not proved.
    #[error("the token is refused: {0}")]
    Refused(String),
    /// What it says is not enough to know who it is.
    #[error("the claims: {0}")]
    Claims(String),
}

/// An error with all that lies below it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    text
}
