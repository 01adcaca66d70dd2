//! Who granted something: people, or a policy.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::schema::written;
use super::{InvalidName, PrincipalName};

/// Who granted a request. As text: `dana`, `dana, lee`, `policy staging-alone`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Grantor {
    /// Those who approved it, in order.
    People(Vec<PrincipalName>),
    /// Nobody: these policies let it be so.
    Policy(Vec<String>),
}

/// No name of a principal has a space, so this begins none.
const POLICY: &str = "policy ";

written!(Grantor, "^.+$", "dana, lee");

impl Grantor {
    /// Whether `principal` is among the people who granted it.
    pub fn is(&self, principal: &PrincipalName) -> bool {
        matches!(self, Self::People(people) if people.contains(principal))
    }
}

impl From<PrincipalName> for Grantor {
    fn from(name: PrincipalName) -> Self {
        Self::People(vec![name])
    }
}

impl fmt::Display for Grantor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::People(people) => {
                let names: Vec<&str> = people.iter().map(PrincipalName::as_str).collect();
                f.write_str(&names.join(", "))
            }
            Self::Policy(policies) => write!(f, "{POLICY}{}", policies.join(", ")),
        }
    }
}

impl FromStr for Grantor {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if let Some(policies) = text.strip_prefix(POLICY) {
            let policies = policies.split(", ").map(str::to_owned);
            return Ok(Self::Policy(policies.collect()));
        }
        let people = text.split(", ").map(str::parse);
        people.collect::<Result<_, _>>().map(Self::People)
    }
}

impl TryFrom<String> for Grantor {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Grantor> for String {
    fn from(grantor: Grantor) -> Self {
        grantor.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grantor_reads_back_from_its_text() {
        let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        for (text, grantor) in [
            ("dana", Grantor::People(names(&["dana"]))),
            ("dana, lee", Grantor::People(names(&["dana", "lee"]))),
            ("policy staging", Grantor::Policy(vec!["staging".into()])),
            ("policy a, b", Grantor::Policy(vec!["a".into(), "b".into()])),
        ] {
            assert_eq!(grantor.to_string(), text);
            assert_eq!(text.parse(), Ok(grantor));
        }
        assert!("da na".parse::<Grantor>().is_err());
    }
}
