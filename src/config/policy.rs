//! `[policy]`.

use std::path::{Path, PathBuf};

use super::Policy;
use super::check::{Check, Section, unreadable};
use super::raw::RawPolicy;
use super::values;

pub(super) fn policy(check: &mut Check<'_>, raw: &RawPolicy) -> Policy {
    let mut section = Section::new(check, "policy", 0..0);
    let name = section.optional("folder", &raw.folder, values::text);
    let at = section.at("folder", &raw.folder);
    let folder = name.map(|name| section.check.resolve(&name));
    if let Some(problem) = folder.as_deref().and_then(problem) {
        section.check.error(&at, problem);
    }
    Policy { folder }
}

/// Why this is no folder. What its files say is not looked at here.
fn problem(folder: &Path) -> Option<String> {
    match folder.metadata() {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!("{}: is not a folder", folder.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some(format!("{}: no such folder", folder.display()))
        }
        Err(error) => Some(unreadable(&PathBuf::from(folder), &error)),
    }
}
