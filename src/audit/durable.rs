//! Files and folders that a loss of power leaves whole.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a file (mode 0600) that is there whole and on stable storage, or not at all; its name is
/// so only once its folder is [synced](sync_folder).
///
/// # Errors
/// If the file system refuses; nothing is left then.
pub(super) fn whole<T>(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<T>,
) -> io::Result<T> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&name)?;
    let result = write(&mut file).and_then(|result| {
        file.sync_all()?;
        fs::rename(&name, path)?;
        Ok(result)
    });
    if result.is_err() {
        // The disk may be full: the writer needs the room more.
        let _ = fs::remove_file(&name);
    }
    result
}

/// Returns when the names in a folder survive a loss of power.
///
/// # Errors
/// If the file system refuses.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a file if it is there.
///
/// # Errors
/// If the file system refuses.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
