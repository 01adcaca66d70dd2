//! `hallpass policy check`.

use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::Cell;
use serde::Serialize;

use super::super::config::{policies, refused};
use super::super::error::CliError;
use super::super::human::{cell, clean, table};
use super::super::out::{BAD, DIM, GOOD, paint};
use super::super::serve::ServeArgs;
use super::super::{Done, Global};
use crate::config::Config;
use crate::policy::{Effect, Fault, Faults, PolicyNote, PolicySet};

/// Read policies and say what there is, or all that is wrong with them.
///
/// Nothing is started, changed or connected to. Exit code 1 if `serve` would refuse them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass policy check policies
  hallpass policy check --config /etc/hallpass/hallpass.toml
  hallpass policy check policies --output json")]
pub(super) struct CheckArgs {
    /// The folder with the policies, files *.cedar [default: the one that the configuration names]
    #[arg(value_name = "FOLDER", conflicts_with = "config")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    file: ServeArgs,
}

/// What was found, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    errors: &'a [Fault],
    policies: &'a [PolicyNote],
}

pub(super) fn run(global: &Global, args: &CheckArgs) -> Done {
    let (place, loaded) = match &args.folder {
        Some(folder) => (folder.display().to_string(), PolicySet::load(folder)),
        None => configured(&args.file.config)?,
    };
    global
        .output()
        .show(&report(&loaded), |_| text(&place, &loaded))?;
    Ok(loaded.is_err().into())
}

/// The policies that the configuration names, and where they are.
fn configured(path: &Path) -> Result<(String, Result<PolicySet, Faults>), CliError> {
    let config = Config::load(path).map_err(CliError::BadConfiguration)?;
    let place = match &config.policy.folder {
        Some(folder) => folder.display().to_string(),
        None => "the default set, which is built in,".to_owned(),
    };
    Ok((place, policies(&config)))
}

fn report(loaded: &Result<PolicySet, Faults>) -> Report<'_> {
    match loaded {
        Ok(set) => Report {
            ok: true,
            errors: &[],
            policies: set.notes(),
        },
        Err(faults) => Report {
            ok: false,
            errors: &faults.0,
            policies: &[],
        },
    }
}

fn text(place: &str, loaded: &Result<PolicySet, Faults>) -> String {
    match loaded {
        Ok(set) => {
            let good = format!("{} is good.", clean(place));
            let rows = set.notes().iter().map(row).collect();
            let policies = table(&["", "POLICY", "WHAT IT MEANS", "WHERE"], rows, "");
            [paint(GOOD, &good), policies].join("\n\n")
        }
        Err(faults) => {
            let count = match faults.0.len() {
                1 => "one mistake".to_owned(),
                n => format!("{n} mistakes"),
            };
            let bad = format!("{}: {count}.", clean(place));
            let told = faults.0.iter().map(fault);
            let told: Vec<String> = std::iter::once(paint(BAD, &bad)).chain(told).collect();
            told.join("\n\n")
        }
    }
}

fn row(note: &PolicyNote) -> Vec<Cell> {
    vec![
        cell(effect(note.effect)),
        cell(&note.id),
        cell(note.says.as_deref().unwrap_or_default()),
        cell(&place(note)),
    ]
}

pub(super) fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Permit => "permit",
        Effect::Forbid => "forbid",
    }
}

/// The file, without its folder, and the line.
pub(super) fn place(note: &PolicyNote) -> String {
    let file = Path::new(&note.file);
    let name = file.file_name().unwrap_or(file.as_os_str());
    format!("{}:{}", name.to_string_lossy(), note.line)
}

fn fault(fault: &Fault) -> String {
    let line = fault.line.map(|line| format!(":{line}"));
    let place = format!("{}{}", clean(&fault.file), line.unwrap_or_default());
    let message = format!("{place}: {}", clean(&fault.message));
    match &fault.help {
        Some(help) => format!("{message}\n{}", paint(DIM, &format!("  {}", clean(help)))),
        None => message,
    }
}

/// The set that the configuration names, or else the default.
pub(super) fn in_force(config: &Config) -> Result<PolicySet, CliError> {
    policies(config).map_err(|faults| CliError::BadConfiguration(refused(faults)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_set_is_told_policy_by_policy() {
        let text = text("policies", &Ok(PolicySet::built_in()));
        for words in [
            "policies is good.",
            "forbid",
            "never-ones-own",
            "nobody decides on what they asked for themselves",
            "decisions.cedar:",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn mistakes_are_counted_and_cannot_steer_the_terminal() {
        let fault = |message: &str| Fault {
            file: "a.cedar".into(),
            line: Some(3),
            message: message.into(),
            help: Some("did you mean `approve`?".into()),
        };
        let faults = Faults(vec![fault("one"), fault("\u{1b}[31mtwo")]);
        let text = text("policies", &Err(faults));
        assert!(text.contains("policies: 2 mistakes."), "{text}");
        assert!(text.contains("a.cedar:3: one\n"), "{text}");
        assert!(!text.contains("\u{1b}[31mtwo"), "{text}");
    }
}
