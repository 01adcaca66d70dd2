//! Delegations: somebody decides by another's powers while that one is away.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Caller, PrincipalName};

/// `to` may approve, deny and review by the powers of `from`. There is at most one between two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Delegation {
    /// Whose powers.
    pub from: PrincipalName,
    /// Who has them, too. What was delegated to `from` is not among them.
    pub to: PrincipalName,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Whether who delegated had a second factor: by their powers nobody has more than they had.
    pub mfa: bool,
}

/// Why a delegation is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DelegationError {
    /// To oneself.
    #[error("one's powers are delegated to somebody else")]
    ToOneself,
    /// It would be over at once.
    #[error("a delegation ends in the future")]
    Past,
    /// It would last for too long.
    #[error("a delegation lasts for at most {MAX_DAYS} days")]
    TooLong,
}

/// The longest delegation, in days.
const MAX_DAYS: i64 = 90;

impl Delegation {
    /// From one to another, from now on.
    ///
    /// # Errors
    /// [`DelegationError`] if they are the same, or the end is not within bounds.
    pub fn new(
        from: &Caller,
        to: PrincipalName,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Self, DelegationError> {
        if from.name == to {
            return Err(DelegationError::ToOneself);
        }
        if until <= now {
            return Err(DelegationError::Past);
        }
        if until.duration_since(now).as_hours() > MAX_DAYS * 24 {
            return Err(DelegationError::TooLong);
        }
        Ok(Self {
            from: from.name.clone(),
            to,
            since: now,
            until,
            mfa: from.mfa,
        })
    }

    /// Whether it holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Principal, PrincipalKind};
    use super::*;

    #[test]
    fn powers_go_to_somebody_else_for_a_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let new = |to: &str, until| {
            let dana = Caller::new(Principal {
                name: "dana".parse().unwrap(),
                groups: Vec::new(),
                kind: PrincipalKind::Person,
            });
            let (dana, to) = (&dana, to.parse().unwrap());
            Delegation::new(dana, to, at(until), at(10))
        };
        let lee = new("lee", 60).unwrap();
        assert!(lee.holds(at(59)) && !lee.holds(at(60)));
        assert_eq!(new("dana", 60), Err(DelegationError::ToOneself));
        assert_eq!(new("lee", 10), Err(DelegationError::Past));
        let year = 365 * 24 * 3600;
        assert_eq!(new("lee", year), Err(DelegationError::TooLong));
    }
}
