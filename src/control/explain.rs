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
        let subject = self.subject(caller, asked, administers).await?;
        let target = self.subject_target(caller, asked, administers)?;
        let query = Query {
            caller: &subject,
            action: asked.action,
            target: target.as_ref(),
            context: Context {
                now: asked.at.unwrap_or_else(|| self.now()),
                duration: asked.duration,
                reason: asked.reason.as_deref(),
                ticket: asked.ticket.as_deref(),
                requester: asked.requester.as_ref(),
                stage: asked.stage,
                extensions: asked.extensions,
            },
        };
        let people = self.known_people().await?;
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
    async fn subject(
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
            Some(name) if !oneself => Caller::new(self.known(name, asked.groups.is_some()).await?),
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
    async fn known(&self, name: &PrincipalName, invented: bool) -> Result<Principal, Error> {
        let people = self.known_people().await?;
        let found = people.into_iter().find(|it| it.name == *name);
        match found {
            Some(principal) => Ok(principal),
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

    /// Everybody who is known and not kept out: those of the configuration, and accounts.
    async fn known_people(&self) -> Result<Vec<Principal>, Error> {
        let identity = self.identity.load();
        let entries = identity.directory.entries().iter();
        let mut people: Vec<Principal> = entries.map(|it| it.principal.clone()).collect();
        let accounts = self.store.accounts().await?;
        let accounts = accounts.iter().filter(|it| it.disabled_at.is_none());
        people.extend(accounts.map(crate::access::Account::principal));
        people.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(people)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HOUR, World, caller};
    use super::*;

    fn question(action: Action, target: &str) -> Question {
        Question {
            principal: None,
            groups: None,
            mfa: None,
            address: None,
            action,
            target: (!target.is_empty()).then(|| target.parse().unwrap()),
            duration: Some(HOUR),
            at: None,
            reason: None,
            ticket: None,
            requester: None,
            stage: None,
            extensions: None,
        }
    }

    #[tokio::test]
    async fn one_is_told_what_one_may_do_and_who_could_approve() {
        let world = World::new();
        let asked = question(Action::Request, "billing");
        let found = world
            .control
            .explain(&caller("maya"), &asked)
            .await
            .unwrap();
        assert!(found.allowed);
        assert_eq!(found.policies[0].id, "engineers-request");
        let names: Vec<&str> = found.approvers.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["omar"]);
        assert!(world.audit().is_empty());
    }

    #[tokio::test]
    async fn what_others_may_do_only_administrators_are_told() {
        let world = World::new();
        let asked = Question {
            principal: Some("maya".parse().unwrap()),
            ..question(Action::Request, "billing")
        };
        for who in ["noor", "dana", "iris"] {
            let refused = world.control.explain(&caller(who), &asked).await;
            assert!(matches!(refused, Err(Error::Forbidden(_))), "{who}");
        }
        let found = world.control.explain(&caller("ada"), &asked).await.unwrap();
        assert!(found.allowed);
        let promoted = Question {
            groups: Some(vec!["engineers".into()]),
            ..question(Action::Request, "billing")
        };
        let refused = world.control.explain(&caller("sam"), &promoted).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))));
        let nobody = Question {
            principal: Some("nobody".parse().unwrap()),
            ..asked
        };
        let absent = world.control.explain(&caller("ada"), &nobody).await;
        assert!(matches!(absent, Err(Error::NotFound("principal"))));
    }

    #[tokio::test]
    async fn a_target_that_one_does_not_know_looks_as_if_it_were_not_there() {
        let world = World::new();
        let ask = async |target: &str| {
            let asked = question(Action::Request, target);
            let refused = world.control.explain(&caller("sam"), &asked).await;
            refused.unwrap_err().to_string()
        };
        assert_eq!(ask("billing").await, ask("no-such-thing").await);
        let bare = question(Action::Request, "");
        let none = world.control.explain(&caller("sam"), &bare).await;
        assert!(matches!(none, Err(Error::Invalid(_))));
    }

    #[tokio::test]
    async fn the_policies_are_read_by_administrators_and_auditors() {
        let world = World::new();
        for (who, may) in [
            ("ada", true),
            ("iris", true),
            ("maya", false),
            ("dana", false),
        ] {
            let files = world.control.policy_files(&caller(who));
            assert_eq!(files.is_ok(), may, "{who}");
        }
        let files = world.control.policy_files(&caller("ada")).unwrap();
        assert!(files[0].text.contains("engineers-request"));
    }
}
