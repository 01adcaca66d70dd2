//! What somebody wants to do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What somebody wants to do. As text: `request`, `approveAlone`, ..
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Ask for a session for the target.
    Request,
    /// Have one without anybody deciding.
    ApproveAlone,
    /// Have one at once, decided by nobody, to be reviewed afterwards.
    BreakGlass,
    /// Ask for more time in a session of one's own.
    Extend,
    /// Have that without anybody deciding.
    ExtendAlone,
    /// See everybody's requests and sessions for the target.
    View,
    /// Decide on somebody else's request.
    Approve,
    /// End somebody else's session.
    Revoke,
    /// Close the review that follows a broken glass.
    Review,
    /// Read the audit, of all targets, and say what of it is not to be deleted.
    ReadAudit,
    /// Say who there is: accounts, tokens, delegations of others.
    Administer,
}

/// A word that is not an action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no action {0:?}: there are {list}", list = names())]
pub struct UnknownAction(String);

impl Action {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Request,
        Self::ApproveAlone,
        Self::BreakGlass,
        Self::Extend,
        Self::ExtendAlone,
        Self::View,
        Self::Approve,
        Self::Revoke,
        Self::Review,
        Self::ReadAudit,
        Self::Administer,
    ];

    /// Its name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::ApproveAlone => "approveAlone",
            Self::BreakGlass => "breakGlass",
            Self::Extend => "extend",
            Self::ExtendAlone => "extendAlone",
            Self::View => "view",
            Self::Approve => "approve",
            Self::Revoke => "revoke",
            Self::Review => "review",
            Self::ReadAudit => "readAudit",
            Self::Administer => "administer",
        }
    }

    /// Whether it is done with one target; the others concern hallpass as a whole.
    pub fn has_target(self) -> bool {
        !matches!(self, Self::ReadAudit | Self::Administer)
    }

    /// What has the same done without anybody deciding, where there is such a thing.
    pub fn alone(self) -> Option<Self> {
        match self {
            Self::Request => Some(Self::ApproveAlone),
            Self::Extend => Some(Self::ExtendAlone),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        Self::ALL
            .into_iter()
            .find(|action| action.name() == text)
            .ok_or_else(|| UnknownAction(text.to_owned()))
    }
}

fn names() -> String {
    Action::ALL.map(Action::name).join(", ")
}
