//! The requester takes it back.

use std::sync::Arc;

use crate::access::{Caller, RequestId, Right};
use crate::audit::Event;
use crate::store::Change;

use super::people::must_have;
use super::{Control, Error, RequestStatus, Seen, act, to_the_end};

impl Control {
    /// Takes a request of `caller` back.
    ///
    /// # Errors
    /// [`Error::Changed`] if it is no longer in the version that the caller saw;
    /// [`Error::Conflict`] if it is no longer pending, [`Error::Forbidden`] if it is another's.
    pub async fn withdraw(
        self: &Arc<Self>,
        caller: &Caller,
        seen: impl Into<Seen<RequestId>>,
    ) -> Result<RequestStatus, Error> {
        must_have(caller, Right::Request)?;
        let old = self.visible_request(caller, seen).await?;
        let now = self.now();
        let new = old.clone().withdraw(&caller.name, now)?;
        let withdrawn = Event::RequestWithdrawn {
            request: old.id,
            by: caller.name.clone(),
        };
        let change = Change::moves(new.clone(), act(now, withdrawn));
        let control = Arc::clone(self);
        to_the_end(async move { control.move_request(change).await }).await?;
        Ok(self.full_status(false, new))
    }
}
