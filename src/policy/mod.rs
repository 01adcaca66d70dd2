//! Who may do what.
//!
//! The configuration says what there is; policies, written in Cedar, say who may do what with it.
//! Nothing else decides. One small interface ([`Policy`]) is all that the rest sees: a [`Query`]
//! goes in, a [`Decision`] comes out, with the policies that made it.

mod action;
mod cedar;
mod entities;
mod explain;
mod load;
mod schema;
mod set;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;

use crate::access::{Caller, PrincipalName, Target};

pub use action::{Action, UnknownAction};
pub use cedar::Cedar;
pub use explain::{Alone, Approver, Explanation, explain, granted_instead};
pub use load::{Fault, Faults};
pub use set::{Effect, PolicyFile, PolicyNote, PolicySet};

/// What is known when somebody wants to do something, besides who and what.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// When.
    pub now: Timestamp,
    /// For how long, of what is asked for or decided on.
    pub duration: Option<Duration>,
    /// How long the session would be altogether: [`Context::duration`], and what it has already if
    /// more of it is asked for.
    pub total: Option<Duration>,
    /// Why.
    pub reason: Option<&'a str>,
    /// The ticket that the reason names.
    pub ticket: Option<&'a str>,
    /// Whose request, session or review it is.
    pub requester: Option<&'a PrincipalName>,
    /// Which stage of the approval, from 1.
    pub stage: Option<u32>,
    /// How often the session has been extended, of what asks for more of it.
    pub extensions: Option<u32>,
}

impl Context<'_> {
    /// The same for less time, or none that is known.
    pub(super) fn lasting(self, duration: Option<Duration>) -> Self {
        let asked = self.duration.unwrap_or_default();
        let before = self.total.map(|total| total.saturating_sub(asked));
        let total = before.zip(duration).map(|(before, more)| before + more);
        Self {
            duration,
            total,
            ..self
        }
    }

    /// Nothing but the time.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            duration: None,
            total: None,
            reason: None,
            ticket: None,
            requester: None,
            stage: None,
            extensions: None,
        }
    }
}

/// A question to the policy.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Who wants to do it.
    pub caller: &'a Caller,
    /// What.
    pub action: Action,
    /// With which target; none for what concerns hallpass as a whole.
    pub target: Option<&'a Target>,
    /// What else is known.
    pub context: Context<'a>,
}

/// The policy's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// The policies that made it so; none if it is refused because none allows it.
    pub policies: Vec<String>,
}

/// Says who may do what.
pub trait Policy: Send + Sync {
    /// Whether this may be done. What cannot be decided may not.
    fn decide(&self, query: &Query<'_>) -> Decision;

    /// The policies in force, for people to read.
    fn set(&self) -> Option<&PolicySet> {
        None
    }
}
