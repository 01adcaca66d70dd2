//! The configuration in force: what it says, and another that takes its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::reexamine::hallpass;
use super::{Control, Error, Identity, Rules, Telling};
use crate::access::{AccessRequest, Caller, Principal, Session};
use crate::audit::{ConfigurationFile, Event};
use crate::policy::Action;
use crate::store::Filter;

/// How many changes one record tells; of more it has the number.
const TOLD: usize = 200;

/// What the configuration in force says.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// Values by key, without secrets; policies by id.
    pub facts: BTreeMap<String, String>,
    /// What it was read from.
    pub files: Vec<ConfigurationFile>,
    /// Since when it is in force.
    pub since: Timestamp,
}

/// Another configuration, as far as a reload takes it up.
pub struct Reload {
    /// Targets and policy.
    pub rules: Rules,
    /// Who is who.
    pub identity: Identity,
    /// How people are told.
    pub telling: Telling,
    /// What it says.
    pub configuration: Configuration,
    /// Whether sessions end that it no longer allows.
    pub revoke: bool,
}

/// A live session, and what another policy would be asked about it.
#[derive(Debug, Clone)]
pub struct Live {
    /// The session.
    pub session: Session,
    /// What it came from.
    pub request: AccessRequest,
    /// Its holder, as they are known now.
    pub holder: Option<Principal>,
}

impl Control {
    /// The configuration in force, and the sessions that are live under it.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to all but administrators.
    pub async fn configuration(
        &self,
        caller: &Caller,
    ) -> Result<(Arc<Configuration>, Vec<Live>), Error> {
        if !self.may_overall(caller, Action::Administer) {
            let problem = "only administrators read the configuration".to_owned();
            return Err(Error::Forbidden(problem));
        }
        Ok((self.configuration.load_full(), self.live().await?))
    }

    /// What the configuration in force says.
    pub fn facts(&self) -> BTreeMap<String, String> {
        self.configuration.load().facts.clone()
    }

    async fn live(&self) -> Result<Vec<Live>, Error> {
        let open = Filter {
            open_only: true,
            ..Filter::default()
        };
        let known = self.known();
        let mut live = Vec::new();
        for session in self.store.sessions(&open).await? {
            if let Some(request) = self.store.request(session.request).await? {
                let holder = known.get(&session.principal).cloned();
                live.push(Live {
                    session,
                    request,
                    holder,
                });
            }
        }
        Ok(live)
    }

    /// Records that a configuration is about to be in force that was read from `files`.
    ///
    /// # Errors
    /// If it cannot be recorded: then it must not be.
    pub async fn announce(
        &self,
        files: Vec<ConfigurationFile>,
        mut changes: Vec<String>,
    ) -> Result<(), Error> {
        let more = changes.len().saturating_sub(TOLD);
        changes.truncate(TOLD);
        let event = Event::ConfigurationChanged {
            by: hallpass(),
            files,
            changes,
            more: u64::try_from(more).unwrap_or(u64::MAX),
        };
        Ok(self.recorder.record(&event).await?)
    }

    /// Takes up another configuration, which was announced. How many sessions it ended.
    ///
    /// # Errors
    /// If the store fails. It is in force then, too, but sessions may go on that should have ended.
    pub async fn take_up(self: &Arc<Self>, new: Reload) -> Result<usize, Error> {
        self.configuration.store(Arc::new(new.configuration));
        let told = self.replace_telling(new.telling).await;
        let ended = self.replace_rules(new.rules, new.identity, new.revoke);
        let ended = ended.await?;
        told?;
        Ok(ended)
    }
}
