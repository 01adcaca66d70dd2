//! `hallpass audit head`.

use clap::Args;

use super::super::error::CliError;
use super::super::{Done, Global};
use super::Where;
use crate::audit::archive::Archive;
use crate::audit::{Head, Record};

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
    let head = last(&archive).map_err(unreadable)?;
    global.output().show(&head, Head::to_string)?;
    Ok(0)
}

/// The last whole record of the last segment that has one.
fn last(archive: &Archive) -> std::io::Result<Head> {
    for segment in archive.segments().iter().rev() {
        if let Some(index) = archive.index(segment)? {
            return Ok(index.last);
        }
        let mut last = None;
        for block in archive.blocks(segment) {
            last = block?.lines().last().map(<[u8]>::to_vec).or(last);
        }
        if let Some(line) = last {
            let seq = serde_json::from_slice::<Record>(&line)?.seq;
            let head = Head::START.followed_by(&line);
            return Ok(Head { seq, ..head });
        }
    }
    Ok(Head::START)
}
