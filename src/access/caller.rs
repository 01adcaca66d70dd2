//! Who calls: a principal, and what is known of how they proved it.

use std::net::IpAddr;
use std::ops::Deref;

use super::Principal;

/// A principal who has proved who they are, and how. What they may do depends on both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// Whether they proved it with a second factor.
    pub mfa: bool,
    /// Where they call from, if that is known.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// A principal of whom nothing more is known.
    pub fn new(principal: Principal) -> Self {
        Self {
            principal,
            mfa: false,
            address: None,
        }
    }
}

impl Deref for Caller {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}
