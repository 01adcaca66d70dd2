//! Where a log is read from: a folder, one file, or another store of files.

mod directory;
mod file;

use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;

pub use directory::Directory;
pub use file::SingleFile;

/// The log that people call `text`: a folder, or one segment's file.
///
/// # Errors
/// If there is nothing of that name, or it is no place that a log can be read from.
pub fn open(text: &str) -> io::Result<Box<dyn Source>> {
    if text.contains("://") {
        let message = "logs are read from folders and files only";
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    let path = PathBuf::from(text);
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
