//! What can be reached, and how a client's words name it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;

use crate::access::{Target, TargetName};
use crate::audit::Redaction;
use crate::pg::startup::Startup;
use crate::secret::Secret;
use crate::tls::UpstreamTls;

/// Between principal and target in PostgreSQL's `user`.
const SEPARATOR: char = '~';

/// How a target's server is reached.
pub struct Endpoint {
    /// A DNS name or an IP address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The role that hallpass logs in as.
    pub role: String,
    /// Its password, where one is needed.
    pub password: Option<Secret>,
    /// `None`: TLS is off.
    pub tls: Option<UpstreamTls>,
}

/// A target with what the data plane needs to reach it.
pub struct ProxyTarget {
    /// The rules.
    pub target: Target,
    /// The server.
    pub endpoint: Endpoint,
    /// What the record holds of bound and copied values.
    pub redaction: Redaction,
    /// The server refused protocol 3.2 once; it is not asked again.
    pub(super) only_3_0: AtomicBool,
}

impl ProxyTarget {
    /// A target, its server, and what is recorded of its values.
    pub fn new(target: Target, endpoint: Endpoint, redaction: Redaction) -> Self {
        Self {
            target,
            endpoint,
            redaction,
            only_3_0: AtomicBool::new(false),
        }
    }
}

/// The targets by name. A reload replaces them all at once; connections keep theirs.
#[derive(Default)]
pub struct Targets(ArcSwap<HashMap<TargetName, Arc<ProxyTarget>>>);

impl Targets {
    /// Replaces all of them.
    pub fn replace(&self, targets: Vec<ProxyTarget>) {
        let by_name = targets
            .into_iter()
            .map(|target| (target.target.name.clone(), Arc::new(target)));
        self.0.store(Arc::new(by_name.collect()));
    }

    /// The target of that name.
    pub(super) fn find(&self, name: &str) -> Option<Arc<ProxyTarget>> {
        self.0
            .load()
            .get(&name.parse::<TargetName>().ok()?)
            .cloned()
    }
}

/// Whom and what a client names: claims, nothing is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// Who it says it is.
    pub(super) principal: String,
    /// What it wants to reach.
    pub(super) target: String,
    /// In which database; `None`: the target's default.
    pub(super) database: Option<String>,
}

impl Claim {
    /// Reads the three from the startup message and the TLS server name:
    ///
    /// - `user=maya~orders-ro dbname=orders` names all three;
    /// - `user=maya dbname=orders` with the server name `orders-ro.SUFFIX` does too;
    /// - `user=maya dbname=orders-ro` names the target where a database would be.
    pub(super) fn read(startup: &Startup, server_name: Option<&str>, suffix: Option<&str>) -> Self {
        let text = |name| {
            let value = startup.parameter(name).filter(|value| !value.is_empty())?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        let user = text("user").unwrap_or_default();
        let database = text("database");
        if let Some((principal, target)) = user.split_once(SEPARATOR) {
            // libpq fills in the user's name where no database is given.
            let database = database.filter(|database| *database != user);
            return Self {
                principal: principal.to_owned(),
                target: target.to_owned(),
                database,
            };
        }
        match target_label(server_name, suffix) {
            Some(target) => Self {
                target,
                database: database.filter(|database| *database != user),
                principal: user,
            },
            None => Self {
                target: database.unwrap_or_else(|| user.clone()),
                database: None,
                principal: user,
            },
        }
    }
}

/// The first label of `server_name`, if the rest is the suffix.
fn target_label(server_name: Option<&str>, suffix: Option<&str>) -> Option<String> {
    let name = server_name?.to_ascii_lowercase();
    let label = name.strip_suffix(suffix?)?.strip_suffix('.')?;
    (!label.is_empty() && !label.contains('.')).then(|| label.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(
        parameters: &[(&str, &str)],
        server_name: Option<&str>,
    ) -> (String, String, Option<String>) {
        let parameters = parameters
            .iter()
            .map(|(k, v)| (k.as_bytes().to_vec().into(), v.as_bytes().to_vec().into()))
            .collect();
        let startup = Startup {
            minor: 0,
            parameters,
        };
        let claim = Claim::read(&startup, server_name, Some("db.example.com"));
        (claim.principal, claim.target, claim.database)
    }

    fn names(
        principal: &str,
        target: &str,
        database: Option<&str>,
    ) -> (String, String, Option<String>) {
        (principal.into(), target.into(), database.map(Into::into))
    }

    #[test]
    fn the_user_names_principal_and_target() {
        let user = ("user", "maya~orders-ro");
        let named = claim(&[user, ("database", "orders")], None);
        assert_eq!(named, names("maya", "orders-ro", Some("orders")));
        assert_eq!(claim(&[user], None), names("maya", "orders-ro", None));
        let by_libpq = claim(&[user, ("database", "maya~orders-ro")], None);
        assert_eq!(by_libpq, names("maya", "orders-ro", None));
    }

    #[test]
    fn the_server_name_names_the_target() {
        let parameters = [("user", "maya"), ("database", "orders")];
        let named = claim(&parameters, Some("Orders-RO.db.example.com"));
        assert_eq!(named, names("maya", "orders-ro", Some("orders")));
        for other in [
            "db.example.com",
            "a.b.db.example.com",
            "orders-ro.example.com",
            "xdb.example.com",
        ] {
            assert_eq!(
                claim(&parameters, Some(other)),
                names("maya", "orders", None),
                "{other}"
            );
        }
    }

    #[test]
    fn without_either_the_database_names_the_target() {
        let named = claim(&[("user", "maya"), ("database", "orders-ro")], None);
        assert_eq!(named, names("maya", "orders-ro", None));
    }
}
