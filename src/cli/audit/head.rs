//! `hallpass audit head`.

use clap::Args;

use super::super::error::CliError;
use super::super::{Done, Global};
use super::Where;
use crate::audit::Head;

/// Print the last record's place and hash: SEQ:HASH.
///
/// Written down elsewhere, it proves later that nothing up to that record was changed or cut off:
/// `hallpass audit verify --head SEQ:HASH`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass audit head
  hallpass audit head --from /var/lib/hallpass/audit >> /mnt/elsewhere/heads")]
pub(super) struct HeadArgs {
    #[command(flatten)]
    from: Where,
}

pub(super) fn run(global: &Global, args: &HeadArgs) -> Done {
    let archive = args.from.archive()?;
    let unreadable = |source| CliError::Audit {
        place: archive.source().name(),
        source,
    };
    let head = archive.head().map_err(unreadable)?;
    global.output().show(&head, Head::to_string)?;
    Ok(0)
}
