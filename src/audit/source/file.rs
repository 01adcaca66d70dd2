//! One segment's file by itself.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;

use super::Source;
use super::directory::read_range;
use crate::audit::files::open_regular;

/// One file; nothing beside it is looked at.
#[derive(Debug, Clone)]
pub struct SingleFile {
    path: PathBuf,
    name: String,
}

impl SingleFile {
    /// The file at `path`.
    ///
    /// # Errors
    /// If the path does not end in a name.
    pub fn new(path: PathBuf) -> io::Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
        Ok(Self { path, name })
    }

    fn file(&self, name: &str) -> io::Result<File> {
        match name == self.name {
            true => open_regular(&self.path),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Source for SingleFile {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(vec![self.name.clone()])
    }

    fn open(&self, file: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.file(file)?))
    }

    fn read_range(&self, file: &str, range: Range<u64>) -> io::Result<Vec<u8>> {
        read_range(&self.file(file)?, range)
    }
}
