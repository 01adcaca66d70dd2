//! `hallpass serve`, up to the point where the server takes over.

use std::path::PathBuf;

use clap::Args;

use super::error::CliError;
use super::out;
use crate::config::Config;

/// Run the server: the proxy, the API, and metrics.
///
/// Runs in the foreground and logs to standard error. SIGTERM or Ctrl-C lets open connections finish
/// within the configured grace, then ends it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass config check --config /etc/hallpass/hallpass.toml
  hallpass serve --config /etc/hallpass/hallpass.toml")]
pub struct ServeArgs {
    /// The configuration file.
    #[arg(
        long,
        env = "HALLPASS_CONFIG",
        hide_env_values = true,
        default_value = "hallpass.toml",
        value_name = "FILE"
    )]
    pub(super) config: PathBuf,
}

impl ServeArgs {
    /// The configuration; `None` after all that is wrong with it has been told on standard error.
    pub fn load(&self) -> Option<Config> {
        match Config::load(&self.config) {
            Ok(config) => Some(config),
            Err(errors) => {
                out::complain(&CliError::BadConfiguration(errors));
                None
            }
        }
    }
}
