//! Files and folders that a loss of power leaves whole.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

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

/// Makes a folder (mode 0700), and those above it that are missing, so that a loss of power does not
/// take them away again with all that is in them. Returns the folders that got a name.
///
/// # Errors
/// If the file system refuses.
pub fn make_folder(path: &Path) -> io::Result<Vec<PathBuf>> {
    let missing = path.ancestors().take_while(|it| !exists(it));
    let holders: Vec<PathBuf> = missing.map(holder).collect();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    for holder in &holders {
        sync_readable(holder)?;
    }
    Ok(holders)
}

/// Returns when the name of a file that was just made survives a loss of power.
///
/// # Errors
/// If the file system refuses.
pub(super) fn sync_name(path: &Path) -> io::Result<()> {
    sync_readable(&holder(path))
}

fn exists(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.exists()
}

/// The folder that a name is in.
fn holder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) => PathBuf::from("."),
        None => path.to_owned(),
    }
}

/// One that may be written to and not read cannot be synced: then when the kernel likes.
fn sync_readable(folder: &Path) -> io::Result<()> {
    match sync_folder(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_folder_that_is_made_the_name_is_brought_to_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let (data, audit) = (dir.path().join("data"), dir.path().join("data/audit"));
        let synced = make_folder(&audit).unwrap();
        assert_eq!(synced, [data, dir.path().to_owned()]);
        assert!(audit.is_dir());
        assert_eq!(make_folder(&audit).unwrap(), [] as [PathBuf; 0]);
        assert_eq!(holder(Path::new("audit.key")), Path::new("."));
    }
}
