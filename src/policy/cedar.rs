//! The engine: questions in hallpass's words, answered by Cedar.

use std::collections::HashMap;

use cedar_policy::{Authorizer, Entities, Entity, Request};
use jiff::tz::TimeZone;

use super::entities::{self, Unfit};
use super::schema::{self, SCHEMA, Type};
use super::{Decision, Policy, PolicySet, Query};
use crate::access::{Target, TargetName};

/// Policies in force. The targets are put into Cedar's words once, not for every question.
pub struct Cedar {
    set: PolicySet,
    targets: HashMap<TargetName, Entity>,
    zone: TimeZone,
    authorizer: Authorizer,
}

impl Cedar {
    /// `set` in force over `targets`; policies that go by the hour or the weekday do so in `zone`.
    pub fn new<'a>(
        set: PolicySet,
        targets: impl IntoIterator<Item = &'a Target>,
        zone: TimeZone,
    ) -> Self {
        let entity = |target: &Target| Some((target.name.clone(), entities::target(target).ok()?));
        Self {
            set,
            targets: targets.into_iter().filter_map(entity).collect(),
            zone,
            authorizer: Authorizer::new(),
        }
    }

    pub(super) fn answer(&self, query: &Query<'_>) -> Result<Decision, Unfit> {
        let caller = query.caller;
        let resource = match query.target {
            Some(target) => Type::Target.named(target.name.as_str()),
            None => schema::hallpass(),
        };
        let request = Request::new(
            Type::Principal.named(caller.name.as_str()),
            schema::action(query.action),
            resource,
            entities::circumstances(caller, &query.context, &self.zone)?,
            Some(&SCHEMA),
        )?;
        let entities = self.entities(query)?;
        let response = self
            .authorizer
            .is_authorized(&request, &self.set.policies, &entities);
        Ok(decision(&response))
    }

    /// The principal and the target, all that one question is about.
    fn entities(&self, query: &Query<'_>) -> Result<Entities, Unfit> {
        let target = match query.target {
            Some(target) => Some(match self.targets.get(&target.name) {
                Some(known) => known.clone(),
                None => entities::target(target)?,
            }),
            None => None,
        };
        let principal = entities::principal(query.caller, query.target)?;
        let all = std::iter::once(principal).chain(target);
        Ok(Entities::from_entities(all, None)?)
    }
}

impl Policy for Cedar {
    fn decide(&self, query: &Query<'_>) -> Decision {
        self.answer(query).unwrap_or_else(|error| {
            tracing::error!(action = %query.action, %error, "the policy could not be asked");
            Decision::default()
        })
    }

    fn set(&self) -> Option<&PolicySet> {
        Some(&self.set)
    }
}

/// Cedar leaves a policy out that cannot be evaluated. It might have been one that forbids, so
/// nothing is allowed while there is one.
fn decision(response: &cedar_policy::Response) -> Decision {
    let diagnostics = response.diagnostics();
    let mut failed: Vec<String> = diagnostics.errors().map(failure).collect();
    let allowed = response.decision() == cedar_policy::Decision::Allow;
    if allowed && !failed.is_empty() {
        failed.sort_unstable();
        return Decision {
            allowed: false,
            policies: failed,
        };
    }
    let mut policies: Vec<String> = diagnostics.reason().map(ToString::to_string).collect();
    policies.sort_unstable();
    Decision { allowed, policies }
}

/// The id of a policy that could not be evaluated; the log has it too.
fn failure(error: &cedar_policy::AuthorizationError) -> String {
    let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
    let policy = error.policy_id().to_string();
    tracing::error!(policy, %error, "a policy could not be evaluated: nothing is allowed by it");
    policy
}
