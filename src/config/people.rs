//! The people of the configuration, as its lists name them.

use std::collections::BTreeSet;

use super::error::suggest;
use super::raw::{Named, RawPrincipal};
use super::values;

/// Who there is, for lists to name.
pub(super) struct People {
    /// Names, with the groups that each is in.
    members: Vec<(String, Vec<String>)>,
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
        let members: Vec<_> = raw
            .iter()
            .map(|(name, raw)| (name.to_string(), groups_of(raw)))
            .collect();
        let groups = members.iter().flat_map(|(_, groups)| groups.clone());
        Self {
            groups: groups.collect(),
            members,
        }
    }

    /// A principal or a `@group` that is there.
    pub(super) fn known(&self, name: &str) -> values::Parsed<String> {
        let names = || self.members.iter().map(|(name, _)| name);
        if self.groups.contains(name) || names().any(|known| known == name) {
            return Ok(name.to_owned());
        }
        let groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        if name.starts_with('@') {
            return Err(format!(
                "nobody is in the group `{name}`; {}",
                suggest(name, &groups)
            ));
        }
        let as_group = format!("@{name}");
        if self.groups.contains(&as_group) {
            return Err(format!("`{name}` is a group: write {as_group}"));
        }
        let names: Vec<&str> = names().map(String::as_str).collect();
        Err(format!(
            "unknown principal `{name}`; {}",
            suggest(name, &names)
        ))
    }

    /// Those who may ask, though nobody else may approve.
    pub(super) fn without_an_approver<'a>(
        &'a self,
        requesters: &'a [String],
        approvers: &'a [String],
    ) -> impl Iterator<Item = &'a str> {
        let among = |list: &[String], (name, groups): &(String, Vec<String>)| {
            list.iter()
                .any(|item| item == name || groups.contains(item))
        };
        let mut deciders = self.members.iter().filter(move |m| among(approvers, m));
        let only = deciders.next().filter(|_| deciders.next().is_none());
        only.into_iter()
            .filter(move |member| among(requesters, member))
            .map(|(name, _)| name.as_str())
    }
}
