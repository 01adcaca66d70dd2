//! The chain of an approval: stages, one after the other, and who has approved so far.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Principal, PrincipalName, after};

/// One stage of an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Principals and `@groups` that may approve in it, if the policy lets them too; empty:
    /// anybody whom the policy lets.
    #[serde(default)]
    pub approvers: Vec<String>,
    /// How many of them it takes.
    pub count: u32,
    /// After how long in this stage others may approve, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate_after: Option<Duration>,
    /// Those others: principals and `@groups`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalate_to: Vec<String>,
}

impl Stage {
    /// One approval, by anybody whom the policy lets.
    pub fn open() -> Self {
        Self {
            approvers: Vec::new(),
            count: 1,
            escalate_after: None,
            escalate_to: Vec::new(),
        }
    }

    fn names(&self, principal: &Principal, escalated: bool) -> bool {
        self.approvers.is_empty()
            || principal.is_among(&self.approvers)
            || (escalated && principal.is_among(&self.escalate_to))
    }
}

/// Somebody's yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Approval {
    /// Who said it.
    pub by: PrincipalName,
    /// Who had delegated that to them, if they did it by another's powers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<PrincipalName>,
    /// In which stage, from 1.
    pub stage: u32,
    /// When.
    pub at: Timestamp,
    /// For how long at most, in seconds, if they shortened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

impl Approval {
    /// Whether `person` said it, or it was said by their powers.
    fn is_of(&self, person: &PrincipalName) -> bool {
        self.by == *person || self.on_behalf_of.as_ref() == Some(person)
    }
}

/// The stages of a request as they were when it was submitted, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chain {
    /// The stages, at least one.
    pub stages: Vec<Stage>,
    /// Who has approved, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// When the stage that it is in began.
    pub stage_began_at: Timestamp,
    /// Whether it is on record that this stage escalated.
    pub escalated: bool,
}

impl Default for Chain {
    fn default() -> Self {
        Self::begin(&[], Timestamp::UNIX_EPOCH)
    }
}

impl Chain {
    /// These stages, the first of which begins now; without any, a single one that is open to
    /// anybody whom the policy lets.
    pub fn begin(stages: &[Stage], now: Timestamp) -> Self {
        let stages = match stages {
            [] => vec![Stage::open()],
            stages => stages.to_vec(),
        };
        Self {
            stages,
            approvals: Vec::new(),
            stage_began_at: now,
            escalated: false,
        }
    }

    /// The stage that it is in, and its number, from 1; `None` once the last one is full.
    pub fn current(&self) -> Option<(u32, &Stage)> {
        let numbered = (1..).zip(&self.stages);
        numbered
            .into_iter()
            .find(|(number, stage)| self.given(*number) < stage.count as usize)
    }

    /// How many have approved in a stage.
    pub fn given(&self, stage: u32) -> usize {
        let in_stage = |approval: &&Approval| approval.stage == stage;
        self.approvals.iter().filter(in_stage).count()
    }

    /// Whether the last stage is full.
    pub fn is_full(&self) -> bool {
        self.current().is_none()
    }

    /// When its stage escalates, if it does and that has not been noted.
    pub fn escalates_at(&self) -> Option<Timestamp> {
        let (_, stage) = self.current()?;
        let wait = stage.escalate_after.filter(|_| !self.escalated)?;
        Some(after(self.stage_began_at, wait))
    }

    /// Whether those to whom its stage escalates may decide by now.
    pub fn is_escalated(&self, now: Timestamp) -> bool {
        self.escalated || self.escalates_at().is_some_and(|at| at <= now)
    }

    /// Those who may approve now, as principals and `@groups`; none: whom the policy lets.
    pub fn approvers(&self, now: Timestamp) -> Vec<String> {
        let Some((_, stage)) = self.current() else {
            return Vec::new();
        };
        let escalated = self.is_escalated(now) && !stage.approvers.is_empty();
        let more = stage.escalate_to.iter().filter(|_| escalated);
        stage.approvers.iter().chain(more).cloned().collect()
    }

    /// Whether its stage names `principal`, or is open to all.
    pub fn names(&self, principal: &Principal, now: Timestamp) -> bool {
        let escalated = self.is_escalated(now);
        self.current()
            .is_some_and(|(_, stage)| stage.names(principal, escalated))
    }

    /// Whether `person` has approved, or somebody by their powers.
    pub fn has(&self, person: &PrincipalName) -> bool {
        self.approvals.iter().any(|approval| approval.is_of(person))
    }

    /// Whether it was `person` whose approval made that stage full.
    pub fn was_filled_by(&self, person: &PrincipalName, stage: u32) -> bool {
        let needed = self.stages.get(stage.saturating_sub(1) as usize);
        let mut given = self.approvals.iter().filter(|it| it.stage == stage);
        let last = needed.and_then(|it| (it.count as usize).checked_sub(1));
        let last = last.and_then(|last| given.nth(last));
        last.is_some_and(|it| it.by == *person)
    }

    /// With one more approval; the next stage begins if this one is full now.
    pub(super) fn add(&mut self, approval: Approval) {
        let (stage, now) = (approval.stage, approval.at);
        self.approvals.push(approval);
        if self.current().is_none_or(|(number, _)| number != stage) {
            self.stage_began_at = now;
            self.escalated = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(name: &str, group: &str) -> Principal {
        Principal {
            name: name.parse().unwrap(),
            groups: vec![group.to_owned()],
            kind: super::super::PrincipalKind::Person,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn chain() -> Chain {
        let owners = Stage {
            approvers: vec!["@owners".into()],
            count: 2,
            escalate_after: Some(Duration::from_secs(60)),
            escalate_to: vec!["lee".into()],
        };
        let last = Stage {
            approvers: vec!["dana".into()],
            ..Stage::open()
        };
        Chain::begin(&[owners, last], at(0))
    }

    fn approval(by: &str, stage: u32, second: i64) -> Approval {
        Approval {
            by: by.parse().unwrap(),
            on_behalf_of: None,
            stage,
            at: at(second),
            seconds: None,
        }
    }

    #[test]
    fn a_stage_is_open_to_those_it_names_and_later_to_those_it_escalates_to() {
        let (owner, lee, dana) = (
            principal("omar", "owners"),
            principal("lee", "leads"),
            principal("dana", "leads"),
        );
        let chain = chain();
        assert!(chain.names(&owner, at(0)) && !chain.names(&dana, at(1000)));
        assert!(!chain.names(&lee, at(59)) && chain.names(&lee, at(60)));
        assert_eq!(chain.approvers(at(60)), ["@owners", "lee"]);
        assert!(Chain::begin(&[], at(0)).names(&dana, at(0)));
    }

    #[test]
    fn the_next_stage_begins_when_one_is_full_and_its_clock_with_it() {
        let mut chain = chain();
        chain.add(approval("omar", 1, 10));
        assert_eq!(chain.current().unwrap().0, 1);
        assert_eq!(chain.escalates_at(), Some(at(60)));
        chain.escalated = true;
        let filled_by = |chain: &Chain, who: &str| chain.was_filled_by(&who.parse().unwrap(), 1);
        assert!(!filled_by(&chain, "omar"));
        chain.add(approval("olga", 1, 70));
        assert!(filled_by(&chain, "olga") && !filled_by(&chain, "omar"));
        assert_eq!(chain.current().unwrap().0, 2);
        assert_eq!((chain.stage_began_at, chain.escalated), (at(70), false));
        assert_eq!(chain.escalates_at(), None);
        chain.add(approval("dana", 2, 80));
        assert!(chain.is_full());
        assert!(!chain.names(&principal("dana", "leads"), at(80)));
    }
}
