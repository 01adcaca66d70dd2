//! Why something may or may not be done, by which policies, and who could approve it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Action, Context, Decision, Policy, PolicyNote, PolicySet, Query};
use crate::access::{Caller, Principal, PrincipalKind, Target};

/// Durations that are tried, to say what would be granted instead.
const SHORTER: [u64; 12] = [
    7 * 86_400,
    3 * 86_400,
    86_400,
    43_200,
    28_800,
    14_400,
    7_200,
    3_600,
    1_800,
    900,
    600,
    300,
];

/// Whether something may be done, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Explanation {
    /// Whether it may be done.
    pub allowed: bool,
    /// The policies that make it so; none if it is refused because none allows it.
    pub policies: Vec<PolicyNote>,
    /// Of what is refused: what would be allowed instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
    /// Of a request or an extension that may be asked for: whether it needs nobody's approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<Alone>,
    /// Of a request or an extension that may be asked for: who could approve it, as far as known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<Approver>,
}

/// Whether it needs nobody's approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Alone {
    /// Whether it is granted without one.
    pub allowed: bool,
    /// The policies that make it so.
    pub policies: Vec<PolicyNote>,
}

/// Who could approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Approver {
    /// A principal's name, or a group's with an `@` before it.
    pub name: String,
    /// Whether only with a second factor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_mfa: bool,
}

/// Explains the answer to `query`; `people` are the principals who might approve.
pub fn explain(policy: &dyn Policy, query: &Query<'_>, people: &[Principal]) -> Explanation {
    let decision = policy.decide(query);
    let instead = match decision.allowed {
        true => None,
        false => granted_instead(policy, query),
    };
    let alone = query.action.alone().filter(|_| decision.allowed);
    let approvers = alone.map(|_| approvers(policy, query, people));
    let alone = alone.map(|action| {
        let decision = policy.decide(&Query { action, ..*query });
        Alone {
            allowed: decision.allowed,
            policies: notes(policy, &decision),
        }
    });
    Explanation {
        allowed: decision.allowed,
        policies: notes(policy, &decision),
        instead,
        alone,
        approvers: approvers.unwrap_or_default(),
    }
}

/// What would be allowed instead of `query`, which is refused: less time, or with a second factor.
pub fn granted_instead(policy: &dyn Policy, query: &Query<'_>) -> Option<String> {
    let with_mfa = Caller {
        mfa: true,
        ..query.caller.clone()
    };
    let asked = query.context.duration;
    let durations = SHORTER.map(Duration::from_secs).into_iter();
    let shorter = durations.filter(|it| asked.is_some_and(|asked| *it < asked));
    let tried = std::iter::once(asked).chain(shorter.map(Some));
    for duration in tried {
        for caller in [query.caller, &with_mfa] {
            let context = query.context.lasting(duration);
            let other = Query {
                caller,
                context,
                ..*query
            };
            if policy.decide(&other).allowed {
                let shorter = duration.filter(|_| duration != asked);
                return in_words(shorter, caller.mfa && !query.caller.mfa);
            }
        }
    }
    None
}

fn in_words(shorter: Option<Duration>, mfa: bool) -> Option<String> {
    let most = shorter.map(|it| format!("up to {}", humantime::format_duration(it)));
    let mfa = mfa.then(|| "with a second factor".to_owned());
    let words: Vec<String> = most.into_iter().chain(mfa).collect();
    (!words.is_empty()).then(|| words.join(" and "))
}

/// What people are told of the policies that decided.
fn notes(policy: &dyn Policy, decision: &Decision) -> Vec<PolicyNote> {
    let ids = decision.policies.iter();
    let set = policy.set();
    ids.filter_map(|id| set?.note(id).cloned()).collect()
}

/// The groups first, then those who could approve without being in one of these.
fn approvers(policy: &dyn Policy, query: &Query<'_>, people: &[Principal]) -> Vec<Approver> {
    let Some(target) = query.target else {
        return Vec::new();
    };
    let groups = groups(policy.set(), target, people);
    let groups = groups.into_iter().filter_map(|group| {
        let found = could(policy, query, member(&group)?)?;
        Some((group, found))
    });
    let groups: Vec<(String, Approver)> = groups.collect();
    let named = |group: &String| groups.iter().any(|(it, _)| it == group);
    let alone = people.iter().filter(|it| !it.groups.iter().any(named));
    let alone = alone.filter_map(|person| could(policy, query, person.clone()));
    let alone: Vec<Approver> = alone.collect();
    groups.into_iter().map(|it| it.1).chain(alone).collect()
}

/// Whether `principal` could approve what `query` asks for.
fn could(policy: &dyn Policy, query: &Query<'_>, principal: Principal) -> Option<Approver> {
    let name = principal.name.to_string();
    let mut caller = Caller::new(principal);
    for with_mfa in [false, true] {
        caller.mfa = with_mfa;
        let context = Context {
            requester: Some(&query.caller.name),
            ..query.context
        };
        let asked = Query {
            caller: &caller,
            action: Action::Approve,
            target: query.target,
            context,
        };
        if policy.decide(&asked).allowed {
            return Some(Approver { name, with_mfa });
        }
    }
    None
}

/// Somebody of whom nothing is known but the group. No principal is called so: `@` is only in the
/// middle of an address.
fn member(group: &str) -> Option<Principal> {
    Some(Principal {
        name: format!("@{group}").parse().ok()?,
        groups: vec![group.to_owned()],
        kind: PrincipalKind::Person,
    })
}

/// The groups that policies, owners or people name.
fn groups(set: Option<&PolicySet>, target: &Target, people: &[Principal]) -> Vec<String> {
    let mut groups = set.map(PolicySet::groups).unwrap_or_default();
    let owners = target.owners.iter().filter_map(|it| it.strip_prefix('@'));
    groups.extend(owners.map(str::to_owned));
    groups.extend(people.iter().flat_map(|person| person.groups.clone()));
    groups.sort_unstable();
    groups.dedup();
    groups
}
