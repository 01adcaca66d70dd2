//! Somebody wants to know what the policies say, and why.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use super::people::must_have;
use super::{Control, Error};
use crate::access::{Caller, Principal, PrincipalKind, PrincipalName, Right, Target, TargetName};
use crate::policy::{Action, Context, Explanation, PolicyFile, PolicySet, Query, explain};

/// What somebody wants explained: all that a policy may go by.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who wants to do it; `None`: the caller.
    pub principal: Option<PrincipalName>,
    /// In these groups; `None`: in those that they are in.
    pub groups: Option<Vec<String>>,
    /// Whether with a second factor; `None`: of the caller as they are, of others without.
    pub mfa: Option<bool>,
    /// From where; `None`: of the caller from where they call.
    pub address: Option<IpAddr>,
    /// What they want to do.
    pub action: Action,
    /// With which target.
    pub target: Option<TargetName>,
    /// For how long.
    pub duration: Option<Duration>,
    /// How long the session would be altogether; `None`: as long as `duration`.
    pub total: Option<Duration>,
    /// When; `None`: now.
    pub at: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// The ticket that the reason names.
    pub ticket: Option<String>,
    /// Whose request, session or review it is.
    pub requester: Option<PrincipalName>,
    /// Which stage of the approval, from 1.
    pub stage: Option<u32>,
    /// How often the session has been extended.
    pub extensions: Option<u32>,
}

impl Control {
    /// What the policies say, why, and who could approve. Nothing is done, and nothing is recorded.
    ///
    /// # Errors
    /// [`Error::Forbidden`] about others than the caller, to all but administrators;
    /// [`Error::NotFound`] of a principal or a target that is not there, or that the caller does
    /// not know of; [`Error::Invalid`] if the action goes with a target and there is none, or the
    /// other way round.
    pub async fn explain(&self, caller: &Caller, asked: &Question) -> Result<Explanation, Error> {
        must_have(caller, Right::Read)?;
        let administers = self.may_overall(caller, Action::Administer);
        let subject = self.subject(caller, asked, administers)?;
        let target = self.subject_target(caller, asked, administers)?;
        let query = Query {
            caller: &subject,
            action: asked.action,
            target: target.as_ref(),
            context: Context {
                now: asked.at.unwrap_or_else(|| self.now()),
                duration: asked.duration,
                total: asked.total.or(asked.duration),
                reason: asked.reason.as_deref(),
                ticket: asked.ticket.as_deref(),
                requester: asked.requester.as_ref(),
                stage: asked.stage,
                extensions: asked.extensions,
            },
        };
        let mut people: Vec<Principal> = self.known().values().cloned().collect();
        people.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(explain(&*self.rules.load().policy, &query, &people))
    }

    /// The policies in force, as they are written.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to all but administrators and auditors.
    pub fn policy_files(&self, caller: &Caller) -> Result<Vec<PolicyFile>, Error> {
        let readers = [Action::Administer, Action::ReadAudit];
        if !readers.iter().any(|it| self.may_overall(caller, *it)) {
            let problem = "only administrators and auditors read the policies".to_owned();
            return Err(Error::Forbidden(problem));
        }
        let rules = self.rules.load();
        let files = rules.policy.set().map(PolicySet::files);
        Ok(files.unwrap_or_default().to_vec())
    }

    /// Who it is about: the caller, or for administrators anybody.
    fn subject(
        &self,
        caller: &Caller,
        asked: &Question,
        administers: bool,
    ) -> Result<Caller, Error> {
        let oneself = asked.principal.as_ref().is_none_or(|it| *it == caller.name);
        let may = administers || (oneself && asked.groups.is_none());
        if !may {
            let problem = "only administrators have explained what others may do".to_owned();
            return Err(Error::Forbidden(problem));
        }
        let mut subject = match &asked.principal {
            Some(name) if !oneself => {
                Caller::new(self.subject_called(name, asked.groups.is_some())?)
            }
            _ => caller.clone(),
        };
        // What they come with narrows what they may do; policies do not go by it.
        subject.scope = None;
        subject.mfa = asked.mfa.unwrap_or(subject.mfa);
        subject.address = asked.address.or(subject.address);
        if let Some(groups) = &asked.groups {
            subject.principal.groups.clone_from(groups);
        }
        Ok(subject)
    }

    /// The principal of this name; one that is not there only where its groups are given.
    fn subject_called(&self, name: &PrincipalName, invented: bool) -> Result<Principal, Error> {
        match self.known().get(name) {
            Some(principal) => Ok(principal.clone()),
            None if invented => Ok(Principal {
                name: name.clone(),
                groups: Vec::new(),
                kind: PrincipalKind::Person,
            }),
            None => Err(Error::NotFound("principal")),
        }
    }

    fn subject_target(
        &self,
        caller: &Caller,
        asked: &Question,
        administers: bool,
    ) -> Result<Option<Target>, Error> {
        let action = asked.action;
        let name = match (&asked.target, action.has_target()) {
            (Some(name), true) => name,
            (None, false) => return Ok(None),
            (None, true) => {
                let problem = format!("{action} is done with a target: say which");
                return Err(Error::Invalid(problem));
            }
            (Some(_), false) => {
                let problem = format!("{action} concerns hallpass as a whole: name no target");
                return Err(Error::Invalid(problem));
            }
        };
        let shown = [
            Action::Request,
            Action::BreakGlass,
            Action::View,
            Action::Approve,
        ];
        let knows = administers || shown.iter().any(|it| self.may(caller, *it, name));
        let rules = self.rules.load();
        let target = rules.targets.get(name).filter(|_| knows);
        target.cloned().map(Some).ok_or(Error::NotFound("target"))
    }
}
