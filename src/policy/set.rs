//! Policies that are fit to be in force, and what people are told of each.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::load::{self, Faults};

/// The default set, built in.
const DEFAULT: [(&str, &str); 5] = [
    (
        "requests.cedar",
        include_str!("../../config/policies/requests.cedar"),
    ),
    (
        "decisions.cedar",
        include_str!("../../config/policies/decisions.cedar"),
    ),
    (
        "emergencies.cedar",
        include_str!("../../config/policies/emergencies.cedar"),
    ),
    (
        "limits.cedar",
        include_str!("../../config/policies/limits.cedar"),
    ),
    (
        "oversight.cedar",
        include_str!("../../config/policies/oversight.cedar"),
    ),
];

/// A file of policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PolicyFile {
    /// Where it is; of a built-in one its name.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// What a policy does where it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It allows, unless another forbids.
    Permit,
    /// It forbids, whatever others allow.
    Forbid,
}

/// What people are told of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PolicyNote {
    /// Its `@id`.
    pub id: String,
    /// Whether it allows or forbids.
    pub effect: Effect,
    /// Its `@says`: what it means, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// The file that it stands in.
    pub file: String,
    /// The line that it begins in, from 1.
    pub line: usize,
}

/// Policies that were validated together: every id is there once.
#[derive(Debug, Clone)]
pub struct PolicySet {
    pub(super) policies: cedar_policy::PolicySet,
    pub(super) notes: Vec<PolicyNote>,
    pub(super) files: Vec<PolicyFile>,
}

impl PolicySet {
    /// The default set.
    pub fn built_in() -> Self {
        let files = DEFAULT.map(|(name, text)| PolicyFile {
            name: format!("built in: {name}"),
            text: text.to_owned(),
        });
        load::check(files.into()).expect("the built-in policies are valid")
    }

    /// The policies in `folder`: its files `*.cedar`, in the order of their names.
    ///
    /// # Errors
    /// [`Faults`] with everything that is wrong.
    pub fn load(folder: &Path) -> Result<Self, Faults> {
        load::check(load::files(folder)?)
    }

    /// The policies in `files`.
    ///
    /// # Errors
    /// [`Faults`] with everything that is wrong.
    pub fn check(files: Vec<PolicyFile>) -> Result<Self, Faults> {
        load::check(files)
    }

    /// What people are told of each, in the order of files and lines.
    pub fn notes(&self) -> &[PolicyNote] {
        &self.notes
    }

    /// What people are told of the policy with this id.
    pub fn note(&self, id: &str) -> Option<&PolicyNote> {
        self.notes.iter().find(|note| note.id == id)
    }

    /// The files, as they are written.
    pub fn files(&self) -> &[PolicyFile] {
        &self.files
    }

    /// What each policy says, by its id.
    pub fn texts(&self) -> std::collections::BTreeMap<String, String> {
        let policies = self.policies.policies();
        policies
            .map(|policy| (policy.id().to_string(), policy.to_string()))
            .collect()
    }

    /// The groups that policies name.
    pub fn groups(&self) -> Vec<String> {
        let literals = self.policies.policies().flat_map(|it| it.entity_literals());
        let mut groups: Vec<String> = literals
            .filter(|uid| uid.type_name() == super::schema::Type::Group.type_name())
            .map(|uid| uid.id().unescaped().to_owned())
            .collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}
