//! `hallpass login`: writes `cli.toml`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::error::CliError;
use super::settings::{self, CliFile};
use super::{Done, Global, out};

/// Write down where the server is and where your token is, in ~/.config/hallpass/cli.toml.
///
/// What is not given stays unset. Arguments and environment variables (HALLPASS_URL, HALLPASS_CA,
/// HALLPASS_TOKEN, HALLPASS_TOKEN_FILE) win over the file.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass login --url https://hallpass.example.com:8432 --token-file ~/.config/hallpass/token")]
pub(super) struct LoginArgs {
    /// The file that holds your API token; it is read at each command, not copied.
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
}

pub(super) fn run(global: &Global, args: &LoginArgs) -> Done {
    let folder = settings::folder().ok_or_else(|| {
        CliError::Usage("HOME is not set, so there is no place for cli.toml".into())
    })?;
    let file = CliFile {
        url: global.url.as_deref().map(settings::checked).transpose()?,
        token_file: Some(absolute(&args.token_file)?),
        ca: global.ca.as_deref().map(absolute).transpose()?,
    };
    let path = folder.join("cli.toml");
    write(&path, &file)?;
    out::print(&format!("Written: {}", path.display()))?;
    Ok(0)
}

/// The path of a file that exists, whatever the working directory will be.
fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    path.canonicalize().map_err(CliError::file(path))
}

fn write(path: &Path, file: &CliFile) -> Result<(), CliError> {
    let text = toml::to_string(file).expect("two paths and an address are TOML");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(CliError::file(folder))?;
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut open| open.write_all(text.as_bytes()))
        .map_err(CliError::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hallpass/cli.toml");
        let file = CliFile {
            url: Some("https://x".into()),
            token_file: Some("/t".into()),
            ca: None,
        };
        write(&path, &file).unwrap();
        let back: CliFile = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(back.url.as_deref(), Some("https://x"));
        assert_eq!(back.token_file.as_deref(), Some(Path::new("/t")));
        assert!(back.ca.is_none());
    }
}
