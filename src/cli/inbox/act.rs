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

/// A request in the version that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) id: RequestId,
    pub(super) version: u64,
}

/// What is to be done outside the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Quit,
    Refresh,
    /// Approve it as it was shown, for this long if it is to be shorter.
    Approve(Shown, Option<Duration>),
    /// Deny it as it was shown, for this reason.
    Deny(Shown, String),
}
