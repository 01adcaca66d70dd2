//! `hallpass audit`: reading the audit, from wherever it is, without a server.
//!
//! A file per subcommand; which log is read, all of them take as [`Where`].

mod head;
mod key;
mod place;
mod verify;

use clap::{Args, Subcommand};

use super::{Done, Global};
use place::Where;

/// Verify and read the audit: in its folder, in a copy of it, or in a bucket.
///
/// Needs no server and no token, only the files.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass audit key > audit.pub
  hallpass audit verify --from /var/lib/hallpass/audit --key audit.pub
  hallpass audit head --from /var/lib/hallpass/audit")]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

/// The subcommands; what `--help` says of each is the comment on its arguments.
#[derive(Debug, Subcommand)]
enum AuditCommand {
    Verify(verify::VerifyArgs),
    Key(key::KeyArgs),
    Head(head::HeadArgs),
}

pub(super) async fn run(global: &Global, args: AuditArgs) -> Done {
    match args.command {
        AuditCommand::Verify(args) => verify::run(global, args),
        AuditCommand::Key(args) => key::run(global, &args),
        AuditCommand::Head(args) => head::run(global, &args),
    }
}
