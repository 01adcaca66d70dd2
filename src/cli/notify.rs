//! `hallpass notify`.

use clap::{Args, Subcommand};
use comfy_table::{Cell, Color};

use super::human::{cell, table};
use super::{Done, Global};
use crate::http::types::{NotifyTest, TriedChannel};

/// Work with notifications.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass notify test")]
pub(super) struct NotifyArgs {
    #[command(subcommand)]
    command: NotifyCommand,
}

#[derive(Debug, Subcommand)]
enum NotifyCommand {
    Test(TestArgs),
}

/// Send a test notice through each channel, and say what came of it.
///
/// It goes where real ones go: into the Slack channel, to your own address and the configured
/// recipients, to each webhook. Exit code 1 if one does not get there.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass notify test
  hallpass notify test --channel slack
  hallpass notify test --output json")]
struct TestArgs {
    /// Only this channel: slack, email, or a webhook's name.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
}

pub(super) async fn run(global: &Global, args: NotifyArgs) -> Done {
    let NotifyCommand::Test(TestArgs { channel }) = args.command;
    let tried = global.api()?.notify_test(&NotifyTest { channel }).await?;
    global.output().show(&tried, |tried| text(tried))?;
    let all_well = !tried.is_empty() && tried.iter().all(|it| it.delivered);
    Ok((!all_well).into())
}

fn text(tried: &[TriedChannel]) -> String {
    table(
        &["CHANNEL", "TO", "RESULT", "TOOK"],
        tried.iter().map(row).collect(),
        "No channel is configured: see [notify] in config/hallpass.toml.",
    )
}

fn row(tried: &TriedChannel) -> Vec<Cell> {
    let result = match &tried.error {
        None => Cell::new("delivered").fg(Color::Green),
        Some(error) => cell(error).fg(Color::Red),
    };
    vec![
        cell(&tried.channel),
        cell(tried.recipient.as_deref().unwrap_or("-")),
        result,
        cell(&format!("{} ms", tried.milliseconds)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_a_line_and_what_a_server_said_steers_no_terminal() {
        let tried = |channel: &str, error: Option<&str>| TriedChannel {
            channel: channel.into(),
            recipient: None,
            delivered: error.is_none(),
            error: error.map(Into::into),
            milliseconds: 7,
        };
        let text = text(&[
            tried("slack", None),
            tried("email", Some("refused: \u{1b}[2J550 no")),
        ]);
        for word in ["slack", "delivered", "refused: \u{fffd}[2J550 no", "7 ms"] {
            assert!(text.contains(word), "{word} is not in {text}");
        }
    }
}
