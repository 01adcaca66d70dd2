//! How far a destination has what it should: a small file per destination, so that a restart goes on
//! there and not at the beginning. The mark names the last record that is there, and is believed only
//! if the log has that very record: another log, or one that lost its end, is sent from its beginning.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::audit::follow::Follower;
use crate::audit::listing::segments;
use crate::audit::{Hash, Head};

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
    /// The hash of the record before it.
    hash: Hash,
}

/// What a record says of the one before it.
#[derive(Deserialize)]
struct Link {
    prev: Hash,
}

impl Mark {
    /// The mark of the destination `name`, which is at `url`, in `folder`.
    pub(super) fn new(folder: &Path, name: &str, url: &str) -> Self {
        Self {
            path: folder.join(format!("{name}.json")),
            url: url.to_owned(),
        }
    }

    /// The first record of the log in `folder` that the destination lacks: the oldest, if there is
    /// no mark, or one of another log. `written`: the sequence of the log's next record.
    ///
    /// # Errors
    /// If the mark or the folder cannot be read.
    pub(super) fn resume(&self, folder: &Path, written: u64) -> io::Result<u64> {
        let oldest = segments(folder)?.first().map_or(written, |it| it.first);
        let Some(head) = self.load()? else {
            return Ok(oldest);
        };
        let next = head.seq.saturating_add(1);
        // Before the oldest record nothing is passed over, so it need not be proved; what is
        // missing is told.
        if next < oldest || is_of_the_log(head, folder, written) {
            return Ok(next);
        }
        tracing::warn!(
            mark = %self.path.display(),
            "it was sent records up to {}, which are not those of this log, that goes up to {}: the audit was replaced, or lost its end; all of it is sent",
            head.seq,
            written.saturating_sub(1),
        );
        Ok(oldest)
    }

    /// The last record that the destination has; `None`: it has nothing. A mark that cannot be
    /// understood counts as none, for sending twice is harmless.
    ///
    /// # Errors
    /// If there is a file and it cannot be read.
    pub(super) fn load(&self) -> io::Result<Option<Head>> {
        match fs::read(&self.path) {
            Ok(text) => {
                let head = self.understand(&text);
                if head.is_none() {
                    tracing::warn!(
                        mark = %self.path.display(),
                        "it is of another place, or of an older hallpass: all of the audit is sent"
                    );
                }
                Ok(head)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn understand(&self, text: &[u8]) -> Option<Head> {
        let content: Content = serde_json::from_slice(text).ok()?;
        let head = Head {
            seq: content.next.checked_sub(1)?,
            hash: content.hash,
        };
        (content.url == self.url).then_some(head)
    }

    /// Says that `head` is the last record that is there, and returns when it survives a loss of power.
    ///
    /// # Errors
    /// What the file system says; the old mark is then still there.
    pub(super) fn save(&self, head: Head) -> io::Result<()> {
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
        let content = Content {
            url: self.url.clone(),
            next: head.seq + 1,
            hash: head.hash,
        };
        serde_json::to_writer(&mut file, &content)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(folder)?.sync_all()
    }
}

/// Whether the log has this record: itself, or, where it was deleted since, by what the one after it
/// says. A log that cannot be read there does not have it.
fn is_of_the_log(head: Head, folder: &Path, written: u64) -> bool {
    let read = |seq: u64| {
        let chunk = Follower::new(folder, seq).read(written, 1);
        chunk.ok().flatten()
    };
    if let Some(chunk) = read(head.seq.saturating_add(1)) {
        let link = chunk.lines().next();
        let link = link.and_then(|(_, line)| serde_json::from_slice::<Link>(line).ok());
        return link.is_some_and(|link| link.prev == head.hash);
    }
    read(head.seq).is_some_and(|chunk| chunk.head() == head)
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
        let head = Head::START.followed_by(b"{}");
        mark.save(Head::START).unwrap();
        mark.save(head).unwrap();
        assert_eq!(mark.load().unwrap(), Some(head));
        let moved = Mark::new(&folder, "siem", "https://other");
        assert_eq!(moved.load().unwrap(), None);
        for other in ["{", r#"{"url":"https://siem","next":42}"#] {
            fs::write(folder.join("siem.json"), other).unwrap();
            assert_eq!(mark.load().unwrap(), None, "{other}");
        }
    }
}
