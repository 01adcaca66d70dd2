//! What crashes cut off, set aside in files beside the segments.

use std::collections::BTreeMap;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::super::Event;
use super::super::source::Source;
use crate::secret::hex;

const SUFFIX: &str = ".torn";
/// Bytes that are read at a time.
const CHUNK: usize = 64 * 1024;

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
            if !is_aside(file) {
                notes.push(format!(
                    "a record says that {file} was set aside after a crash: hallpass gives no such name"
                ));
                continue;
            }
            match source.open(file).and_then(|found| holds(found, pieces)) {
                Ok(true) => {}
                Ok(false) => notes.push(format!(
                    "{file} is not what was set aside after a crash: it was changed since"
                )),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    notes.push(format!("{file}, set aside after a crash, is not there"));
                }
                Err(error) => notes.push(format!(
                    "{file}, set aside after a crash, cannot be read: {error}"
                )),
            }
        }
        let unnamed = |name: &String| name.ends_with(SUFFIX) && !self.pieces.contains_key(name);
        for file in source.list()?.into_iter().filter(unnamed) {
            notes.push(format!("{file} is not named by any record"));
        }
        Ok(notes)
    }
}

/// Whether hallpass may have set something aside under this name: one with a path in it would be
/// read from elsewhere.
fn is_aside(file: &str) -> bool {
    file.ends_with(SUFFIX) && !file.contains(['/', '\\'])
}

/// Whether a file is these pieces, one behind the other.
fn holds(mut file: impl Read, pieces: &[(u64, String)]) -> io::Result<bool> {
    for (len, hash) in pieces {
        let (read, found) = hash_of((&mut file).take(*len))?;
        if read != *len || found != *hash {
            return Ok(false);
        }
    }
    // Nothing may be behind them.
    Ok(file.read(&mut [0])? == 0)
}

/// How long it is, and its hash; it is not taken into memory.
fn hash_of(mut file: impl Read) -> io::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let mut bytes = vec![0; CHUNK];
    let mut all = 0;
    loop {
        let read = file.read(&mut bytes)?;
        if read == 0 {
            return Ok((all, hex(&hash.finalize())));
        }
        hash.update(&bytes[..read]);
        all += read as u64;
    }
}
