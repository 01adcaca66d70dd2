//! API tokens: what is known of one, but never the token itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{PrincipalName, Scope, TokenId};

/// How a token came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenOrigin {
    /// Its owner signed in with their password.
    Password,
    /// An OpenID provider vouched for its owner.
    Oidc,
    /// A CI provider vouched for its owner.
    Workload,
    /// Somebody made it.
    Made,
}

impl TokenOrigin {
    /// Every origin there is.
    pub const ALL: [Self; 4] = [Self::Password, Self::Oidc, Self::Workload, Self::Made];

    /// Its name, as the store and the API write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Oidc => "oidc",
            Self::Workload => "workload",
            Self::Made => "made",
        }
    }
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Its name.
    pub id: TokenId,
    /// Whom its bearer acts as.
    pub owner: PrincipalName,
    /// Who had it made.
    pub made_by: PrincipalName,
    /// How it came to be.
    pub origin: TokenOrigin,
    /// What it is for, in its maker's words.
    pub note: String,
    /// What it lets its bearer do of what the owner may; `None`: all.
    pub scope: Option<Scope>,
    /// Whether its owner showed a second factor for it.
    pub mfa: bool,
    /// Since when.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was used last, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When somebody ended it.
    pub revoked_at: Option<Timestamp>,
}

impl ApiToken {
    /// Whether it is good at `now`.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}
