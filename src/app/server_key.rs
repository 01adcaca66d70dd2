//! The server's own key: made once, kept in a file that only its owner reads.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use crate::secret::{ServerKey, hex};

/// Reads the key at `path`; makes it if there is none.
pub(super) fn load_or_make(path: &Path) -> anyhow::Result<ServerKey> {
    let name = || format!("the server key {}", path.display());
    match fs::read_to_string(path) {
        Ok(text) => parse(Zeroizing::new(text).trim()).with_context(name),
        Err(error) if error.kind() == ErrorKind::NotFound => make(path).with_context(name),
        Err(error) => Err(error).with_context(name),
    }
}

fn make(path: &Path) -> anyhow::Result<ServerKey> {
    let key = ServerKey::generate();
    // Whole or not at all: a key cut by a crash would lock everybody out.
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&new)?;
    let text = Zeroizing::new(hex(key.expose()) + "\n");
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    Ok(key)
}

fn parse(text: &str) -> anyhow::Result<ServerKey> {
    let mut bytes = Zeroizing::new([0; 32]);
    if text.len() != 64 || !text.is_ascii() {
        bail!("expected 64 hexadecimal digits");
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits)?;
        *byte = u8::from_str_radix(digits, 16).context("expected 64 hexadecimal digits")?;
    }
    Ok(ServerKey::from_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = load_or_make(&path).unwrap();
        let read = load_or_make(&path).unwrap();
        assert_eq!(made.expose(), read.expose());
    }

    #[test]
    fn a_damaged_key_is_refused_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "abc").unwrap();
        assert!(load_or_make(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "abc");
    }
}
