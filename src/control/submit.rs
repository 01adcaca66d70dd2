//! Somebody asks.

use std::sync::Arc;
use std::time::Duration;

use crate::access::{AccessRequest, Caller, RequestId, Submission, Target, TargetName};
use crate::audit::Event;
use crate::policy::Action;

use super::{Control, Error, RequestStatus, act, random_id, reason, to_the_end};

impl Control {
    /// Submits a request of `caller` for `target`.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Forbidden`] if the caller may not ask for the target,
    /// [`Error::Invalid`] if duration or reason are out of bounds.
    pub async fn submit(
        self: &Arc<Self>,
        caller: &Caller,
        target: &TargetName,
        duration: Duration,
        why: &str,
    ) -> Result<RequestStatus, Error> {
        let target = self.requestable(caller, target)?;
        let submission = Submission {
            requester: caller.name.clone(),
            duration,
            reason: reason(why)?.to_owned(),
        };
        let id = RequestId::from_random(random_id());
        let now = self.now();
        let request = AccessRequest::submit(id, submission, &target, self.request_lapse, now)?;
        let control = Arc::clone(self);
        let kept = request.clone();
        to_the_end(async move { control.keep(&kept).await }).await?;
        Ok(RequestStatus {
            request,
            may_decide: false,
        })
    }

    fn requestable(&self, caller: &Caller, name: &TargetName) -> Result<Target, Error> {
        let rules = self.rules.load();
        match rules.targets.get(name) {
            Some(target) if self.may(caller, Action::Request, name) => Ok(target.clone()),
            // Who may approve knows that it is there.
            Some(_) if self.may(caller, Action::View, name) => {
                Err(Error::Forbidden(format!("you may not request {name}")))
            }
            _ => Err(Error::NotFound("target that you may request")),
        }
    }

    async fn keep(&self, request: &AccessRequest) -> Result<(), Error> {
        let submitted = Event::RequestSubmitted {
            request: request.id,
            principal: request.requester.clone(),
            target: request.target.clone(),
            seconds: request.duration.as_secs(),
            reason: request.reason.clone(),
        };
        let act = act(request.created_at, submitted);
        self.store.insert_request(request, &act).await?;
        self.count(request);
        self.follow_up().await;
        Ok(())
    }
}
