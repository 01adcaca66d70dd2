//! Which segments a folder holds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::FileKind;

/// A segment that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Present {
    /// The sequence of its first record.
    pub(super) first: u64,
    /// As it was written, if it is there as such, else sealed.
    pub(super) kind: FileKind,
    /// Bytes of that file.
    pub(super) bytes: u64,
    /// Whether it is sealed and done: compressed, and with its index.
    pub(super) complete: bool,
}

impl Present {
    /// Its file.
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(self.kind.name(self.first))
    }
}

/// The segments of a folder, in order. One that is just being sealed counts as raw.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<Present>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Some((first, kind)) = entry.file_name().to_str().and_then(FileKind::parse) else {
            continue;
        };
        // It may have been sealed, or deleted, since the folder was listed.
        match entry.metadata() {
            Ok(metadata) => files.push((first, kind, metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    files.sort_unstable();
    let groups = files.chunk_by(|a, b| a.0 == b.0);
    Ok(groups.filter_map(present).collect())
}

/// The segment that these files, of one sequence, are.
fn present(files: &[(u64, FileKind, u64)]) -> Option<Present> {
    let has = |wanted| files.iter().any(|(_, kind, _)| *kind == wanted);
    let &(first, kind, bytes) = files.iter().find(|(_, kind, _)| *kind != FileKind::Index)?;
    Some(Present {
        first,
        kind,
        bytes,
        complete: has(FileKind::Sealed) && has(FileKind::Index),
    })
}
