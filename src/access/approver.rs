//! Who decides, and by whose powers.

use super::{Principal, PrincipalName};

/// Who decides, and by whose powers: their own, or of somebody who delegated theirs.
#[derive(Debug, Clone, Copy)]
pub struct Approver<'a> {
    /// Who decides.
    pub by: &'a PrincipalName,
    /// Whose powers they have.
    pub powers: &'a Principal,
}

impl<'a> Approver<'a> {
    /// Somebody by their own powers.
    pub fn own(principal: &'a Principal) -> Self {
        Self {
            by: &principal.name,
            powers: principal,
        }
    }

    /// Whose powers they have, if they are not their own.
    pub fn on_behalf_of(&self) -> Option<PrincipalName> {
        let other = *self.by != self.powers.name;
        other.then(|| self.powers.name.clone())
    }

    /// Whether this is `person`, or decides by that person's powers.
    pub fn is_or_stands_for(&self, person: &PrincipalName) -> bool {
        self.by == person || self.powers.name == *person
    }
}
