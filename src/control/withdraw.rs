//! The requester takes it back.

use std::sync::Arc;

use crate::access::{Caller, RequestId, Right};
use crate::audit::Event;

use super::people::must_have;
use super::{Control, Error, RequestStatus, act, to_the_end};

impl Control {
    /// Takes a request of `caller` back.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it is no longer pending, [`Error::Forbidden`] if it is another's.
    pub async fn withdraw(
        self: &Arc<Self>,
        caller: &Caller,
        id: RequestId,
    ) -> Result<RequestStatus, Error> {
        must_have(caller, Right::Request)?;
        let old = self.visible_request(caller, id).await?;
        let now = self.now();
        let new = old.clone().withdraw(&caller.name, now)?;
        let withdrawn = Event::RequestWithdrawn {
            request: id,
            by: caller.name.clone(),
        };
        let control = Arc::clone(self);
        let kept = new.clone();
        to_the_end(async move { control.move_request(&old, &kept, act(now, withdrawn)).await })
            .await?;
        Ok(self.request_status(caller, new))
    }
}
