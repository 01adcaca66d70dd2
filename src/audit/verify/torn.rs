//! What crashes cut off, set aside in files beside the segments.

use std::collections::BTreeMap;
use std::io;

use super::super::Event;
use super::super::source::Source;
use crate::secret::{hex, sha256};

const SUFFIX: &str = ".torn";

/// What the log says of files that were set aside.
#[derive(Default)]
pub(super) struct Torn {
    /// Pieces by their file, in order: how many bytes, and their hash.
    pieces: BTreeMap<String, Vec<(u64, String)>>,
}

impl Torn {
    /// A record says that a piece was set aside.
    pub(super) fn note(&mut self, event: &Event) {
        if let Event::SegmentTorn {
            file,
            bytes,
            sha256,
        } = event
        {
            let pieces = self.pieces.entry(file.clone()).or_default();
            pieces.push((*bytes, sha256.clone()));
        }
    }

    /// What is odd about the files: a warning, for they hold no record.
    pub(super) fn notes(&self, source: &dyn Source) -> io::Result<Vec<String>> {
        let mut notes = Vec::new();
        for (file, pieces) in &self.pieces {
            // A name with a path in it would be read from elsewhere.
            let found = match file.contains(['/', '\\']) {
                true => Err(io::ErrorKind::NotFound.into()),
                false => source.read(file),
            };
            match found {
                Ok(bytes) if holds(&bytes, pieces) => {}
                Ok(_) => notes.push(format!(
                    "{file} is not what was set aside after a crash: it was changed since"
                )),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    notes.push(format!("{file}, set aside after a crash, is not there"));
                }
                Err(error) => return Err(error),
            }
        }
        let unnamed = |name: &String| name.ends_with(SUFFIX) && !self.pieces.contains_key(name);
        for file in source.list()?.into_iter().filter(unnamed) {
            notes.push(format!("{file} is not named by any record"));
        }
        Ok(notes)
    }
}

/// Whether a file is these pieces, one behind the other.
fn holds(bytes: &[u8], pieces: &[(u64, String)]) -> bool {
    let mut rest = bytes;
    for (len, hash) in pieces {
        let len = usize::try_from(*len).unwrap_or(usize::MAX);
        let Some((piece, behind)) = rest.split_at_checked(len) else {
            return false;
        };
        if hex(&sha256(piece)) != *hash {
            return false;
        }
        rest = behind;
    }
    rest.is_empty()
}
