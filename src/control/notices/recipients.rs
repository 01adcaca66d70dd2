//! Whom mail goes to.

use std::collections::BTreeSet;

use super::super::{Control, Error};
use crate::access::{Caller, Principal, PrincipalKind, PrincipalName, RequestId};
use crate::notify::{Kind, Notice};
use crate::policy::Action;

impl Control {
    /// Whom a mail goes to: who may decide what is asked, who asked for what was decided.
    pub(super) async fn recipients(&self, notice: &Notice) -> Result<Vec<String>, Error> {
        let people = self.people_with_mail().await?;
        let asked = match notice.kind.asks() {
            true => self.asked_to_decide(notice.request).await?,
            false => BTreeSet::new(),
        };
        let concerned = people.into_iter().filter(|(principal, _)| {
            asked.contains(&principal.name) || self.concerns(notice, principal)
        });
        let addresses = concerned.map(|(_, email)| email);
        let all: BTreeSet<String> = addresses.chain(self.telling().recipients.clone()).collect();
        Ok(all.into_iter().collect())
    }

    fn concerns(&self, notice: &Notice, principal: &Principal) -> bool {
        let own = principal.name == notice.who;
        match notice.kind {
            Kind::BreakGlass => {
                let caller = Caller {
                    // They could.
                    mfa: true,
                    ..Caller::new(principal.clone())
                };
                !own && self.may(&caller, Action::Approve, &notice.target)
            }
            Kind::Approved | Kind::Denied | Kind::Lapsed | Kind::Extended | Kind::Revoked => {
                own && notice.by.as_deref() != Some(notice.who.as_str())
            }
            Kind::Submitted | Kind::NextStage | Kind::Escalated => false,
            Kind::Withdrawn | Kind::Expired | Kind::Test => false,
        }
    }

    /// Who may decide on a request now: those of its stage, and to whom they delegated that.
    async fn asked_to_decide(&self, request: RequestId) -> Result<BTreeSet<PrincipalName>, Error> {
        let Some(request) = self.store.request(request).await? else {
            return Ok(BTreeSet::new());
        };
        let deciders = self.deciders(&request);
        let known = self.known();
        let mut asked: BTreeSet<_> = deciders.iter().cloned().collect();
        for from in &deciders {
            let delegations = self.store.delegations(from, self.now()).await?;
            let theirs = delegations.into_iter().filter(|it| it.from == *from);
            asked.extend(theirs.map(|it| it.to).filter(|to| {
                let person = |it: &Principal| it.kind == PrincipalKind::Person;
                known.get(to).is_some_and(person)
                    && *to != request.requester
                    && !request.chain.has(to)
            }));
        }
        Ok(asked)
    }

    /// Everybody whom mail reaches, of the configuration and of the accounts.
    pub(in super::super) async fn people_with_mail(
        &self,
    ) -> Result<Vec<(Principal, String)>, Error> {
        let accounts = self.store.accounts().await?;
        let accounts = accounts.into_iter().filter_map(|account| {
            let email = account.email.clone()?;
            let active = account.disabled_at.is_none();
            active.then(|| (account.principal(), email))
        });
        let identity = self.identity.load();
        let configured = identity.directory.entries().iter().filter_map(|entry| {
            let email = entry.email.clone()?;
            Some((entry.principal.clone(), email))
        });
        Ok(configured.chain(accounts).collect())
    }
}
