//! Which log is meant.

use std::path::{Path, PathBuf};

use clap::Args;

use super::super::error::CliError;
use crate::audit::archive::Archive;
use crate::audit::source::{self, Source};
use crate::config::Config;

/// Read if there is no other word on where the log is.
const DEFAULT_CONFIG: &str = "hallpass.toml";
/// And this, if that is not there.
const DEFAULT_FOLDER: &str = "audit";

/// Which log is read: shared by all subcommands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which log")]
pub(super) struct Where {
    /// A log's folder, one segment's file, or a bucket's URL [default: the folder that the
    /// configuration names]
    #[arg(long, value_name = "PATH|URL")]
    from: Option<String>,
    /// The configuration file that names the folder [default: hallpass.toml if it is there, else
    /// the log is ./audit]
    #[arg(
        long,
        env = "HALLPASS_CONFIG",
        hide_env_values = true,
        value_name = "FILE",
        conflicts_with = "from"
    )]
    config: Option<PathBuf>,
}

impl Where {
    /// The log's segments.
    ///
    /// # Errors
    /// If it cannot be read, or there is no segment.
    pub(super) fn archive(&self) -> Result<Archive, CliError> {
        let place = self.place()?;
        let unreadable = |source| CliError::Audit {
            place: place.clone(),
            source,
        };
        let source = source::open(&place).map_err(unreadable)?;
        let archive = Archive::open(source).map_err(unreadable)?;
        match archive.segments().is_empty() {
            true => Err(CliError::NoAudit { place }),
            false => Ok(archive),
        }
    }

    /// Its files, for who looks at all of them.
    ///
    /// # Errors
    /// If there is nothing.
    pub(super) fn source(&self) -> Result<Box<dyn Source>, CliError> {
        let place = self.place()?;
        source::open(&place).map_err(|source| CliError::Audit { place, source })
    }

    /// Whether it is one segment's file, of a log that is elsewhere.
    pub(super) fn is_one_file(&self) -> bool {
        self.from
            .as_ref()
            .is_some_and(|from| Path::new(from).is_file())
    }

    fn place(&self) -> Result<String, CliError> {
        if let Some(from) = &self.from {
            return Ok(from.clone());
        }
        Ok(self.folder()?.display().to_string())
    }

    fn folder(&self) -> Result<PathBuf, CliError> {
        let default = Path::new(DEFAULT_CONFIG);
        let config = match &self.config {
            Some(config) => config,
            None if default.exists() => default,
            None => return Ok(DEFAULT_FOLDER.into()),
        };
        let config = Config::load(config).map_err(CliError::BadConfiguration)?;
        Ok(config.audit.folder)
    }
}
