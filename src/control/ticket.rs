//! The ticket that a reason names is looked at before anything is requested.

use super::{Control, Error, Rules};
use crate::access::{AccessRequest, Caller, Grantor, RequestKind};
use crate::tickets::{Refusal, Requester};

impl Control {
    /// Looks the ticket up, and then asks again who grants the request, if a policy does: that may
    /// have changed meanwhile.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the ticket will not do, [`Error::Tracker`] if that is not known,
    /// [`Error::Forbidden`] if the policy no longer lets the caller ask.
    pub(super) async fn check_ticket(
        &self,
        caller: &Caller,
        request: &AccessRequest,
        rules: &Rules,
    ) -> Result<Option<Grantor>, Error> {
        self.look_up(caller, request, rules).await?;
        self.still_permitted(request, None)
            .map_err(Error::Forbidden)?;
        let by = self.admissible(caller, request);
        by.ok_or_else(|| Error::Forbidden(format!("you may not request {}", request.target)))
    }

    /// Where the glass is broken, a tracker that cannot be asked is in nobody's way: it may be down
    /// for the same reason.
    async fn look_up(
        &self,
        caller: &Caller,
        request: &AccessRequest,
        rules: &Rules,
    ) -> Result<(), Error> {
        let Some(ticket) = &request.ticket else {
            return Err(Error::Invalid("the reason names no ticket".to_owned()));
        };
        // The configuration does not let it be otherwise.
        let Some(tickets) = &rules.tickets else {
            return Err(Error::Invalid("tickets are looked up nowhere".to_owned()));
        };
        let people = self.people_with_mail().await?;
        let mut mail = people.iter().filter(|(it, _)| it.name == caller.name);
        let requester = Requester {
            name: caller.name.as_str(),
            email: mail.next().map(|(_, email)| email.as_str()),
        };
        match tickets.check(ticket, requester).await {
            Err(Refusal::Unreachable { .. }) if request.kind == RequestKind::BreakGlass => {
                tracing::warn!(ticket, principal = %caller.name, "the glass is broken without a look at the ticket");
                Ok(())
            }
            Err(refusal @ Refusal::Unreachable { .. }) => Err(Error::Tracker(refusal)),
            Err(refusal) => Err(Error::Invalid(refusal.to_string())),
            Ok(()) => Ok(()),
        }
    }
}
