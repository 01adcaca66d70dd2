//! Somebody lets another decide while they are away.

use std::sync::Arc;

use jiff::Timestamp;

use crate::access::{Caller, Delegation, PrincipalKind, PrincipalName, Right};
use crate::audit::Event;
use crate::store::{Act, StoreError};

use super::people::{must_have, unlimited};
use super::{Control, Error, act, to_the_end};

impl Control {
    /// Lets `to` approve, deny and review by the powers of `caller` until then. An older
    /// delegation between the two gives way.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `to` is nobody, or the caller, or the end is out of bounds.
    pub async fn delegate(
        self: &Arc<Self>,
        caller: &Caller,
        to: &PrincipalName,
        until: Timestamp,
    ) -> Result<Delegation, Error> {
        // What lasts longer than a token is for those who signed in.
        unlimited(caller)?;
        match self.known().get(to).map(|it| it.kind) {
            Some(PrincipalKind::Person) => {}
            Some(PrincipalKind::Service) => {
                let problem = format!("{to} is a service: people decide");
                return Err(Error::Invalid(problem));
            }
            None => return Err(Error::Invalid(format!("there is no principal {to}"))),
        }
        let now = self.now();
        let until = Timestamp::from_microsecond(until.as_microsecond()).unwrap_or(until);
        let delegation = Delegation::new(caller, to.clone(), until, now)
            .map_err(|error| Error::Invalid(error.to_string()))?;
        let made = Event::DelegationMade {
            from: delegation.from.clone(),
            to: to.clone(),
            until,
        };
        let (control, kept) = (Arc::clone(self), delegation.clone());
        to_the_end(async move { control.keep_delegation(&kept, &act(now, made)).await }).await?;
        Ok(delegation)
    }

    async fn keep_delegation(&self, delegation: &Delegation, act: &Act) -> Result<(), Error> {
        self.store.delegate(delegation, act).await?;
        self.follow_up().await;
        Ok(())
    }

    /// Ends the delegation from `caller` to somebody. What it was.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn end_delegation(
        self: &Arc<Self>,
        caller: &Caller,
        to: &PrincipalName,
    ) -> Result<Delegation, Error> {
        must_have(caller, Right::Approve)?;
        let mut own = self.delegations(caller).await?.into_iter();
        let delegation = own.find(|it| it.from == caller.name && it.to == *to);
        let delegation = delegation.ok_or(Error::NotFound("delegation"))?;
        let ended = Event::DelegationEnded {
            from: delegation.from.clone(),
            to: delegation.to.clone(),
        };
        let (control, gone) = (Arc::clone(self), delegation.clone());
        let ended = act(self.now(), ended);
        to_the_end(async move { control.drop_delegation(&gone, &ended).await }).await?;
        Ok(delegation)
    }

    /// Ends all delegations from somebody.
    pub(super) async fn take_back(&self, from: &PrincipalName) -> Result<(), Error> {
        self.drop_delegations(from, |it| it.from == *from).await
    }

    /// Ends all delegations from and to somebody.
    pub(super) async fn undelegate(&self, whom: &PrincipalName) -> Result<(), Error> {
        self.drop_delegations(whom, |_| true).await
    }

    async fn drop_delegations(
        &self,
        of: &PrincipalName,
        which: impl Fn(&Delegation) -> bool,
    ) -> Result<(), Error> {
        for delegation in self.store.delegations(of, self.now()).await? {
            if which(&delegation) {
                let ended = Event::DelegationEnded {
                    from: delegation.from.clone(),
                    to: delegation.to.clone(),
                };
                let ended = act(self.now(), ended);
                self.drop_delegation(&delegation, &ended).await?;
            }
        }
        Ok(())
    }

    async fn drop_delegation(&self, delegation: &Delegation, act: &Act) -> Result<(), Error> {
        let (from, to) = (&delegation.from, &delegation.to);
        match self.store.end_delegation(from, to, act).await {
            Err(StoreError::Missing) => return Err(Error::NotFound("delegation")),
            ended => ended?,
        }
        self.follow_up().await;
        Ok(())
    }

    /// The delegations from and to `caller` that hold now, the next to end first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn delegations(&self, caller: &Caller) -> Result<Vec<Delegation>, Error> {
        Ok(self.store.delegations(&caller.name, self.now()).await?)
    }
}
