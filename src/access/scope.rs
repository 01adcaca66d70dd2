//! What a token lets its bearer do, of what its owner may.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::schema::written;

/// One kind of thing that may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// See what its owner sees.
    Read,
    /// Ask for access, and use it: submit, withdraw, extend, connect, give back.
    Request,
    /// Decide on what others ask for, close reviews, end others' sessions.
    Approve,
    /// Read the audit, and hold records in it.
    Audit,
    /// Say who there is.
    Administer,
}

impl Right {
    const ALL: [Self; 5] = [
        Self::Read,
        Self::Request,
        Self::Approve,
        Self::Audit,
        Self::Administer,
    ];

    /// Its name, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Request => "request",
            Self::Approve => "approve",
            Self::Audit => "audit",
            Self::Administer => "administer",
        }
    }
}

/// Nobody knows what that scope would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no scope: it is one or more of read, request, approve, audit, administer, with commas between"
)]
pub struct UnknownScope(String);

/// What a token lets its bearer do: one thing at least, each once, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Scope(Vec<Right>);

written!(
    Scope,
    "^(read|request|approve|audit|administer)(,(read|request|approve|audit|administer))*$",
    "read,request"
);

impl Scope {
    /// Just these.
    pub fn of(rights: &[Right]) -> Self {
        let mut rights = rights.to_vec();
        rights.sort_unstable();
        rights.dedup();
        Self(rights)
    }

    /// Whether it lets its bearer do this.
    pub fn has(&self, right: Right) -> bool {
        self.0.contains(&right)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|right| right.name()).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let rights = text.split([',', ' ']).filter(|word| !word.is_empty());
        let rights: Vec<Right> = rights.map(right).collect::<Result<_, _>>()?;
        match rights.is_empty() {
            true => Err(UnknownScope(text.chars().take(64).collect())),
            false => Ok(Self::of(&rights)),
        }
    }
}

fn right(word: &str) -> Result<Right, UnknownScope> {
    let mut known = Right::ALL.into_iter();
    let found = known.find(|right| right.name() == word);
    found.ok_or_else(|| UnknownScope(word.chars().take(64).collect()))
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl TryFrom<String> for Scope {
    type Error = UnknownScope;

    fn try_from(text: String) -> Result<Self, UnknownScope> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_reads_back_from_its_text() {
        let scope: Scope = "request, read,request".parse().unwrap();
        assert_eq!(scope.to_string(), "read,request");
        assert_eq!(scope.to_string().parse(), Ok(scope.clone()));
        assert!(scope.has(Right::Read) && !scope.has(Right::Approve));
        for wrong in ["", ",", "write", "read,Request"] {
            assert!(wrong.parse::<Scope>().is_err(), "{wrong}");
        }
    }
}
