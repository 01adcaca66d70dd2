//! By whose powers somebody decides: their own, and of those who delegated theirs to them.

use std::time::Duration;

use jiff::Timestamp;

use crate::access::{
    AccessRequest, Approver, Caller, Principal, PrincipalKind, PrincipalName, RequestState,
    TargetName, TransitionError,
};
use crate::policy::{Action, Context, Query};

use super::submit::SHORTER;
use super::{Control, Error};

/// The shortest that an approver may make a request.
pub(super) const SHORTEST: Duration = Duration::from_secs(1);

/// Somebody, and all whose powers they have, themselves first.
pub(super) struct Powers {
    by: PrincipalName,
    hats: Vec<Caller>,
}

impl Powers {
    pub(super) fn approvers(&self) -> impl Iterator<Item = (Approver<'_>, &Caller)> {
        let approver = |hat| Approver {
            by: &self.by,
            powers: hat,
        };
        self.hats.iter().map(move |hat| (approver(&**hat), hat))
    }
}

impl Control {
    /// Whose powers `caller` has now. What was delegated to those is not among them, nor are the
    /// powers of who is no longer there.
    pub(super) async fn powers(&self, caller: &Caller) -> Result<Powers, Error> {
        let delegations = self.store.delegations(&caller.name, self.now()).await?;
        let known = self.known();
        let to_caller = delegations.iter().filter(|it| it.to == caller.name);
        let person = caller.kind == PrincipalKind::Person;
        let to_caller = to_caller.filter(|_| person);
        let others = to_caller.filter_map(|it| known.get(&it.from).map(|from| (from, it.mfa)));
        let hat = |(from, mfa): (&Principal, bool)| Caller {
            principal: from.clone(),
            mfa: caller.mfa && mfa,
            ..caller.clone()
        };
        Ok(Powers {
            by: caller.name.clone(),
            hats: std::iter::once(caller.clone())
                .chain(others.map(hat))
                .collect(),
        })
    }

    /// Whether they may do this with the target, by any of their powers.
    pub(super) fn any_may(&self, powers: &Powers, action: Action, target: &TargetName) -> bool {
        let mut hats = powers.hats.iter();
        hats.any(|hat| self.may(hat, action, target))
    }

    /// What `attempt` makes of a request, by the first of their powers that `may`.
    ///
    /// # Errors
    /// What `access` says of the first that may; `None` if none of them may.
    pub(super) fn decide<T>(
        &self,
        powers: &Powers,
        request: &AccessRequest,
        may: impl Fn(&Caller) -> bool,
        attempt: impl Fn(Approver<'_>) -> Result<T, TransitionError>,
    ) -> Result<T, Option<TransitionError>> {
        let mut refusal = None;
        for (approver, hat) in powers.approvers() {
            // Their own is left to `access`, which says why.
            let own = approver.is_or_stands_for(&request.requester);
            if own || may(hat) {
                match attempt(approver) {
                    Ok(decided) => return Ok(decided),
                    Err(error) => _ = refusal.get_or_insert(error),
                }
            }
        }
        Err(refusal)
    }

    /// Whether they may approve the request now.
    pub(super) fn may_decide(&self, powers: &Powers, request: &AccessRequest) -> bool {
        let now = self.now();
        let may = |hat: &Caller| self.may_approve(hat, request, now);
        let approve = |by: Approver<'_>| request.clone().approve(by, None, now);
        request.state == RequestState::Pending && self.decide(powers, request, may, approve).is_ok()
    }

    /// Whether the policy lets `caller` approve the request, as it is or shortened.
    pub(super) fn may_approve(
        &self,
        caller: &Caller,
        request: &AccessRequest,
        now: Timestamp,
    ) -> bool {
        let permits = |request| self.permits(caller, Action::Approve, request, now);
        permits(request) || permits(&request.shortened(SHORTEST))
    }

    /// The longest, of a few, for which they may approve the request, which they may not as it is.
    pub(super) fn approvable_length(
        &self,
        powers: &Powers,
        request: &AccessRequest,
        now: Timestamp,
    ) -> Option<Duration> {
        let mut lengths = SHORTER.map(Duration::from_secs).into_iter();
        lengths.find(|&length| {
            let shorter = request.shortened(length);
            let mut hats = powers.hats.iter();
            length < request.granted_duration()
                && hats.any(|hat| self.permits(hat, Action::Approve, &shorter, now))
        })
    }

    /// Those who may approve the request now, of all whom hallpass knows, by name.
    pub(super) fn deciders(&self, request: &AccessRequest) -> Vec<PrincipalName> {
        if request.state != RequestState::Pending {
            return Vec::new();
        }
        let now = self.now();
        let may = |caller: &Caller| {
            let approved = request.clone().approve(Approver::own(caller), None, now);
            approved.is_ok() && self.may_approve(caller, request, now)
        };
        let caller = |principal| Caller {
            // They could.
            mfa: true,
            ..Caller::new(principal)
        };
        let known = self.known();
        let all = known.values().cloned().map(caller);
        let mut names: Vec<_> = all.filter(may).map(|it| it.name.clone()).collect();
        names.sort();
        names
    }

    /// Whether the policy lets `caller` do this to the request, at `now`.
    pub(super) fn permits(
        &self,
        caller: &Caller,
        action: Action,
        request: &AccessRequest,
        now: Timestamp,
    ) -> bool {
        self.judge(caller, action, request, now).is_some()
    }

    /// The policies that let `caller` do this to the request, at `now`; `None` if they do not.
    pub(super) fn judge(
        &self,
        caller: &Caller,
        action: Action,
        request: &AccessRequest,
        now: Timestamp,
    ) -> Option<Vec<String>> {
        let rules = self.rules.load();
        let stage = request.chain.current().map(|(number, _)| number);
        let query = Query {
            caller,
            action,
            target: Some(rules.targets.get(&request.target)?),
            context: Context {
                now,
                duration: Some(request.granted_duration()),
                total: Some(request.total_duration()),
                reason: Some(&request.reason),
                ticket: request.ticket.as_deref(),
                requester: Some(&request.requester),
                stage,
                extensions: request.circumstances.extensions,
            },
        };
        let decision = rules.decide(&query);
        decision.allowed.then_some(decision.policies)
    }
}
