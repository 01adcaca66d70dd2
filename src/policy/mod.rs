//! Who may do what. One small interface; what answers it may grow without its callers knowing.

use std::collections::{HashMap, HashSet};

use crate::access::{Principal, TargetName};

/// What somebody wants to do, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action<'a> {
    /// Ask for a session for the target.
    Request(&'a TargetName),
    /// Decide on somebody else's request for the target, or end somebody else's session.
    Approve(&'a TargetName),
    /// Read the audit, of all targets, and say what of it is not to be deleted.
    ReadAudit,
}

impl<'a> Action<'a> {
    /// The target, of what is done with one.
    pub fn target(self) -> Option<&'a TargetName> {
        match self {
            Self::Request(target) | Self::Approve(target) => Some(target),
            Self::ReadAudit => None,
        }
    }
}

/// Says who may do what.
pub trait Policy: Send + Sync {
    /// Whether `principal` may do this. With an unknown target: no.
    fn allows(&self, principal: &Principal, action: Action<'_>) -> bool;
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

impl Policy for Lists {
    fn allows(&self, principal: &Principal, action: Action<'_>) -> bool {
        let granted = match action {
            Action::Request(target) => self.targets.get(target).map(|it| &it.requesters),
            Action::Approve(target) => self.targets.get(target).map(|it| &it.approvers),
            Action::ReadAudit => Some(&self.auditors),
        };
        granted.is_some_and(|granted| names(granted, principal))
    }
}

/// Whether the list has the principal, or a group of theirs.
fn names(list: &HashSet<String>, principal: &Principal) -> bool {
    list.contains(principal.name.as_str())
        || principal
            .groups
            .iter()
            .any(|group| list.contains(&format!("@{group}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_or_a_group_grants_and_nothing_else_does() {
        let target: TargetName = "orders-ro".parse().unwrap();
        let grants = Grants {
            requesters: ["@engineers".to_owned()].into(),
            approvers: ["dana".to_owned()].into(),
        };
        let policy = Lists {
            targets: [(target.clone(), grants)].into(),
            auditors: ["@security".to_owned(), "noor".to_owned()].into(),
        };
        let person = |name: &str, group: &str| Principal {
            name: name.parse().unwrap(),
            groups: vec![group.into()],
        };
        let (maya, dana) = (person("maya", "engineers"), person("dana", "leads"));
        assert!(policy.allows(&maya, Action::Request(&target)));
        assert!(!policy.allows(&maya, Action::Approve(&target)));
        assert!(policy.allows(&dana, Action::Approve(&target)));
        let other = "other".parse().unwrap();
        assert!(!policy.allows(&dana, Action::Request(&other)));

        assert!(policy.allows(&person("iris", "security"), Action::ReadAudit));
        assert!(policy.allows(&person("noor", "engineers"), Action::ReadAudit));
        for other in [maya, dana, person("security", "others")] {
            assert!(!policy.allows(&other, Action::ReadAudit), "{other:?}");
        }
    }
}
