//! `hallpass config`.

use clap::{Args, Subcommand};

use super::serve::ServeArgs;
use super::{Done, Global};

/// Work with the configuration file.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass config check --config /etc/hallpass/hallpass.toml")]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Read the configuration file and say what it means, or all that is wrong with it.
    Check(CheckArgs),
}

/// Read the configuration file and say what it means, or all that is wrong with it.
///
/// Nothing is started, changed or connected to. Exit code 1 if `serve` would refuse the file.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass config check --config /etc/hallpass/hallpass.toml")]
struct CheckArgs {
    #[command(flatten)]
    file: ServeArgs,
}

pub(super) fn run(_global: &Global, args: &ConfigArgs) -> Done {
    let ConfigCommand::Check(_args) = &args.command;
    Err(super::CliError::BadConfiguration)
}
