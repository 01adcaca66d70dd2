//! By whose powers somebody decides: their own, and of those who delegated theirs to them.

use jiff::Timestamp;

use crate::access::{
    AccessRequest, Approver, Caller, Principal, PrincipalKind, PrincipalName, RequestState,
    TargetName, TransitionError,
};
use crate::policy::{Action, Context, Query};

use super::{Control, Error};

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

    /// What `attempt` makes of a request, by the first of their powers that lets it.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the policy lets none of them; what `access` says of the first that
    /// it lets.
    pub(super) fn decide<T>(
        &self,
        powers: &Powers,
        request: &AccessRequest,
        now: Timestamp,
        attempt: impl Fn(Approver<'_>) -> Result<T, TransitionError>,
    ) -> Result<T, Error> {
        let mut refusal = None;
        for (approver, hat) in powers.approvers() {
            // Their own is left to `access`, which says why.
            let own = approver.is_or_stands_for(&request.requester);
            if own || self.permits(hat, Action::Approve, request, now) {
                match attempt(approver) {
                    Ok(decided) => return Ok(decided),
                    Err(error) => _ = refusal.get_or_insert(error),
                }
            }
        }
        Err(refusal.map_or_else(
            || {
                Error::Forbidden(format!(
                    "you may not decide on requests for {}",
                    request.target
                ))
            },
            Error::from,
        ))
    }

    /// Whether they may approve the request now.
    pub(super) fn may_decide(&self, powers: &Powers, request: &AccessRequest) -> bool {
        let now = self.now();
        let approve = |by: Approver<'_>| request.clone().approve(by, None, now);
        request.state == RequestState::Pending && self.decide(powers, request, now, approve).is_ok()
    }

    /// Those who may approve the request now, of all whom hallpass knows, by name.
    pub(super) fn deciders(&self, request: &AccessRequest) -> Vec<PrincipalName> {
        if request.state != RequestState::Pending {
            return Vec::new();
        }
        let now = self.now();
        let may = |caller: &Caller| {
            let approved = request.clone().approve(Approver::own(caller), None, now);
            approved.is_ok() && self.permits(caller, Action::Approve, request, now)
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
