//! `hallpass login`: signs in, and writes `cli.toml`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::api::Api;
use super::error::CliError;
use super::settings::{self, CliFile};
use super::{Done, Global, ask, oidc, out, token};
use crate::http::types::{Login, NewToken};
use crate::secret::Secret;

/// Sign in, and write down where the server is and who you are, in ~/.config/hallpass.
///
/// Asks for name, password and, if your account has a second factor, a code; without a terminal they
/// are read from standard input, a line each. The token that you get lasts for hours, not days.
/// With --token-file an API token that you have already is used instead.
///
/// Arguments and environment variables (HALLPASS_URL, HALLPASS_CA, HALLPASS_TOKEN,
/// HALLPASS_TOKEN_FILE) win over what is written down.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass login --url https://hallpass.example.com:8432
  hallpass login --name maya
  hallpass login --oidc
  hallpass login --browser
  hallpass login --url https://hallpass.example.com:8432 --token-file ~/.config/hallpass/pat")]
pub(super) struct LoginArgs {
    /// Your account's name; asked for if it is not given.
    #[arg(long, conflicts_with = "token_file")]
    name: Option<String>,
    /// Sign in with the OpenID provider, on any device: you get a code to type there.
    #[arg(long, conflicts_with_all = ["name", "token_file"])]
    oidc: bool,
    /// Sign in with the OpenID provider in a browser on this machine.
    #[arg(long, conflicts_with_all = ["name", "token_file", "oidc"])]
    browser: bool,
    /// Sign in with the API token in this file instead; it is read at each command, not copied.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(super) async fn run(global: &Global, args: LoginArgs) -> Done {
    let folder = settings::folder().ok_or_else(|| {
        CliError::Usage("HOME is not set, so there is no place for cli.toml".into())
    })?;
    if let Some(token_file) = &args.token_file {
        let path = remember(global, &folder, absolute(token_file)?)?;
        out::print(&format!("Written: {}", path.display()))?;
        return Ok(0);
    }
    let api = Api::for_anybody(settings::gather_for_login(global)?)?;
    let made = match (args.oidc, args.browser) {
        (true, _) => oidc::on_a_device(&api).await?,
        (_, true) => oidc::in_a_browser(&api).await?,
        _ => sign_in(&api, args.name).await?,
    };
    let token_file = folder.join("token");
    fs::create_dir_all(&folder).map_err(CliError::file(&folder))?;
    keep(&token_file, &Secret::new(made.token))?;
    remember(global, &folder, token_file)?;
    global.output().show(&made.known, token::signed_in)?;
    Ok(0)
}

async fn sign_in(api: &Api, name: Option<String>) -> Result<NewToken, CliError> {
    let name = name.map_or_else(|| ask::text("Name"), Ok)?;
    let password = ask::secret("Password, or setup code")?;
    let code = ask::text("Code of your second factor (empty if there is none)")?;
    let login = Login {
        name,
        password: password.expose().to_owned(),
        code: Some(code).filter(|code| !code.is_empty()),
        new_password: None,
    };
    match api.login(&login).await {
        Err(CliError::Problem(problem)) if problem.code == "password_needed" => {
            out::note("That was a setup code: choose a password of at least 12 characters.");
            let new = ask::new_secret("New password")?;
            let new_password = Some(new.expose().to_owned());
            api.login(&Login {
                new_password,
                ..login
            })
            .await
        }
        done => done,
    }
}

/// Writes down where the server is, if that was given, and where the token is.
fn remember(global: &Global, folder: &Path, token_file: PathBuf) -> Result<PathBuf, CliError> {
    let path = folder.join("cli.toml");
    let before = settings::read(&path).unwrap_or_default();
    let url = global.url.as_deref().map(settings::checked).transpose()?;
    let ca = global.ca.as_deref().map(absolute).transpose()?;
    let file = CliFile {
        url: url.or(before.url),
        token_file: Some(token_file),
        ca: ca.or(before.ca),
    };
    write(&path, &file)?;
    Ok(path)
}

/// Replaces the token, for its owner's eyes only.
fn keep(path: &Path, token: &Secret) -> Result<(), CliError> {
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    token::write(&new, token)?;
    fs::rename(&new, path).map_err(CliError::file(path))
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
