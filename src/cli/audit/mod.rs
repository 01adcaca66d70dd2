//! `hallpass audit`: reading the audit, from wherever it is, without a server; and what auditors
//! ask of one.
//!
//! A file per subcommand; which log is read, all of them take as [`Where`].

mod export;
mod filters;
mod form;
mod head;
mod holds;
mod key;
mod place;
mod replay;
mod row;
mod search;
mod show;
mod stats;
mod tail;
mod verify;
mod when;
mod which;
mod words;

use clap::{Args, Subcommand};

use super::error::CliError;
use super::out::{self, WARN};
use super::{Done, Global};
use crate::audit::archive::Archive;
use crate::audit::reader::ReadError;
use crate::audit::search::Coverage;
use place::Where;

/// Verify and read the audit: in its folder, in a copy of it, or in a bucket.
///
/// That needs no server and no token, only the files. What is to be kept of it, auditors tell the
/// server: hold, release, holds.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass audit key > audit.pub
  hallpass audit verify --from /var/lib/hallpass/audit --key audit.pub
  hallpass audit head --from /var/lib/hallpass/audit
  hallpass audit search --principal maya --since 2h
  hallpass audit show --last --principal maya")]
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
    Hold(holds::HoldArgs),
    Release(holds::ReleaseArgs),
    Holds(holds::HoldsArgs),
    Show(show::ShowArgs),
    Replay(replay::ReplayArgs),
    Search(Box<search::SearchArgs>),
    Tail(Box<tail::TailArgs>),
    Stats(Box<stats::StatsArgs>),
    Export(Box<export::ExportArgs>),
}

impl AuditArgs {
    /// Whether it has an output as CSV.
    pub(super) fn has_csv(&self) -> bool {
        matches!(
            self.command,
            AuditCommand::Search(_) | AuditCommand::Tail(_)
        )
    }
}

pub(super) async fn run(global: &Global, args: AuditArgs) -> Done {
    match args.command {
        AuditCommand::Verify(args) => verify::run(global, args),
        AuditCommand::Key(args) => key::run(global, &args),
        AuditCommand::Head(args) => head::run(global, &args),
        AuditCommand::Hold(args) => holds::hold(global, args).await,
        AuditCommand::Release(args) => holds::release(global, args).await,
        AuditCommand::Holds(_) => holds::list(global).await,
        AuditCommand::Show(args) => show::run(global, &args),
        AuditCommand::Replay(args) => replay::run(global, args).await,
        AuditCommand::Search(args) => search::run(global, &args).await,
        AuditCommand::Export(args) => export::run(global, &args),
        AuditCommand::Stats(args) => stats::run(global, &args),
        AuditCommand::Tail(args) => tail::run(global, &args).await,
    }
}

/// A log that cannot be read, as an error of the command.
fn unreadable(archive: &Archive, error: ReadError) -> CliError {
    CliError::Audit {
        place: archive.source().name(),
        source: std::io::Error::other(error),
    }
}

/// Says how many lines were passed over, if any.
fn warn_of_unreadable(read: Coverage) {
    if read.unreadable > 0 {
        let what = format!(
            "{} lines are not records and were passed over: hallpass audit verify",
            read.unreadable
        );
        out::note(&out::paint(WARN, &what));
    }
}
