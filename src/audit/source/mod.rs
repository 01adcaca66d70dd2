//! Where a log is read from: a folder, one file, or another store of files.

mod bucket;
mod directory;
mod file;

use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;

pub use bucket::InBucket;
pub use directory::Directory;
pub use file::SingleFile;

/// The log that people call `text`: a folder, one segment's file, or a bucket's URL.
///
/// # Errors
/// If there is nothing of that name, or it is no place that a log can be read from.
pub fn open(text: &str) -> io::Result<Box<dyn Source>> {
    let path = match text.strip_prefix("file://") {
        Some(path) => PathBuf::from(path),
        None if text.contains("://") => return Ok(Box::new(InBucket::open(text)?)),
        None => PathBuf::from(text),
    };
    Ok(match fs::metadata(&path)?.is_dir() {
        true => Box::new(Directory(path)),
        false => Box::new(SingleFile::new(path)?),
    })
}

/// Files with names, as a folder has them.
pub trait Source: Send + Sync {
    /// How people call it.
    fn name(&self) -> String;

    /// The names of its files.
    ///
    /// # Errors
    /// If it cannot be listed.
    fn list(&self) -> io::Result<Vec<String>>;

    /// A file from its beginning.
    ///
    /// # Errors
    /// If it cannot be read; of kind `NotFound` if it is not there.
    fn open(&self, file: &str) -> io::Result<Box<dyn Read + Send>>;

    /// A part of a file.
    ///
    /// # Errors
    /// If it cannot be read, or ends before.
    fn read_range(&self, file: &str, range: Range<u64>) -> io::Result<Vec<u8>>;

    /// Whether it is a copy that comes behind the log: its newest records may not be there yet.
    fn lags(&self) -> bool {
        false
    }

    /// A whole file.
    ///
    /// # Errors
    /// As [`Source::open`], or while reading.
    fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(file)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
