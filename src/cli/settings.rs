//! Where the server is and who is asking: from arguments, the environment, and `cli.toml`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Global;
use super::error::CliError;
use crate::secret::Secret;

const DEFAULT_URL: &str = "http://127.0.0.1:8432";

/// All that a call to the API needs.
#[derive(Debug)]
pub(super) struct Settings {
    /// The server's address, without a slash at its end.
    pub(super) url: String,
    /// The API token and where it came from.
    pub(super) token: Option<(Secret, String)>,
    /// The certificates to trust, instead of the system's.
    pub(super) ca: Option<PathBuf>,
}

/// `~/.config/hallpass/cli.toml`. Paths in it are relative to its folder.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CliFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ca: Option<PathBuf>,
}

type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The settings that hold here: arguments, then the environment, then `cli.toml`.
pub(super) fn gather(global: &Global) -> Result<Settings, CliError> {
    gather_from(global, &|name| std::env::var_os(name))
}

/// Whether somebody said where the server is.
pub(super) fn is_configured(global: &Global) -> bool {
    let file = folder().and_then(|folder| read(&folder.join("cli.toml")).ok());
    global.url.is_some() || file.is_some_and(|file| file.url.is_some())
}

/// The settings for signing in: a token that is there, or should be, does not matter.
pub(super) fn gather_for_login(global: &Global) -> Result<Settings, CliError> {
    let folder = folder();
    let file = folder.as_ref().map(|folder| read(&folder.join("cli.toml")));
    let file = file.transpose()?.unwrap_or_default();
    let url = global.url.clone().or(file.url);
    let beside = |ca: PathBuf| folder.as_deref().map_or(ca.clone(), |it| it.join(ca));
    Ok(Settings {
        url: checked(&url.unwrap_or_else(|| DEFAULT_URL.to_owned()))?,
        token: None,
        ca: global.ca.clone().or_else(|| file.ca.map(beside)),
    })
}

/// The user's folder for hallpass's files; `None` if they have no home.
pub(super) fn folder() -> Option<PathBuf> {
    folder_from(&|name| std::env::var_os(name))
}

fn folder_from(lookup: Lookup<'_>) -> Option<PathBuf> {
    let base = set(lookup, "XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(set(lookup, "HOME")?).join(".config")))?;
    Some(base.join("hallpass"))
}

fn gather_from(global: &Global, lookup: Lookup<'_>) -> Result<Settings, CliError> {
    let folder = folder_from(lookup);
    let file = match &folder {
        Some(folder) => read(&folder.join("cli.toml"))?,
        None => CliFile::default(),
    };
    let beside = |path: PathBuf| folder.as_deref().map_or(path.clone(), |f| f.join(path));
    let url = global.url.clone().or(file.url);
    Ok(Settings {
        url: checked(&url.unwrap_or_else(|| DEFAULT_URL.to_owned()))?,
        token: token(lookup, file.token_file.map(beside))?,
        ca: global.ca.clone().or_else(|| file.ca.map(beside)),
    })
}

fn set(lookup: Lookup<'_>, name: &str) -> Option<OsString> {
    lookup(name).filter(|value| !value.is_empty())
}

pub(super) fn read(path: &Path) -> Result<CliFile, CliError> {
    match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| CliError::BadFile {
            path: path.to_owned(),
            what: error.to_string(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(CliFile::default()),
        Err(error) => Err(CliError::file(path)(error)),
    }
}

/// The address without a slash at its end.
pub(super) fn checked(url: &str) -> Result<String, CliError> {
    let refused = |what: &str| {
        CliError::Usage(format!(
            "{url:?} is not a server's address: {what}; write it like {DEFAULT_URL}"
        ))
    };
    let parsed = reqwest::Url::parse(url).map_err(|error| refused(&error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(refused("it is neither http nor https"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(refused("a name or password does not belong there"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn token(
    lookup: Lookup<'_>,
    configured: Option<PathBuf>,
) -> Result<Option<(Secret, String)>, CliError> {
    if let Some(token) = set(lookup, "HALLPASS_TOKEN") {
        let token = token.into_string().map_err(|_| {
            CliError::Usage("HALLPASS_TOKEN is not text; it is like hpt_...".into())
        })?;
        return Ok(Some((Secret::new(token.trim()), "HALLPASS_TOKEN".into())));
    }
    let file = set(lookup, "HALLPASS_TOKEN_FILE").map(PathBuf::from);
    file.or(configured).map(token_from).transpose()
}

fn token_from(path: PathBuf) -> Result<(Secret, String), CliError> {
    let text = fs::read_to_string(&path).map_err(|error| CliError::BadFile {
        what: format!("your token should be there: {error}; hallpass login makes another"),
        path: path.clone(),
    })?;
    let token = Secret::new(text.trim());
    if token.expose().is_empty() {
        return Err(CliError::BadFile {
            path,
            what: "the file is empty; it should hold an API token".into(),
        });
    }
    Ok((token, path.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::out::Format;
    use super::*;

    fn global(url: Option<&str>) -> Global {
        Global {
            output: Format::Human,
            url: url.map(Into::into),
            ca: None,
        }
    }

    fn home(cli_toml: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".config/hallpass");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("cli.toml"), cli_toml).unwrap();
        fs::write(folder.join("token"), "hpt_from_file\n").unwrap();
        home
    }

    fn gathered(
        url: Option<&str>,
        home: &Path,
        variables: &[(&str, &str)],
    ) -> Result<Settings, CliError> {
        gather_from(&global(url), &|name| match name {
            "HOME" => Some(home.into()),
            name => variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.into()),
        })
    }

    #[test]
    fn with_nothing_set_the_server_is_on_this_machine_and_nobody_asks() {
        let home = tempfile::tempdir().unwrap();
        let settings = gathered(None, home.path(), &[("HALLPASS_TOKEN", "")]).unwrap();
        assert_eq!(settings.url, DEFAULT_URL);
        assert!(settings.token.is_none());
    }

    #[test]
    fn arguments_win_over_the_file_and_the_environment_over_its_token() {
        let home = home("url = \"https://one.example.com/\"\ntoken_file = \"token\"\n");
        let settings = gathered(None, home.path(), &[]).unwrap();
        assert_eq!(settings.url, "https://one.example.com");
        assert_eq!(settings.token.unwrap().0.expose(), "hpt_from_file");
        let variables = [("HALLPASS_TOKEN", "hpt_from_environment")];
        let settings = gathered(Some("https://two"), home.path(), &variables).unwrap();
        assert_eq!(settings.url, "https://two");
        assert_eq!(settings.token.unwrap().0.expose(), "hpt_from_environment");
    }

    #[test]
    fn a_mistake_in_the_file_or_the_address_is_told() {
        let wrong = home("urll = \"https://x\"");
        let error = gathered(None, wrong.path(), &[]).unwrap_err().to_string();
        assert!(
            error.contains("cli.toml") && error.contains("urll"),
            "{error}"
        );
        let home = tempfile::tempdir().unwrap();
        for url in ["localhost", "ftp://x", "https://maya:pw@x"] {
            let error = gathered(Some(url), home.path(), &[]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{url}");
        }
    }

    #[test]
    fn a_token_file_that_is_missing_or_empty_is_named() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("token");
        let variables = [("HALLPASS_TOKEN_FILE", path.to_str().unwrap())];
        let missing = gathered(None, home.path(), &variables).unwrap_err();
        assert!(missing.to_string().contains("token"));
        fs::write(&path, "\n").unwrap();
        let empty = gathered(None, home.path(), &variables).unwrap_err();
        assert!(empty.to_string().contains("empty"));
    }
}
