//! Sessions under other rules than those that they were granted under.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::access::{Ending, HALLPASS, Principal, PrincipalName, Session};
use crate::identity::Directory;
use crate::store::{Change, Filter, StoreError};

use super::expire::ended;
use super::{Control, Error, Identity, Rules, act, to_the_end};

/// What is still to be done about principals of the configuration that have changed.
#[derive(Default)]
pub(super) struct Owed {
    /// Others than they were: their sessions are to be looked at.
    changed: HashSet<PrincipalName>,
    /// There now, and not before, or the other way round.
    passed: HashSet<PrincipalName>,
}

impl Owed {
    fn note(&mut self, before: &Directory, now: &Directory) {
        for Principal { name, .. } in before.principals().chain(now.principals()) {
            let principal = |it: &Directory| it.named(name.as_str()).map(|it| it.principal.clone());
            let (before, now) = (principal(before), principal(now));
            if before.is_some() != now.is_some() {
                self.passed.insert(name.clone());
            }
            if before != now {
                self.changed.insert(name.clone());
            }
        }
    }
}

impl Control {
    /// Replaces targets, policy and who is who, and ends the sessions of those who are no longer
    /// there or no longer in the groups that they were in, if they may no longer have them, and
    /// those for targets that are gone; with `revoke`, all sessions that may no longer be. How many
    /// it ended.
    ///
    /// # Errors
    /// If the store fails; what could be ended is.
    pub async fn replace_rules(
        self: &Arc<Self>,
        rules: Rules,
        identity: Identity,
        revoke: bool,
    ) -> Result<usize, Error> {
        let rules = Arc::new(rules);
        self.rules.store(Arc::clone(&rules));
        let before = self.identity.swap(Arc::new(identity));
        // What fails is done again with the next reload, to which nothing has changed any more.
        let mut owed = self.owed.lock().await;
        owed.note(&before.directory, &self.identity.load().directory);
        let old = self.known();
        self.pass_names_on(&owed).await?;
        self.look_around().await?;
        let new = self.known();
        let changed = |name: &&PrincipalName| old.get(*name) != new.get(*name);
        owed.changed
            .extend(old.keys().chain(new.keys()).filter(changed).cloned());
        let ended = self
            .review_some(|session| {
                let (name, target) = (&session.principal, &session.target);
                revoke || owed.changed.contains(name) || !rules.targets.contains_key(target)
            })
            .await?;
        *owed = Owed::default();
        Ok(ended)
    }

    /// Names of accounts that the configuration has taken, or given back, are somebody else's now.
    async fn pass_names_on(&self, owed: &Owed) -> Result<(), Error> {
        for name in &owed.passed {
            if let Some(account) = self.store.account(name.as_str()).await? {
                self.pass_on(&account.name, &hallpass()).await?;
            }
        }
        Ok(())
    }

    /// Asks the policy again for every live session, or those of one holder, as it was asked when
    /// they were requested, and ends in the name of hallpass what it no longer permits. How many.
    ///
    /// # Errors
    /// If the store fails; what could be ended is.
    pub async fn review_sessions(
        self: &Arc<Self>,
        holder: Option<&PrincipalName>,
    ) -> Result<usize, Error> {
        self.review_some(|session| holder.is_none_or(|holder| *holder == session.principal))
            .await
    }

    async fn review_some(
        self: &Arc<Self>,
        concerned: impl Fn(&Session) -> bool,
    ) -> Result<usize, Error> {
        let live = Filter {
            open_only: true,
            ..Filter::default()
        };
        let (mut count, mut failed) = (0, None);
        for session in self.store.sessions(&live).await? {
            if !concerned(&session) {
                continue;
            }
            let control = Arc::clone(self);
            let ended = to_the_end(async move { control.reexamine(session).await }).await;
            match ended {
                Ok(ended) => count += usize::from(ended),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(count), Err)
    }

    async fn reexamine(&self, session: Session) -> Result<bool, Error> {
        match self.holds_rightly(&session, None).await? {
            Ok(()) => Ok(false),
            Err(why) => self.end_unpermitted(session, &why).await,
        }
    }

    /// Whether what the session came from may still be asked for, and be had from `begins` on, if
    /// it is about to begin; why not.
    pub(super) async fn holds_rightly(
        &self,
        session: &Session,
        begins: Option<Timestamp>,
    ) -> Result<Result<(), String>, Error> {
        let request = self.store.request(session.request).await?;
        Ok(request.map_or(Ok(()), |request| self.still_permitted(&request, begins)))
    }

    /// Ends a session that the rules no longer allow. Whether that was needed.
    pub(super) async fn end_unpermitted(&self, old: Session, why: &str) -> Result<bool, Error> {
        let done = self.end_for(old, &hallpass(), why).await?;
        self.follow_up().await;
        Ok(done)
    }

    /// Ends a session in somebody's name, whatever else becomes of it at the same time. Whether
    /// that was needed. The audit is still owed it.
    pub(super) async fn end_for(
        &self,
        mut old: Session,
        by: &PrincipalName,
        why: &str,
    ) -> Result<bool, Error> {
        loop {
            let now = self.now();
            let Some(new) = old.clone().revoke(by.clone(), why, now) else {
                return Ok(false);
            };
            let change = Change::moves_session(new.clone(), act(now, ended(&new)));
            let done = self.commit(&change).await;
            let ending = Ending::Revoked {
                by: by.clone(),
                reason: why.to_owned(),
            };
            // Even if that could not be stored.
            self.gate.end(&new, ending);
            match done {
                // It was extended, or began, meanwhile.
                Err(StoreError::Conflict(_)) => match self.store.session(old.id).await? {
                    Some(now) => old = now,
                    None => return Ok(false),
                },
                Err(error) => return Err(Error::NotStored(error)),
                Ok(()) => {
                    tracing::info!(session_id = %new.id, target = %new.target, principal = %new.principal, why, "session ended");
                    return Ok(true);
                }
            }
        }
    }
}

/// hallpass itself.
pub(super) fn hallpass() -> PrincipalName {
    HALLPASS.parse().expect("it is a valid name")
}
