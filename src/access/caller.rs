//! Who calls: a principal, and what is known of how they proved it.

use std::net::IpAddr;
use std::ops::Deref;

use super::{Principal, Right, Scope};

/// A principal who has proved who they are, and how. What they may do depends on both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// Whether they proved it with a second factor.
    pub mfa: bool,
    /// Where they call from, if that is known.
    pub address: Option<IpAddr>,
    /// What the token that they came with lets them do of what they may; `None`: all.
    pub scope: Option<Scope>,
}

impl Caller {
    /// A principal of whom nothing more is known.
    pub fn new(principal: Principal) -> Self {
        Self {
            principal,
            mfa: false,
            address: None,
            scope: None,
        }
    }

    /// Whether what they came with lets them do this; whether they may, others decide.
    pub fn has(&self, right: Right) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.has(right))
    }
}

impl Deref for Caller {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}
