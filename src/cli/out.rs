//! The one place that writes to the terminal: colour where it has it, plain text elsewhere.

use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::error::CliError;

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const WARN: Style = AnsiColor::Yellow.on_default();

/// How results are printed: for people, or as the API's documents, one JSON value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    #[default]
    Human,
    Json,
    // Not a comment for the help: with one, every command's would list all three on lines of their own.
    Csv,
}

/// Said where there are no rows that are all of one kind.
pub(super) const NO_CSV: &str = "this command has no output as csv; human and json are what it has";

/// Prints a command's result in the format that was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output(pub(super) Format);

impl Output {
    /// Prints `document`: as `human` words it, or as JSON.
    pub(super) fn show<T: Serialize>(
        self,
        document: &T,
        human: impl FnOnce(&T) -> String,
    ) -> Result<(), CliError> {
        match self.0 {
            Format::Human => print(&human(document)),
            Format::Json => print(&json(document)?),
            Format::Csv => Err(CliError::Usage(NO_CSV.into())),
        }
    }

    /// Whether the result is for people.
    pub(super) fn is_human(self) -> bool {
        self.0 == Format::Human
    }
}

fn json<T: Serialize>(document: &T) -> Result<String, CliError> {
    serde_json::to_string_pretty(document).map_err(|error| CliError::Output(error.into()))
}

/// `text` in `style`.
pub(super) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Whether standard output shows colour.
pub(super) fn has_colour() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// How many columns standard output has; `None` if it is no terminal.
#[allow(dead_code, reason = "for the commands that read the audit")]
pub(super) fn width() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0.into())
}

/// Prints `text` and ends the line; what may be long goes through [`super::pager::Pages`].
pub(super) fn print(text: &str) -> Result<(), CliError> {
    write(text).map_err(CliError::Output)
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{}", text.trim_end_matches('\n'))?;
    stdout.flush()
}

/// Prints `text` on standard error, where it is in nobody's way.
pub(super) fn note(text: &str) {
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Says on standard error what went wrong and what to do next.
pub(super) fn complain(error: &CliError) {
    note(&format!("{} {error}", paint(BAD, "error:")));
    if let Some(advice) = error.advice() {
        note(&advice);
    }
}

/// Shows on a terminal that something is waited for, until it is dropped. `{elapsed}` in `message`
/// is the time so far.
pub(super) struct Spinner(ProgressBar);

impl Spinner {
    pub(super) fn start(message: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        let template = format!("{{spinner:.cyan}} {message}");
        bar.set_style(
            ProgressStyle::with_template(&template)
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Shows `text` where its message has `{msg}`.
    pub(super) fn say(&self, text: &str) {
        self.0.set_message(text.to_owned());
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Shows on a terminal how far something has come, until it is dropped.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// `what` goes on, counted in `unit`s.
    pub(super) fn start(what: &str, unit: &str) -> Self {
        let bar = ProgressBar::new(0);
        let template = format!(
            "{{spinner:.cyan}} {what} [{{bar:30.cyan/dim}}] {{pos}}/{{len}} {unit}, {{msg}}"
        );
        bar.set_style(
            ProgressStyle::with_template(&template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> "),
        );
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// So many are done, of so many; `message` says more.
    pub(super) fn set(&self, (done, of): (u64, u64), message: &str) {
        self.0.set_length(of);
        self.0.set_position(done);
        self.0.set_message(message.to_owned());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
