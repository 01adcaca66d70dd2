//! `hallpass completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Done, out};

/// Print completions for your shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass completions bash > ~/.local/share/bash-completion/completions/hallpass
  hallpass completions zsh > \"${fpath[1]}/_hallpass\"
  hallpass completions fish > ~/.config/fish/completions/hallpass.fish")]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> Done {
    out::print(&script(args.shell))?;
    Ok(0)
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hallpass", &mut script);
    String::from_utf8(script).expect("completions are made of our own ASCII help texts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_completes_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for command in ["connect", "request", "completions"] {
                assert!(script.contains(command), "{shell}: {command}");
            }
        }
    }
}
