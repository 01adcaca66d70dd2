//! What a hallpass that died left open: the next one closes it, with an outcome that nobody knows.

use std::io;
use std::path::Path;

use super::archive::Archive;
use super::files::FileKind;
use super::folder::OpenError;
use super::open::Open;
use super::source::Directory;
use super::{Batch, Event, reader};
use crate::clock::Clock;

/// The records that a start begins with: of a torn line, and of what was left open.
pub(super) fn left_behind(
    folder: &Path,
    torn: &[Event],
    clock: &Clock,
) -> Result<Batch, OpenError> {
    let open = open_at_end(folder).map_err(|source| OpenError::Io {
        path: folder.to_owned(),
        source,
    })?;
    let mut batch = Batch::new(clock.now());
    for torn in torn {
        batch.push(torn);
    }
    for event in open.closing() {
        batch.push(&event);
    }
    Ok(batch)
}

/// What is open after the last record: of the sealed segments the newest index says it, of those
/// behind it their lines do.
fn open_at_end(folder: &Path) -> io::Result<Open> {
    let archive = Archive::open(Box::new(Directory(folder.to_owned())))?;
    let segments = archive.segments();
    let raw = |kind| kind == FileKind::Raw;
    let unsealed = segments.iter().rposition(|it| !raw(it.kind));
    let (sealed, unsealed) = segments.split_at(unsealed.map_or(0, |position| position + 1));
    let index = sealed.last().map(|segment| archive.index(segment));
    let mut open = match index.transpose()?.flatten() {
        Some(index) => index.open,
        None => Open::default(),
    };
    for record in unsealed
        .iter()
        .flat_map(|it| reader::segment_records(&archive, it))
    {
        match record {
            Ok(record) => open.note(&record.event),
            // `verify` names it; what is sound goes on.
            Err(error) => tracing::error!(%error, "the audit log is damaged"),
        }
    }
    Ok(open)
}
