//! Secrets: where they are stands in the file, they themselves never do.

use std::fs;

use super::check::{At, Check, Section, unreadable};
use super::raw::{Field, RawSecret, Table};
use crate::secret::Secret;

/// The secret that a key of a table says where to find.
pub(super) fn field(
    section: &mut Section<'_, '_>,
    key: &str,
    raw: &Field<Table<RawSecret>>,
) -> Option<Secret> {
    let at = section.at(key, raw);
    find(section.check, &at, raw.as_ref()?.get_ref())
}

/// The same for a key that must be there.
pub(super) fn required(
    section: &mut Section<'_, '_>,
    key: &str,
    raw: &Field<Table<RawSecret>>,
) -> Option<Secret> {
    let like = "{ file = \"..\" } or { env = \"..\" }";
    section.required(key, raw, like, |_: &Table<RawSecret>| Ok(()))?;
    field(section, key, raw)
}

/// The secret that the table at `at` says where to find.
pub(super) fn find(check: &mut Check<'_>, at: &At, source: &RawSecret) -> Option<Secret> {
    match (&source.file, &source.env) {
        (Some(file), None) => {
            let at = At {
                key: format!("{}.file", at.key),
                span: file.span(),
            };
            from_file(check, &at, file.get_ref())
        }
        (None, Some(name)) => {
            let at = At {
                key: format!("{}.env", at.key),
                span: name.span(),
            };
            from_environment(check, &at, name.get_ref())
        }
        _ => {
            let message = "must be { file = \"..\" } or { env = \"..\" }, one of the two";
            check.error(at, message);
            None
        }
    }
}

fn from_file(check: &mut Check<'_>, at: &At, name: &str) -> Option<Secret> {
    let path = check.private_file(at, name)?;
    match fs::read_to_string(&path) {
        Ok(text) => {
            let text = zeroize::Zeroizing::new(text);
            let line = text.strip_suffix('\n').unwrap_or(&text);
            let what = format!("{}", path.display());
            secret(check, at, &what, line.strip_suffix('\r').unwrap_or(line))
        }
        Err(error) => {
            check.error(at, unreadable(&path, &error));
            None
        }
    }
}

fn from_environment(check: &mut Check<'_>, at: &At, name: &str) -> Option<Secret> {
    match (check.environment)(name) {
        Some(value) => secret(check, at, name, &value),
        None => {
            check.error(at, format!("the environment variable {name} is not set"));
            None
        }
    }
}

fn secret(check: &mut Check<'_>, at: &At, what: &str, value: &str) -> Option<Secret> {
    if value.is_empty() {
        check.error(at, format!("{what}: is empty"));
        return None;
    }
    Some(Secret::new(value))
}
