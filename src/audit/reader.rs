//! Reads segments back, in order.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::{Record, segment};

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A line is not a record.
    #[error("{}, line {line}: {source}", path.display())]
    Malformed {
        /// The segment.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The records of a folder, from the oldest on. A last line that is still being written is left out.
///
/// # Errors
/// If the folder cannot be listed; each item may fail on its own.
pub fn records(folder: &Path) -> io::Result<impl Iterator<Item = Result<Record, ReadError>>> {
    let segments = segment::list(folder)?;
    Ok(segments
        .into_iter()
        .flat_map(|(_, path)| segment_records(path)))
}

fn segment_records(path: PathBuf) -> impl Iterator<Item = Result<Record, ReadError>> {
    let (mut lines, mut failed) = match File::open(&path) {
        Ok(file) => (Some(BufReader::new(file)), None),
        Err(source) => (
            None,
            Some(ReadError::Io {
                path: path.clone(),
                source,
            }),
        ),
    };
    let mut number = 0;
    std::iter::from_fn(move || {
        if let Some(error) = failed.take() {
            return Some(Err(error));
        }
        let mut line = Vec::new();
        match lines.as_mut()?.read_until(b'\n', &mut line) {
            Ok(_) if line.last() != Some(&b'\n') => None,
            Ok(_) => {
                number += 1;
                Some(
                    serde_json::from_slice(&line).map_err(|source| ReadError::Malformed {
                        path: path.clone(),
                        line: number,
                        source,
                    }),
                )
            }
            Err(source) => {
                lines = None;
                Some(Err(ReadError::Io {
                    path: path.clone(),
                    source,
                }))
            }
        }
    })
}
