//! Where a log is read from: a folder, one file, or another store of files.

mod directory;
mod file;

use std::io::{self, Read};
use std::ops::Range;

pub use directory::Directory;
pub use file::SingleFile;

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
