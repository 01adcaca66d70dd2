//! What one asks for.

use std::time::Duration;

use super::{Principal, TargetName, Terms};

/// The databases that a target opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Databases {
    /// Every database of the server (`*` in the configuration).
    All,
    /// These, by exact name.
    Only(Vec<String>),
}

impl Databases {
    /// Whether `database` is among them.
    pub fn allow(&self, database: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|name| name == database),
        }
    }
}

/// One upstream server, reached as one upstream role, in the databases that it allows, with its
/// limits. How it is reached (address, TLS, credentials) is the proxy's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: TargetName,
    /// What people read when they choose it.
    pub description: String,
    /// The databases that may be opened.
    pub databases: Databases,
    /// The database of a client that names none.
    pub default_database: String,
    /// The longest session that may be asked for.
    pub max_duration: Duration,
    /// How many connections one session may have at a time.
    pub max_connections: u32,
    /// How long a connection may be idle before it is closed; `None`: for ever.
    pub idle_timeout: Option<Duration>,
    /// Whether replication connections (`replication=true|database`) are let through.
    pub replication: bool,
    /// What it demands of those who ask for it, and of those who decide.
    pub terms: Terms,
    /// Whose it is: names of principals, and of groups with an `@` before them.
    pub owners: Vec<String>,
    /// Where it belongs: `production`, `staging`, or any other word.
    pub environment: String,
    /// Whether its role can only read. Said by the configuration, for policies; not enforced.
    pub read_only: bool,
    /// Words of the configuration, for policies to go by.
    pub labels: Vec<String>,
}

impl Target {
    /// The longest that a session may last with all its extensions.
    pub fn longest(&self) -> Duration {
        self.max_duration.saturating_add(self.terms.max_extension)
    }

    /// Whether it is theirs: by name, or by a group of theirs.
    pub fn is_owned_by(&self, principal: &Principal) -> bool {
        self.owners
            .iter()
            .any(|owner| match owner.strip_prefix('@') {
                Some(group) => principal.groups.iter().any(|theirs| theirs == group),
                None => owner == principal.name.as_str(),
            })
    }
}
