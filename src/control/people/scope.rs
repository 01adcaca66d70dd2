//! What a token lets its bearer do, of what its owner may.

use super::super::Error;
use crate::access::{Caller, Right};
use crate::policy::Action;

/// Whether what the caller came with lets them do this; whether they may, the policy says.
pub(in super::super) fn within_scope(caller: &Caller, action: Action) -> bool {
    caller.has(match action {
        Action::View => Right::Read,
        Action::Request
        | Action::ApproveAlone
        | Action::BreakGlass
        | Action::Extend
        | Action::ExtendAlone => Right::Request,
        Action::Approve | Action::Revoke | Action::Review => Right::Approve,
        Action::ReadAudit => Right::Audit,
        Action::Administer => Right::Administer,
    })
}

/// Refuses what everybody may do with what is their own, if what they came with does not let them.
///
/// # Errors
/// [`Error::Forbidden`].
pub(in super::super) fn must_have(caller: &Caller, right: Right) -> Result<(), Error> {
    match (&caller.scope, caller.has(right)) {
        (Some(scope), false) => Err(Error::Forbidden(format!(
            "your token lets you {scope}, and not {}",
            right.name()
        ))),
        _ => Ok(()),
    }
}
