//! Who may do what. One small interface; what answers it may grow without its callers knowing.

use std::collections::{HashMap, HashSet};

use crate::access::{Principal, TargetName};

/// What somebody wants to do with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Ask for a session.
    Request,
    /// Decide on somebody else's request, or end somebody else's session.
    Approve,
}

/// Says who may do what.
pub trait Policy: Send + Sync {
    /// Whether `principal` may do `action` with `target`. An unknown target: no.
    fn allows(&self, principal: &Principal, action: Action, target: &TargetName) -> bool;
}

/// Principals and groups (`@engineers`) that may act on one target.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// Who may ask.
    pub requesters: HashSet<String>,
    /// Who may decide.
    pub approvers: HashSet<String>,
}

/// A policy that is a list per target, as the configuration gives it.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    targets: HashMap<TargetName, Grants>,
}

impl Lists {
    /// The policy of these grants.
    pub fn new(targets: HashMap<TargetName, Grants>) -> Self {
        Self { targets }
    }
}

impl Policy for Lists {
    fn allows(&self, principal: &Principal, action: Action, target: &TargetName) -> bool {
        let Some(grants) = self.targets.get(target) else {
            return false;
        };
        let granted = match action {
            Action::Request => &grants.requesters,
            Action::Approve => &grants.approvers,
        };
        granted.contains(principal.name.as_str())
            || principal
                .groups
                .iter()
                .any(|group| granted.contains(&format!("@{group}")))
    }
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
        let policy = Lists::new([(target.clone(), grants)].into());
        let maya = Principal {
            name: "maya".parse().unwrap(),
            groups: vec!["engineers".into()],
        };
        let dana = Principal {
            name: "dana".parse().unwrap(),
            groups: vec![],
        };
        assert!(policy.allows(&maya, Action::Request, &target));
        assert!(!policy.allows(&maya, Action::Approve, &target));
        assert!(policy.allows(&dana, Action::Approve, &target));
        assert!(!policy.allows(&dana, Action::Request, &"other".parse().unwrap()));
    }
}
