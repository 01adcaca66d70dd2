//! Logs: one line an event on standard error, human or JSON.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Human,
    /// For machines: one JSON object a line.
    Json,
}

/// Installs the log for the whole process.
///
/// # Errors
/// If `filter` is not a filter like `info` or `hallpass=debug,info`.
pub fn install(format: Format, filter: &str) -> Result<(), ParseError> {
    let filter: EnvFilter = filter.parse()?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        Format::Human => builder.with_target(false).init(),
        Format::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
