//! Who may do what. One small interface; what answers it may grow without its callers knowing.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::access::{Caller, PrincipalName, Target, TargetName};

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// What is known when somebody wants to do something, besides who and what.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// When.
    pub now: Timestamp,
    /// For how long, of what is asked for or decided on.
    pub duration: Option<Duration>,
    /// Why.
    pub reason: Option<&'a str>,
    /// The ticket that the reason names.
    pub ticket: Option<&'a str>,
    /// Whose request, session or review it is.
    pub requester: Option<&'a PrincipalName>,
    /// Which stage of the approval, from 1.
    pub stage: Option<u32>,
}

impl Context<'_> {
    /// Nothing but the time.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            duration: None,
            reason: None,
            ticket: None,
            requester: None,
            stage: None,
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
    /// The policies that made it so.
    pub policies: Vec<String>,
}

/// Says who may do what.
pub trait Policy: Send + Sync {
    /// Whether this may be done. What cannot be decided may not.
    fn decide(&self, query: &Query<'_>) -> Decision;
}

/// Principals and groups (`@engineers`) that may act on one target.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// Who may ask.
    pub requesters: HashSet<String>,
    /// Who may decide.
    pub approvers: HashSet<String>,
}

/// A policy of lists, as the configuration gives them. Names are principals' or `@group`s'.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    /// Who may act on each target.
    pub targets: HashMap<TargetName, Grants>,
    /// Who may read the audit.
    pub auditors: HashSet<String>,
}

impl Lists {
    fn list(&self, action: Action, target: Option<&Target>) -> Option<&HashSet<String>> {
        let grants = || self.targets.get(&target?.name);
        match action {
            Action::Request | Action::Extend => grants().map(|it| &it.requesters),
            Action::Approve | Action::View | Action::Revoke | Action::Review => {
                grants().map(|it| &it.approvers)
            }
            Action::ReadAudit => Some(&self.auditors),
            Action::ApproveAlone
            | Action::ExtendAlone
            | Action::BreakGlass
            | Action::Administer => None,
        }
    }
}

impl Policy for Lists {
    fn decide(&self, query: &Query<'_>) -> Decision {
        let granted = self.list(query.action, query.target);
        let administers = query.action == Action::Administer
            && query.caller.groups.iter().any(|group| group == "admins");
        Decision {
            allowed: administers || granted.is_some_and(|granted| names(granted, query.caller)),
            policies: Vec::new(),
        }
    }
}

/// Whether the list has the principal, or a group of theirs.
fn names(list: &HashSet<String>, caller: &Caller) -> bool {
    list.contains(caller.name.as_str())
        || caller
            .groups
            .iter()
            .any(|group| list.contains(&format!("@{group}")))
}
