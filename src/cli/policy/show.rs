//! `hallpass policy show`.

use std::path::PathBuf;

use clap::Args;

use super::super::human::{clean, inert};
use super::super::out::{BOLD, paint};
use super::super::{Done, Global};
use super::check::in_force;
use super::explain::configuration;
use crate::http::types::PolicyView;

/// Print the policies in force, as they are written.
///
/// Asks the server; for administrators and auditors. With --config no server is asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass policy show
  hallpass policy show --config hallpass.toml
  hallpass policy show --output json")]
pub(super) struct ShowArgs {
    /// Ask no server: read the policies that this configuration file names
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn run(global: &Global, args: &ShowArgs) -> Done {
    let view = match &args.config {
        Some(path) => PolicyView {
            files: in_force(&configuration(path)?)?.files().to_vec(),
        },
        None => global.api()?.policy().await?,
    };
    global.output().show(&view, text)?;
    Ok(0)
}

fn text(view: &PolicyView) -> String {
    let file = |file: &crate::policy::PolicyFile| {
        let text: String = file.text.trim_end().chars().map(harmless).collect();
        format!(
            "{}\n\n{text}",
            paint(BOLD, &format!("// {}", clean(&file.name)))
        )
    };
    let files: Vec<String> = view.files.iter().map(file).collect();
    files.join("\n\n")
}

/// Lines stay lines.
fn harmless(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        c => inert(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{PolicyFile, PolicySet};

    #[test]
    fn files_are_printed_as_they_are_written_but_for_what_steers_a_terminal() {
        let files = PolicySet::built_in().files().to_vec();
        let first = files[0].text.trim_end().to_owned();
        assert!(text(&PolicyView { files }).contains(&first));
        let files = vec![PolicyFile {
            name: "a".into(),
            text: "// \u{1b}[2J\u{202e}\n".into(),
        }];
        let shown = text(&PolicyView { files });
        assert!(!shown.contains("\u{1b}[2J") && !shown.contains('\u{202e}'));
    }
}
