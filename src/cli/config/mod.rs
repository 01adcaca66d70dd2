//! `hallpass config`: the configuration, checked, and compared with what is in force.

mod check;
mod diff;
mod ends;

use clap::{Args, Subcommand};

use super::{Done, Global};

pub(super) use check::{policies, refused};

/// Work with the configuration file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass config check --config /etc/hallpass/hallpass.toml
  hallpass config diff --config hallpass.toml")]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Check(check::CheckArgs),
    Diff(diff::DiffArgs),
}

pub(super) async fn run(global: &Global, args: ConfigArgs) -> Done {
    match args.command {
        ConfigCommand::Check(args) => check::run(global, &args),
        ConfigCommand::Diff(args) => diff::run(global, &args).await,
    }
}
