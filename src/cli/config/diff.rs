//! `hallpass config diff`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::super::error::CliError;
use super::super::human::{clean, inert};
use super::super::out::{BAD, BOLD, DIM, GOOD, WARN, paint};
use super::super::serve::ServeArgs;
use super::super::{Done, Global};
use super::check::load;
use super::ends::{End, ends};
use crate::config::{Config, Difference, Facts, Fate, Subject, subjects};
use crate::policy::PolicySet;

/// Say what a reload of this configuration would change: targets, principals, policies, settings.
///
/// Asks the server what is in force, and which sessions are live; for administrators. With
/// --against no server is asked. Secrets are never compared: what is in their files is read at each
/// reload. Exit code 1 if something would change.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass config diff --config hallpass.toml
  hallpass config diff --config new/hallpass.toml --against old/hallpass.toml
  hallpass config diff --config hallpass.toml --output json")]
pub(super) struct DiffArgs {
    #[command(flatten)]
    file: ServeArgs,
    /// Ask no server: compare with this configuration file
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

/// What would change, as JSON.
#[derive(Debug, Serialize)]
struct Diff {
    /// What a reload takes up.
    reload: Vec<Subject>,
    /// What takes effect at a restart.
    restart: Vec<Subject>,
    /// The live sessions that would end; absent where no server was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<Vec<End>>,
}

pub(super) async fn run(global: &Global, args: &DiffArgs) -> Done {
    let (config, policies) = loaded(&args.file.config)?;
    let new = facts(&config, &policies);
    let diff = match &args.against {
        Some(path) => {
            let (config, policies) = loaded(path)?;
            Diff::of(&facts(&config, &policies), &new, None)
        }
        None => {
            let summary = global.api()?.config_summary().await?;
            let ends = ends(&summary, &config, &policies);
            Diff::of(&summary.facts, &new, Some(ends))
        }
    };
    global.output().show(&diff, text)?;
    Ok(diff.changes().into())
}

fn loaded(path: &Path) -> Result<(Config, PolicySet), CliError> {
    load(path).map_err(CliError::BadConfiguration)
}

/// What the configuration says, its policies included.
fn facts(config: &Config, policies: &PolicySet) -> Facts {
    let policies = policies.texts().into_iter();
    let policies = policies.map(|(id, text)| (format!("policies.{id}"), text));
    config.facts().into_iter().chain(policies).collect()
}

impl Diff {
    fn of(old: &Facts, new: &Facts, ends: Option<Vec<End>>) -> Self {
        let (restart, reload) = subjects(old, new)
            .into_iter()
            .partition(Subject::needs_restart);
        Self {
            reload,
            restart,
            ends,
        }
    }

    fn changes(&self) -> bool {
        let ends = self.ends.as_ref().is_some_and(|ends| !ends.is_empty());
        !self.reload.is_empty() || !self.restart.is_empty() || ends
    }
}

fn text(diff: &Diff) -> String {
    if !diff.changes() {
        return "Nothing would change.".to_owned();
    }
    let about = |begin: &'static str| {
        let subjects = diff.reload.iter();
        subjects
            .filter(|it| it.name.starts_with(begin))
            .collect::<Vec<_>>()
    };
    let known = ["targets.", "principals.", "policies."];
    let others = diff.reload.iter();
    let others = others.filter(|it| !known.iter().any(|begin| it.name.starts_with(begin)));
    let parts = [
        part("Targets", &about("targets."), "targets."),
        part("Principals", &about("principals."), "principals."),
        part("Policies", &about("policies."), "policies."),
        part("Settings", &others.collect::<Vec<_>>(), ""),
        part("At a restart", &diff.restart.iter().collect::<Vec<_>>(), ""),
        ending(diff.ends.as_deref()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join("\n\n")
}

/// A title, and what is different of what it stands for.
fn part(title: &str, subjects: &[&Subject], prefix: &str) -> Option<String> {
    if subjects.is_empty() {
        return None;
    }
    let lines = subjects.iter().flat_map(|it| lines(it, prefix));
    let all: Vec<String> = std::iter::once(paint(BOLD, title)).chain(lines).collect();
    Some(all.join("\n"))
}

fn lines(subject: &Subject, prefix: &str) -> Vec<String> {
    let name = clean(subject.name.strip_prefix(prefix).unwrap_or(&subject.name));
    let alone = subject.differences.len() == 1 && subject.differences[0].key == subject.name;
    let head = match (subject.fate, &subject.differences[..]) {
        (Fate::Changed, [only]) if alone && prefix != "policies." => {
            return vec![format!("  {} {name}: {}", mark(subject.fate), values(only))];
        }
        (fate, [only]) if alone && prefix.is_empty() => {
            return vec![format!("  {} {name}: {}", mark(fate), values(only))];
        }
        (fate, _) => format!("  {} {name}", mark(fate)),
    };
    let below = match (subject.fate, prefix) {
        (Fate::Removed, _) => Vec::new(),
        (_, "policies.") => policy(subject),
        _ => subject
            .differences
            .iter()
            .map(|it| key(it, subject))
            .collect(),
    };
    std::iter::once(head).chain(below).collect()
}

fn mark(fate: Fate) -> String {
    match fate {
        Fate::Added => paint(GOOD, "+"),
        Fate::Removed => paint(BAD, "-"),
        Fate::Changed => paint(WARN, "~"),
    }
}

/// One key of a target or a principal.
fn key(difference: &Difference, subject: &Subject) -> String {
    let name = difference.key.strip_prefix(&subject.name);
    let name = name.unwrap_or(&difference.key).trim_start_matches('.');
    format!("      {}: {}", clean(name), values(difference))
}

fn values(difference: &Difference) -> String {
    let shown = |text: &str| match text {
        "" => "empty".to_owned(),
        text => clean(text),
    };
    match (&difference.from, &difference.to) {
        (Some(from), Some(to)) => format!("{} -> {}", shown(from), shown(to)),
        (None, Some(to)) => shown(to),
        (Some(from), None) => format!("{} -> unset", shown(from)),
        (None, None) => String::new(),
    }
}

/// What a policy says now and what it would say, line by line.
fn policy(subject: &Subject) -> Vec<String> {
    let Some(difference) = subject.differences.first() else {
        return Vec::new();
    };
    let lines = |text: &Option<String>| -> Vec<String> {
        let text = text.as_deref().unwrap_or_default().trim();
        text.lines()
            .map(|it| it.chars().map(inert).collect())
            .collect()
    };
    let (old, new) = (lines(&difference.from), lines(&difference.to));
    let gone = old.iter().filter(|line| !new.contains(line));
    let come = new.iter().filter(|line| !old.contains(line));
    let gone = gone.map(|line| paint(DIM, &format!("      - {line}")));
    gone.chain(come.map(|line| format!("      + {line}")))
        .collect()
}

fn ending(ends: Option<&[End]>) -> Option<String> {
    let ends = ends.filter(|ends| !ends.is_empty())?;
    let line = |end: &End| {
        let (holder, target) = (clean(end.principal.as_str()), clean(end.target.as_str()));
        format!(
            "  {} {holder} at {target}: {}",
            end.session,
            clean(&end.why)
        )
    };
    let lines = ends.iter().map(line);
    let title = paint(BAD, "Live sessions that would end");
    let all: Vec<String> = std::iter::once(title).chain(lines).collect();
    Some(all.join("\n"))
}
