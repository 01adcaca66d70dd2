//! Reads records back, in order.

use std::io;
use std::path::Path;

use super::Record;
use super::archive::{Archive, Block, Stored};
use super::source::Directory;

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// A line is not a record.
    #[error("{file}, line {line}: {source}")]
    Malformed {
        /// The segment's file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl ReadError {
    /// The file. The error itself may quote what is in it.
    pub fn file(&self) -> &str {
        match self {
            Self::Io { file, .. } | Self::Malformed { file, .. } => file,
        }
    }

    /// For `map_err`: what went wrong with a segment.
    pub(super) fn in_segment(segment: &Stored) -> impl FnOnce(io::Error) -> Self {
        let file = segment.file();
        move |source| Self::Io { file, source }
    }
}

/// The records of a folder, from the oldest on. A last line that is still being written is left out.
///
/// # Errors
/// If the folder cannot be listed; each item may fail on its own.
pub fn records(folder: &Path) -> io::Result<impl Iterator<Item = Result<Record, ReadError>>> {
    let archive = Archive::open(Box::new(Directory(folder.to_owned())))?;
    let segments = archive.segments().to_vec();
    Ok(segments
        .into_iter()
        .flat_map(move |segment| segment_records(&archive, &segment)))
}

/// The records of one segment, in order.
pub fn segment_records(
    archive: &Archive,
    segment: &Stored,
) -> impl Iterator<Item = Result<Record, ReadError>> + use<> {
    let file = segment.file();
    let mut line = 0;
    archive.blocks(segment).flat_map(move |block| match block {
        Ok(block) => parse(&block, &file, &mut line),
        Err(source) => vec![Err(ReadError::Io {
            file: file.clone(),
            source,
        })],
    })
}

fn parse(block: &Block, file: &str, line: &mut usize) -> Vec<Result<Record, ReadError>> {
    let parse = |bytes: &[u8]| {
        *line += 1;
        serde_json::from_slice(bytes).map_err(|source| ReadError::Malformed {
            file: file.to_owned(),
            line: *line,
            source,
        })
    };
    block.lines().map(parse).collect()
}
