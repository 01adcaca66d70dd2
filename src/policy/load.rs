//! Files of policies -> a set that is fit to be in force, or everything that is wrong with them.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::Path;

use cedar_policy::{Policy, PolicyId, ValidationError, ValidationMode, Validator};
use miette::Diagnostic;

use super::schema::SCHEMA;
use super::set::{Effect, PolicyFile, PolicyNote, PolicySet};

/// Ids go into records and error messages: short, and of harmless characters.
const MAX_ID: usize = 100;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// The file, or the folder.
    pub file: String,
    /// The line, from 1; `None` where it is about the whole file.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it, if something is known.
    pub help: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// Why policies are refused: everything that could be found in one go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Faults(pub Vec<Fault>);

fn lines(faults: &[Fault]) -> String {
    let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
    lines.join("\n")
}

/// The files `*.cedar` of `folder`, in the order of their names.
pub(super) fn files(folder: &Path) -> Result<Vec<PolicyFile>, Faults> {
    let unreadable = |path: &Path, error: std::io::Error| {
        Faults(vec![whole(
            &path.display().to_string(),
            format!("cannot be read: {error}"),
        )])
    };
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, error))?.path();
        if is_policy_file(&path) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    let read = |path: &std::path::PathBuf| match fs::read_to_string(path) {
        Ok(text) => Ok(PolicyFile {
            name: path.display().to_string(),
            text,
        }),
        Err(error) => Err(unreadable(path, error)),
    };
    let files = paths.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    match files.is_empty() {
        true => Err(Faults(vec![whole(
            &folder.display().to_string(),
            "has no file *.cedar: nobody could do anything".to_owned(),
        )])),
        false => Ok(files),
    }
}

/// What editors leave lying about (`.#x.cedar`) is not meant.
fn is_policy_file(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|it| it == "cedar")
}

/// The policies in `files`, if all of them are right.
pub(super) fn check(files: Vec<PolicyFile>) -> Result<PolicySet, Faults> {
    let mut reading = Reading::default();
    for file in &files {
        reading.file(file);
    }
    reading.validate(&files);
    match reading.faults.is_empty() {
        true => Ok(PolicySet {
            policies: reading.policies,
            notes: reading.notes,
            files,
        }),
        false => Err(Faults(reading.faults)),
    }
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    policies: cedar_policy::PolicySet,
    notes: Vec<PolicyNote>,
    faults: Vec<Fault>,
    /// Where each id stands.
    places: HashMap<String, String>,
}

impl Reading {
    fn file(&mut self, file: &PolicyFile) {
        let set: cedar_policy::PolicySet = match file.text.parse() {
            Ok(set) => set,
            Err(errors) => {
                let errors: &cedar_policy::ParseErrors = &errors;
                let faults = errors.iter().map(|error| fault(file, error));
                self.faults.extend(faults);
                return;
            }
        };
        for template in set.templates() {
            let line = line_of(file, 0, &template.to_string()).0;
            let message = "has a slot (?principal or ?resource): templates are not used here";
            self.faults.push(at(file, line, message.to_owned()));
        }
        let mut from = 0;
        for policy in in_order(&set) {
            let (line, end) = line_of(file, from, &policy.to_string());
            from = end;
            self.policy(file, line, policy);
        }
    }

    fn policy(&mut self, file: &PolicyFile, line: usize, policy: &Policy) {
        let id = match policy.annotation("id") {
            Some(id) if is_id(id) => id.to_owned(),
            Some(id) => {
                let message = format!("{id:?} is no id: letters, digits and - _ . alone");
                self.faults.push(at(file, line, message));
                return;
            }
            None => {
                let message = "this policy has no id".to_owned();
                let help = "write @id(\"what-it-is-about\") before it".to_owned();
                self.faults.push(Fault {
                    help: Some(help),
                    ..at(file, line, message)
                });
                return;
            }
        };
        let place = format!("{}:{line}", file.name);
        if let Some(first) = self.places.insert(id.clone(), place) {
            let message = format!("the id {id:?} is taken by the policy at {first}");
            self.faults.push(at(file, line, message));
            return;
        }
        // It cannot be there yet: its id was not.
        if self.policies.add(policy.new_id(PolicyId::new(&id))).is_ok() {
            self.notes.push(note(id, file, line, policy));
        }
    }

    /// What the schema does not know, and what can never apply.
    fn validate(&mut self, files: &[PolicyFile]) {
        let validator = Validator::new(SCHEMA.clone());
        let result = validator.validate(&self.policies, ValidationMode::Strict);
        for (id, diagnostic) in essential(&result) {
            let note = self.notes.iter().find(|note| note.id == id);
            let file = note.and_then(|note| files.iter().find(|file| file.name == note.file));
            let found = match (note, file) {
                (Some(note), Some(file)) => {
                    let fault = fault(file, diagnostic);
                    Fault {
                        line: fault.line.or(Some(note.line)),
                        ..fault
                    }
                }
                _ => whole("policies", diagnostic.to_string()),
            };
            self.faults.push(found);
        }
        self.faults.sort_by_key(|fault| {
            let file = files.iter().position(|file| file.name == fault.file);
            (file, fault.line)
        });
    }
}

/// What Cedar found, by policy. What only follows from another mistake in the same policy (with an
/// action misspelt, it can never apply) is left out.
fn essential(result: &cedar_policy::ValidationResult) -> Vec<(String, &dyn Diagnostic)> {
    let follows =
        |error: &ValidationError| matches!(error, ValidationError::InvalidActionApplication(_));
    let errors = || result.validation_errors();
    let mut found: Vec<(String, &dyn Diagnostic)> = errors()
        .filter(|error| !follows(error))
        .map(|error| (error.policy_id().to_string(), error as &dyn Diagnostic))
        .collect();
    let rest = errors().filter(|error| follows(error));
    let rest = rest.map(|error| (error.policy_id().to_string(), error as &dyn Diagnostic));
    let warnings = result.validation_warnings();
    let warnings = warnings.map(|it| (it.policy_id().to_string(), it as &dyn Diagnostic));
    for (id, diagnostic) in rest.chain(warnings) {
        if !found.iter().any(|(known, _)| *known == id) {
            found.push((id, diagnostic));
        }
    }
    found
}

fn note(id: String, file: &PolicyFile, line: usize, policy: &Policy) -> PolicyNote {
    PolicyNote {
        id,
        effect: match policy.effect() {
            cedar_policy::Effect::Permit => Effect::Permit,
            cedar_policy::Effect::Forbid => Effect::Forbid,
        },
        says: policy.annotation("says").map(str::to_owned),
        file: file.name.clone(),
        line,
    }
}

fn is_id(id: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !id.is_empty() && id.len() <= MAX_ID && id.chars().all(allowed)
}

/// The policies as they stand in the file: Cedar names them by their number in it.
fn in_order(set: &cedar_policy::PolicySet) -> Vec<&Policy> {
    let number = |policy: &&Policy| {
        let id = policy.id().to_string();
        id.trim_start_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .unwrap_or(usize::MAX)
    };
    let mut policies: Vec<&Policy> = set.policies().collect();
    policies.sort_by_key(number);
    policies
}

/// The line in which `part` begins, looked for from `start` on, and where it ends.
fn line_of(file: &PolicyFile, start: usize, part: &str) -> (usize, usize) {
    let rest = file.text.get(start..).unwrap_or_default();
    let offset = start + rest.find(part).unwrap_or(0);
    (line_at(&file.text, offset), offset + part.len())
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// What Cedar says, with the place and the help that it gives.
fn fault(file: &PolicyFile, error: &dyn Diagnostic) -> Fault {
    let label = error.labels().and_then(|mut labels| labels.next());
    let expected = label
        .as_ref()
        .and_then(|label| label.label())
        .filter(|text| !text.is_empty());
    let help = error.help().map(|help| help.to_string());
    Fault {
        file: file.name.clone(),
        line: label.as_ref().map(|it| line_at(&file.text, it.offset())),
        message: error.to_string(),
        help: help.or_else(|| expected.map(str::to_owned)),
    }
}

fn at(file: &PolicyFile, line: usize, message: String) -> Fault {
    Fault {
        line: Some(line),
        ..whole(&file.name, message)
    }
}

fn whole(file: &str, message: String) -> Fault {
    Fault {
        file: file.to_owned(),
        line: None,
        message,
        help: None,
    }
}
