//! `hallpass user`: accounts, and one's own password and second factor.

mod admin;
mod own;

use clap::{Args, Subcommand};

use super::{Done, Global};

/// Accounts: who there is, and your own password and second factor.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass user add maya --group engineers
  hallpass user passwd
  hallpass user totp
  hallpass user list")]
pub(super) struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    Add(admin::AddArgs),
    List(admin::ListArgs),
    Groups(admin::GroupsArgs),
    Disable(admin::DisableArgs),
    Enable(admin::EnableArgs),
    Reset(admin::ResetArgs),
    Passwd(own::PasswdArgs),
    Totp(own::TotpArgs),
}

pub(super) async fn run(global: &Global, args: UserArgs) -> Done {
    match args.command {
        UserCommand::Add(args) => admin::add(global, args).await,
        UserCommand::List(_) => admin::list(global).await,
        UserCommand::Groups(args) => admin::groups(global, args).await,
        UserCommand::Disable(args) => admin::disable(global, &args).await,
        UserCommand::Enable(args) => admin::enable(global, &args).await,
        UserCommand::Reset(args) => admin::reset(global, &args).await,
        UserCommand::Passwd(_) => own::passwd(global).await,
        UserCommand::Totp(args) => own::totp(global, &args).await,
    }
}
