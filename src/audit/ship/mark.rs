//! How far a destination has what it should: a small file per destination, so that a restart goes on
//! there and not at the beginning.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file of one destination.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    path: PathBuf,
    url: String,
}

#[derive(Serialize, Deserialize)]
struct Content {
    /// Where the records went; another place begins anew.
    url: String,
    /// The first record that the destination lacks.
    next: u64,
}

impl Mark {
    /// The mark of the destination `name`, which is at `url`, in `folder`.
    pub(super) fn new(folder: &Path, name: &str, url: &str) -> Self {
        Self {
            path: folder.join(format!("{name}.json")),
            url: url.to_owned(),
        }
    }

    /// The first record that the destination lacks; `None`: it has nothing. A mark that cannot be
    /// understood counts as none, for sending twice is harmless.
    ///
    /// # Errors
    /// If there is a file and it cannot be read.
    pub(super) fn load(&self) -> io::Result<Option<u64>> {
        match fs::read(&self.path) {
            Ok(text) => Ok(self.understand(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn understand(&self, text: &[u8]) -> Option<u64> {
        let content: Content = serde_json::from_slice(text).ok()?;
        (content.url == self.url).then_some(content.next)
    }

    /// Replaces the mark, and returns when it survives a loss of power.
    ///
    /// # Errors
    /// What the file system says; the old mark is then still there.
    pub(super) fn save(&self, next: u64) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let new = self.path.with_extension("new");
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        let url = self.url.clone();
        serde_json::to_writer(&mut file, &Content { url, next })?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_again_unless_the_destination_is_another_place() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("ship");
        let mark = Mark::new(&folder, "siem", "https://siem");
        assert_eq!(mark.load().unwrap(), None);
        mark.save(7).unwrap();
        mark.save(42).unwrap();
        assert_eq!(mark.load().unwrap(), Some(42));
        let moved = Mark::new(&folder, "siem", "https://other");
        assert_eq!(moved.load().unwrap(), None);
        fs::write(folder.join("siem.json"), "{").unwrap();
        assert_eq!(mark.load().unwrap(), None);
    }
}
