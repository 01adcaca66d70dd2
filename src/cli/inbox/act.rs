//! What keys ask for, and what is to be done for it.

use std::time::Duration;

use crate::access::RequestId;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Quit,
    Up,
    Down,
    First,
    Last,
    Approve,
    Deny,
    Shorten,
    Refresh,
    Help,
    Yes,
    Type(char),
    Erase,
    Enter,
    Escape,
    ScrollDown,
    ScrollUp,
}

/// What is to be done outside the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Quit,
    Refresh,
    /// Approve, for this long if it is to be shorter.
    Approve(RequestId, Option<Duration>),
    /// Deny, for this reason.
    Deny(RequestId, String),
}
