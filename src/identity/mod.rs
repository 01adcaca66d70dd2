//! Who somebody is: the mechanisms by which people and services prove it. What is kept of them,
//! and what they may do, is others' business: nothing here knows the store or the use cases.

mod code;
mod directory;
mod oidc;
mod password;
mod sealing;
mod token;
mod totp;

pub use code::{Code, recovery_codes, setup_code};
pub use directory::{Directory, Entry};
#[cfg(test)]
pub(crate) use oidc::testing::StandIn;
pub use oidc::{
    Browser, Claims, Device, Oidc, OidcError, OidcSettings, Vouched, Workload, WorkloadSettings,
};
pub use password::{Passwords, Unfit, fit};
pub use sealing::{Broken, Sealing};
pub use token::{Kind, generate, hash};
pub use totp::{Totp, TotpError};
