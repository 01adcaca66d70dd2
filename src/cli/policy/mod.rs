//! `hallpass policy`: who may do what, checked, explained and shown.

mod check;
mod explain;
mod show;

use clap::{Args, Subcommand};

use super::{Done, Global};

/// Check and explain the policies that say who may do what.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass policy check policies
  hallpass policy explain --action request --target orders-admin --for 2h
  hallpass policy show")]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    Check(check::CheckArgs),
    Explain(explain::ExplainArgs),
    Show(show::ShowArgs),
}

pub(super) async fn run(global: &Global, args: PolicyArgs) -> Done {
    match args.command {
        PolicyCommand::Check(args) => check::run(global, &args),
        PolicyCommand::Explain(args) => explain::run(global, args).await,
        PolicyCommand::Show(args) => show::run(global, &args).await,
    }
}
