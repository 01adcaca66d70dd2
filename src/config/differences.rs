//! Two configurations, compared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Facts;

/// What the keys begin with that a reload takes up; all others wait for a restart.
const RELOADED: [&str; 11] = [
    "access.",
    "identity.",
    "notify.",
    "policies.",
    "policy.",
    "principals.",
    "proxy.public_host",
    "proxy.public_port",
    "targets.",
    "tickets.",
    "tls.ca",
];

/// How much of a value a line shows, in characters.
const LINE: usize = 200;

/// One key that two configurations do not have alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The key.
    pub key: String,
    /// What it was; absent: it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What it becomes; absent: it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl Difference {
    /// Whether a reload does not take it up.
    pub fn needs_restart(&self) -> bool {
        !RELOADED.iter().any(|begin| self.key.starts_with(begin))
    }
}

/// What differs between two configurations, by key.
fn differences(old: &Facts, new: &Facts) -> Vec<Difference> {
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let difference = |key: &String| Difference {
        key: key.clone(),
        from: old.get(key).cloned(),
        to: new.get(key).cloned(),
    };
    let differ = |it: &Difference| it.from != it.to;
    keys.into_iter().map(difference).filter(differ).collect()
}

/// What becomes of something when another configuration takes the place of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It is new.
    Added,
    /// It goes.
    Removed,
    /// It stays, and says something else.
    Changed,
}

/// Something that two configurations do not have alike: a target, a principal, a policy, or a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// What it is: `targets.orders-ro`, `proxy.listen`.
    pub name: String,
    /// What becomes of it.
    pub fate: Fate,
    /// Key by key.
    pub differences: Vec<Difference>,
}

impl Subject {
    /// Whether a reload does not take it up.
    pub fn needs_restart(&self) -> bool {
        self.differences.iter().any(Difference::needs_restart)
    }

    /// In a few lines, for a log: `+ targets.billing`, `~ access.request_lapse: 1h -> 30m`.
    pub fn lines(&self) -> Vec<String> {
        match self.fate {
            Fate::Added => vec![format!("+ {}", self.name)],
            Fate::Removed => vec![format!("- {}", self.name)],
            Fate::Changed if self.name.starts_with("policies.") => vec![format!("~ {}", self.name)],
            Fate::Changed => self.differences.iter().map(line).collect(),
        }
    }
}

fn line(difference: &Difference) -> String {
    let short = |text: &Option<String>| match text.as_deref() {
        None => "nothing".to_owned(),
        Some(text) => text.chars().take(LINE).collect(),
    };
    let (from, to) = (short(&difference.from), short(&difference.to));
    format!("~ {}: {from} -> {to}", difference.key)
}

/// What differs between two configurations, by what it is about.
pub fn subjects(old: &Facts, new: &Facts) -> Vec<Subject> {
    let mut subjects: BTreeMap<String, Subject> = BTreeMap::new();
    for difference in differences(old, new) {
        let name = subject(&difference.key);
        let subject = subjects.entry(name.to_owned()).or_insert_with(|| Subject {
            name: name.to_owned(),
            fate: match (has(old, name), has(new, name)) {
                (false, _) => Fate::Added,
                (_, false) => Fate::Removed,
                _ => Fate::Changed,
            },
            differences: Vec::new(),
        });
        subject.differences.push(difference);
    }
    subjects.into_values().collect()
}

/// What a key is about.
fn subject(key: &str) -> &str {
    // Names of principals may have dots in them, those of targets have none.
    if key.starts_with("principals.") {
        return key.rsplit_once('.').map_or(key, |(name, _)| name);
    }
    match key.match_indices('.').nth(1) {
        Some((end, _)) if key.starts_with("targets.") => &key[..end],
        _ => key,
    }
}

fn has(facts: &Facts, name: &str) -> bool {
    let from = facts.range(name.to_owned()..);
    let mut like = from.take_while(|(key, _)| key.starts_with(name));
    like.any(|(key, _)| subject(key) == name)
}
