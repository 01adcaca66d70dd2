//! The live sessions that a configuration would end.

use std::time::Duration;

use serde::Serialize;

use crate::access::{Caller, Principal, PrincipalName, RequestKind, SessionId, Target, TargetName};
use crate::config::{Config, OnPolicyChange};
use crate::http::types::{ConfigSummary, LiveSession};
use crate::policy::{Action, Cedar, Context, Policy, PolicySet, Query};

/// A session that would end.
#[derive(Debug, Serialize)]
pub(super) struct End {
    /// The session.
    pub(super) session: SessionId,
    /// Whose it is.
    pub(super) principal: PrincipalName,
    /// What for.
    pub(super) target: TargetName,
    /// Why.
    pub(super) why: String,
}

/// Those that `config` with these policies would end, were it in force.
pub(super) fn ends(summary: &ConfigSummary, config: &Config, policies: &PolicySet) -> Vec<End> {
    let targets = || config.targets.iter().map(|it| &it.target);
    let zone = config.access.time_zone.clone();
    let new = New {
        config,
        summary,
        policy: Cedar::new(policies.clone(), targets(), zone),
    };
    let end = |live: &LiveSession| {
        Some(End {
            session: live.id,
            principal: live.principal.clone(),
            target: live.target.clone(),
            why: new.why_it_ends(live)?,
        })
    };
    summary.sessions.iter().filter_map(end).collect()
}

/// What would be in force.
struct New<'a> {
    config: &'a Config,
    summary: &'a ConfigSummary,
    policy: Cedar,
}

impl New<'_> {
    fn why_it_ends(&self, live: &LiveSession) -> Option<String> {
        let mut targets = self.config.targets.iter().map(|it| &it.target);
        let Some(target) = targets.find(|it| it.name == live.target) else {
            return Some(format!("{} is no longer a target", live.target));
        };
        let Some(holder) = self.holder(live) else {
            return Some(format!("{} is no longer known here", live.principal));
        };
        let revokes = self.config.access.on_policy_change == OnPolicyChange::Revoke;
        let asked = revokes || holder.groups != live.groups;
        let ends = asked && !self.permits(live, holder, target);
        ends.then(|| format!("the policy no longer lets {} have it", live.principal))
    }

    /// The holder as they would be; `None` if they would be gone. Accounts stay as they are.
    fn holder(&self, live: &LiveSession) -> Option<Principal> {
        let mut principals = self.config.principals.iter().map(|it| &it.principal);
        if let Some(principal) = principals.find(|it| it.name == live.principal) {
            return Some(principal.clone());
        }
        let key = format!("principals.{}.groups", live.principal);
        let configured = self.summary.facts.contains_key(&key);
        (!configured).then(|| Principal {
            name: live.principal.clone(),
            groups: live.groups.clone(),
            kind: live.principal_kind,
        })
    }

    /// Whether it could still be asked for, as it was.
    fn permits(&self, live: &LiveSession, holder: Principal, target: &Target) -> bool {
        let caller = Caller {
            mfa: live.mfa,
            address: live.address,
            ..Caller::new(holder)
        };
        let action = match live.kind {
            RequestKind::Session => Action::Request,
            RequestKind::Extension => Action::Extend,
            RequestKind::BreakGlass => Action::BreakGlass,
        };
        let mut moments = std::iter::once(live.asked_at).chain(live.starts_at);
        moments.all(|now| {
            let context = Context {
                duration: Some(Duration::from_secs(live.seconds)),
                total: Some(Duration::from_secs(live.seconds)),
                reason: Some(&live.reason),
                ticket: live.ticket.as_deref(),
                requester: Some(&live.principal),
                ..Context::at(now)
            };
            let query = Query {
                caller: &caller,
                action,
                target: Some(target),
                context,
            };
            self.policy.decide(&query).allowed
        })
    }
}
