//! Where the demo lives: folders, ports, secrets, and who is who.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use super::super::error::CliError;
use super::super::token;
use crate::secret::{Secret, hex, random};

/// The database of the demo.
pub(super) const DATABASE: &str = "orders";

/// Everything that has to be known before anything is started. Dropping it removes the files.
pub(super) struct Place {
    /// Where hallpass keeps what it makes: a folder of its own, or what `--dir` names.
    pub(super) home: PathBuf,
    /// Where clients put files: `\copy`, the server's certificate.
    pub(super) scratch: PathBuf,
    /// Where PostgreSQL lives.
    pub(super) cluster: PathBuf,
    pub(super) ports: Ports,
    pub(super) passwords: Passwords,
    /// This very program.
    pub(super) hallpass: PathBuf,
    kept: bool,
    _temporary: TempDir,
}

pub(super) struct Ports {
    pub(super) postgres: u16,
    pub(super) proxy: u16,
    pub(super) api: u16,
    pub(super) ops: u16,
}

/// Of PostgreSQL's roles.
pub(super) struct Passwords {
    pub(super) superuser: Secret,
    pub(super) orders_ro: Secret,
    pub(super) orders_admin: Secret,
}

/// The people of the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Person {
    /// An engineer: asks.
    Maya,
    /// A lead: approves.
    Dana,
    /// On call at night: finds nobody to ask.
    Lee,
}

impl Person {
    pub(super) const ALL: [Self; 3] = [Self::Maya, Self::Dana, Self::Lee];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Maya => "maya",
            Self::Dana => "dana",
            Self::Lee => "lee",
        }
    }

    /// Their groups, which the policies that are built in know.
    pub(super) fn groups(self) -> &'static [&'static str] {
        match self {
            Self::Maya => &["engineers"],
            Self::Dana => &["leads"],
            Self::Lee => &["engineers", "oncall"],
        }
    }
}

impl Place {
    /// Makes the folders, in `dir` what is to be kept.
    pub(super) fn make(dir: Option<PathBuf>) -> Result<Self, CliError> {
        let temporary =
            TempDir::with_prefix("hallpass-demo-").map_err(CliError::file(std::env::temp_dir()))?;
        let root = temporary.path();
        // PostgreSQL may run as another user, who has to get through to its own folder.
        fs::set_permissions(root, Permissions::from_mode(0o711)).map_err(CliError::file(root))?;
        let kept = dir.is_some();
        let home = match dir {
            Some(dir) => empty(dir)?,
            None => private(root.join("hallpass"))?,
        };
        Ok(Self {
            home,
            scratch: private(root.join("scratch"))?,
            cluster: private(root.join("postgres"))?,
            ports: free_ports()?,
            passwords: Passwords::generate(),
            hallpass: std::env::current_exe().map_err(CliError::file("hallpass"))?,
            kept,
            _temporary: temporary,
        })
    }

    /// Whether the files in `home` stay when the demo ends.
    pub(super) fn is_kept(&self) -> bool {
        self.kept
    }

    pub(super) fn audit(&self) -> PathBuf {
        self.home.join("audit")
    }

    /// The proxy's certificate, which is its own authority.
    pub(super) fn certificate(&self) -> PathBuf {
        self.home.join("server.crt")
    }

    pub(super) fn api_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.api)
    }

    pub(super) fn ops_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.ports.ops)
    }

    pub(super) fn token_file(&self, person: Person) -> PathBuf {
        self.home.join(format!("{}.token", person.name()))
    }

    /// The variables that make the command line speak as `person`.
    pub(super) fn identity(&self, person: Person) -> [(&'static str, String); 2] {
        let file = self.token_file(person).display().to_string();
        [
            ("HALLPASS_URL", self.api_url()),
            ("HALLPASS_TOKEN_FILE", file),
        ]
    }

    /// A command in surroundings that are the same everywhere: nobody's psqlrc, service file,
    /// language or `cli.toml`.
    pub(super) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("PG") || text.starts_with("HALLPASS_") {
                command.env_remove(&name);
            }
        }
        command
            .current_dir(&self.scratch)
            .env("TMPDIR", &self.scratch)
            .env("XDG_CONFIG_HOME", &self.scratch)
            .env("LC_ALL", "C")
            .env("PSQLRC", "/dev/null")
            .env("PAGER", "cat");
        command
    }
}

impl Passwords {
    fn generate() -> Self {
        let password = || Secret::new(hex(&random::<16>()));
        Self {
            superuser: password(),
            orders_ro: password(),
            orders_admin: password(),
        }
    }
}

fn private(path: PathBuf) -> Result<PathBuf, CliError> {
    fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(&path)
        .map_err(CliError::file(&path))?;
    Ok(path)
}

/// A folder that the demo has for itself.
fn empty(path: PathBuf) -> Result<PathBuf, CliError> {
    let path = private(path)?;
    let mut entries = fs::read_dir(&path).map_err(CliError::file(&path))?;
    if entries.next().is_some() {
        let what = format!("{} is not empty; name a new folder", path.display());
        return Err(CliError::Usage(what));
    }
    path.canonicalize().map_err(CliError::file(path))
}

/// Ports that nobody listens on. Somebody else may be faster; then the demo says so and ends.
fn free_ports() -> Result<Ports, CliError> {
    let bind = || TcpListener::bind("127.0.0.1:0").map_err(CliError::file("127.0.0.1"));
    // All four are held before the first is given up, so that they differ.
    let held = [bind()?, bind()?, bind()?, bind()?];
    let port = |index: usize| {
        let address = held[index].local_addr();
        address
            .map(|a| a.port())
            .map_err(CliError::file("127.0.0.1"))
    };
    Ok(Ports {
        postgres: port(0)?,
        proxy: port(1)?,
        api: port(2)?,
        ops: port(3)?,
    })
}

/// Writes a secret into a file of the home folder.
pub(super) fn write_secret(path: &Path, secret: &Secret) -> Result<(), CliError> {
    token::write(path, secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_temporary_goes_and_what_is_to_be_kept_stays() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("demo");
        let place = Place::make(Some(dir.clone())).unwrap();
        let cluster = place.cluster.clone();
        assert!(cluster.is_dir() && place.is_kept());
        drop(place);
        assert!(!cluster.exists() && dir.is_dir());
    }

    #[test]
    fn a_folder_with_files_in_it_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("hallpass.db"), "").unwrap();
        let refused = Place::make(Some(dir.path().to_owned()));
        assert!(matches!(refused, Err(CliError::Usage(_))));
    }
}
