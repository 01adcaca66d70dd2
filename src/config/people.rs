//! The people of the configuration, as its lists name them.

use std::collections::BTreeSet;

use super::error::closest;
use super::raw::{Named, RawPrincipal};
use super::values::Parsed;
use crate::access::PrincipalName;

/// Who there is, for lists to name.
pub(super) struct People {
    names: BTreeSet<String>,
    groups: BTreeSet<String>,
}

impl People {
    pub(super) fn new(raw: &Named<RawPrincipal>) -> Self {
        let groups_of = |raw: &RawPrincipal| -> Vec<String> {
            let groups = raw.groups.as_ref().map(|groups| groups.get_ref().iter());
            let groups = groups.into_iter().flatten();
            groups
                .map(|group| format!("@{}", group.get_ref()))
                .collect()
        };
        Self {
            names: raw.keys().map(|name| name.get_ref().clone()).collect(),
            groups: raw.values().flat_map(|raw| groups_of(raw)).collect(),
        }
    }

    /// What may be the name of a principal, or of a group with its `@`.
    pub(super) fn nameable(&self, name: &str) -> Parsed<String> {
        let as_group = format!("@{name}");
        if self.groups.contains(&as_group) && !self.names.contains(name) {
            return Err(format!("`{name}` is a group: write {as_group}"));
        }
        let bare = name.strip_prefix('@').unwrap_or(name);
        bare.parse::<PrincipalName>()
            .map(|_| name.to_owned())
            .map_err(|error| format!("`{name}` is not a name: {error}"))
    }

    /// Whether the name looks like a slip of the finger: nobody here has it, but almost.
    pub(super) fn doubt(&self, name: &str) -> Option<String> {
        if self.groups.contains(name) || self.names.contains(name) {
            return None;
        }
        let known = match name.starts_with('@') {
            true => &self.groups,
            false => &self.names,
        };
        let meant = closest(name, known.iter().map(String::as_str))?;
        Some(format!(
            "nobody here is called `{name}`; did you mean `{meant}`?"
        ))
    }
}
