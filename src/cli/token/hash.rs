//! `hallpass token new-hash`: a fresh API token for the configuration.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::super::error::CliError;
use super::super::out::{BOLD, DIM, paint};
use super::super::{Done, Global};
use crate::secret::{Secret, hex, random, sha256};

/// Make a token for a principal of the configuration, and the line that goes there.
///
/// The server's configuration holds only the token's hash. Give the token to its owner by a way that
/// nobody else reads; it cannot be shown again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass token new-hash
  hallpass token new-hash --file ~/.config/hallpass/token")]
pub(in super::super) struct HashArgs {
    /// Write the token into this new file, for its owner's eyes only, instead of printing it.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Document {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    token_sha256: String,
}

pub(in super::super) fn run(global: &Global, args: &HashArgs) -> Done {
    let token = generate();
    if let Some(path) = &args.file {
        write(path, &token)?;
    }
    let document = Document {
        token: args.file.is_none().then(|| token.expose().to_owned()),
        token_sha256: digest(&token),
    };
    global.output().show(&document, text)?;
    Ok(0)
}

fn text(document: &Document) -> String {
    let line = format!("token_sha256 = \"{}\"", document.token_sha256);
    let Some(token) = &document.token else {
        return line;
    };
    let owner = paint(DIM, "# for its owner; it is not shown again");
    let server = paint(DIM, "# for the configuration, under [principals.NAME]");
    format!("{owner}\n{}\n{server}\n{line}", paint(BOLD, token))
}

/// A new token of 192 random bits.
pub(in super::super) fn generate() -> Secret {
    Secret::new(format!("hpt_{}", hex(&random::<24>())))
}

/// What the configuration knows of a token.
pub(in super::super) fn digest(token: &Secret) -> String {
    hex(&sha256(token.expose().as_bytes()))
}

/// Writes a secret into a new file that only its owner can read.
pub(in super::super) fn write(path: &Path, secret: &Secret) -> Result<(), CliError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| writeln!(file, "{}", secret.expose()))
        .map_err(CliError::file(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn tokens_differ_and_their_digest_is_that_of_the_text() {
        let (one, other) = (generate(), generate());
        assert_ne!(one.expose(), other.expose());
        assert!(one.expose().starts_with("hpt_") && one.expose().len() >= 4 + 40);
        assert_eq!(
            digest(&Secret::new("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_token_file_is_for_its_owner_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        write(&path, &Secret::new("hpt_x")).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hpt_x\n");
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(write(&path, &Secret::new("hpt_y")).is_err());
    }
}
