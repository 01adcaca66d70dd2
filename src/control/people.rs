//! Who there is.

use std::collections::HashMap;

use crate::access::{Principal, PrincipalName};

/// Who there is, as far as hallpass knows. Who is not among them loses what they have.
pub trait People: Send + Sync {
    /// The principal of that name; `None` if there is none, or they are disabled.
    fn principal(&self, name: &PrincipalName) -> Option<Principal>;

    /// All of them, but those who are disabled.
    fn all(&self) -> Vec<Principal>;
}

impl People for HashMap<PrincipalName, Principal> {
    fn principal(&self, name: &PrincipalName) -> Option<Principal> {
        self.get(name).cloned()
    }

    fn all(&self) -> Vec<Principal> {
        self.values().cloned().collect()
    }
}
