//! `hallpass serve`.

use std::path::PathBuf;

use clap::Args;

/// Run the server: the proxy, the API, and metrics.
///
/// Runs in the foreground and logs to standard error. SIGTERM lets open connections finish (within
/// the configured grace) and ends it; SIGHUP reads configuration and certificates again.
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
        default_value = "hallpass.toml",
        value_name = "FILE"
    )]
    pub config: PathBuf,
}
