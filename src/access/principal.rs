//! Principals, and the names that stand for them and for targets.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::schema::written;

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Empty, or longer than 63 bytes (PostgreSQL's own limit for names, `NAMEDATALEN - 1`).
    #[error("a name has 1 to 63 characters")]
    Length,
    /// A character that is not allowed there.
    #[error("{0:?} is not allowed in a name")]
    Character(char),
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $allowed:expr, $pattern:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        written!($name, $pattern, $example);

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if text.is_empty() || text.len() > 63 {
                    return Err(InvalidName::Length);
                }
                let allowed: fn(char) -> bool = $allowed;
                match text.chars().find(|&c| !allowed(c)) {
                    Some(c) => Err(InvalidName::Character(c)),
                    None => Ok(Self(text.into())),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// The name of a principal: letters, digits, and `. _ - + @`, so that an e-mail address fits.
    /// Never `~`, which separates it from the target in PostgreSQL's `user`.
    PrincipalName,
    |c| c.is_ascii_alphanumeric() || "._-+@".contains(c),
    "^[A-Za-z0-9._+@-]{1,63}$",
    "maya"
);
name!(
    /// The name of a target: lower-case letters, digits and `-`, so that it can be a DNS label.
    TargetName,
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
    "^[a-z0-9-]{1,63}$",
    "orders-ro"
);

/// What hallpass itself is called where it does what people do; nobody else may be.
pub const HALLPASS: &str = "hallpass";

impl PrincipalName {
    /// Whether it is hallpass's own.
    pub fn is_reserved(&self) -> bool {
        self.as_str().eq_ignore_ascii_case(HALLPASS)
    }
}

/// An authenticated person or service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// Who.
    pub name: PrincipalName,
    /// The groups that the principal belongs to.
    pub groups: Vec<String>,
    /// What kind of a principal it is.
    #[serde(default)]
    pub kind: PrincipalKind,
}

impl Principal {
    /// Whether a list of principals and `@groups` has the principal, or a group of theirs.
    pub fn is_among(&self, names: &[String]) -> bool {
        names.iter().any(|name| match name.strip_prefix('@') {
            Some(group) => self.groups.iter().any(|own| own == group),
            None => name == self.name.as_str(),
        })
    }
}

/// What kind of a principal it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// Somebody who can be asked.
    #[default]
    Person,
    /// A program.
    Service,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_would_confuse_a_reader() {
        assert!("maya@example.com".parse::<PrincipalName>().is_ok());
        for text in ["", "a~b", "a b", "a\n", "ma\u{202e}ya", &"x".repeat(64)] {
            assert!(text.parse::<PrincipalName>().is_err(), "{text:?}");
        }
        assert!("orders-ro".parse::<TargetName>().is_ok());
        assert_eq!(
            "Orders".parse::<TargetName>(),
            Err(InvalidName::Character('O'))
        );
    }
}
