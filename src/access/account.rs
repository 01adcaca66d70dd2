//! Accounts: the people and services that the store knows, besides those of the configuration.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Principal, PrincipalKind, PrincipalName};

/// Guesses that cost nothing but the time that they take.
const FREE: u32 = 5;
/// How long an account is locked after the guess that used those up; each more doubles it.
const LOCK: Duration = Duration::from_secs(30);
/// The longest that it is locked at a time.
const LONGEST_LOCK: Duration = Duration::from_secs(15 * 60);

/// How somebody of an account proves who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// A person, with a password that is kept here.
    Local,
    /// A person, whom an OpenID provider vouches for.
    Oidc,
    /// A service, with tokens that somebody made for it.
    Service,
    /// A service, with tokens that it gets for those of its CI provider.
    Workload,
}

impl AccountKind {
    /// Every kind there is.
    pub const ALL: [Self; 4] = [Self::Local, Self::Oidc, Self::Service, Self::Workload];

    /// Its name, as the store and the API write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Oidc => "oidc",
            Self::Service => "service",
            Self::Workload => "workload",
        }
    }

    /// Whether it stands for a person.
    pub fn is_person(self) -> bool {
        matches!(self, Self::Local | Self::Oidc)
    }
}

/// A person or service that the store knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Who. No two accounts differ in case alone.
    pub name: PrincipalName,
    /// How they prove it.
    pub kind: AccountKind,
    /// Their groups: as an administrator set them, or as the provider said at the last sign-in.
    pub groups: Vec<String>,
    /// Where they are written to.
    pub email: Option<String>,
    /// Who they are to their provider: issuer and subject. Of `Oidc` and `Workload` alone, and
    /// there, too, nobody while the name waits for the next whom the provider calls so.
    pub subject: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// Their last sign-in.
    pub seen_at: Option<Timestamp>,
    /// Since when they may do nothing any more.
    pub disabled_at: Option<Timestamp>,
    /// Whether they have a second factor here.
    pub totp: bool,
    /// Until when wrong guesses keep everybody out who would sign in to it.
    pub locked_until: Option<Timestamp>,
}

impl Account {
    /// A new account, of which nothing is known yet but this.
    pub fn new(
        name: PrincipalName,
        groups: Vec<String>,
        kind: AccountKind,
        now: Timestamp,
    ) -> Self {
        Self {
            name,
            kind,
            groups,
            email: None,
            subject: None,
            created_at: now,
            seen_at: None,
            disabled_at: None,
            totp: false,
            locked_until: None,
        }
    }

    /// The principal that the account stands for.
    pub fn principal(&self) -> Principal {
        Principal {
            name: self.name.clone(),
            groups: self.groups.clone(),
            kind: match self.kind.is_person() {
                true => PrincipalKind::Person,
                false => PrincipalKind::Service,
            },
        }
    }
}

/// How long an account is locked by its `failures`th wrong guess in a row.
pub fn lock(failures: u32) -> Option<Duration> {
    let doublings = failures.checked_sub(FREE)?.min(16);
    Some((LOCK * 2u32.pow(doublings)).min(LONGEST_LOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_cost_more_and_more_up_to_a_bound() {
        let seconds = |failures| lock(failures).map(|it| it.as_secs());
        assert_eq!(seconds(1), None);
        assert_eq!(seconds(4), None);
        assert_eq!(seconds(5), Some(30));
        assert_eq!(seconds(6), Some(60));
        assert_eq!(seconds(7), Some(120));
        assert_eq!(seconds(10), Some(900));
        assert_eq!(seconds(u32::MAX), Some(900));
    }

    #[test]
    fn each_kind_is_written_as_it_is_called() {
        for kind in AccountKind::ALL {
            let json = serde_json::to_value(kind).unwrap();
            assert_eq!(json, kind.name());
        }
    }
}
