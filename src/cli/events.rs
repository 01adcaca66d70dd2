//! `hallpass events`.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::error::CliError;
use super::human::{clean, clock_time};
use super::out::{self, DIM, paint};
use super::stream::Stream;
use super::{Done, Global};
use crate::clock::Clock;
use crate::http::types::{EventKind, EventView};

/// How long a server that has gone is given to come back.
const PAUSE: Duration = Duration::from_secs(2);

/// Watch requests, sessions and reviews as they change: yours, and those that you may approve.
///
/// A line for each change, until you end it. With --output json a line is a JSON document as the
/// API sends it; `"what": "reset"` says that changes may have been missed, as at the beginning.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass events
  hallpass events --output json | jq -r 'select(.what == \"request\") | .request.reason'")]
pub(super) struct EventsArgs {}

pub(super) async fn run(global: &Global) -> Done {
    let api = global.api()?;
    // What is wrong with the server or the sign-in is told at once.
    let mut stream = Stream::open(&api, None).await?;
    loop {
        let ended = follow(global, &mut stream).await;
        let mark = stream.mark.take();
        stream = loop {
            match ended {
                Err(CliError::Unreachable { .. } | CliError::TimedOut { .. }) | Ok(()) => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(PAUSE).await;
            match Stream::open(&api, mark.clone()).await {
                Ok(stream) => break stream,
                Err(CliError::Unreachable { .. } | CliError::TimedOut { .. }) => {}
                Err(error) => return Err(error),
            }
        };
    }
}

/// Prints what comes, until nothing more does.
async fn follow(global: &Global, stream: &mut Stream<'_>) -> Result<(), CliError> {
    while let Some(event) = stream.next().await? {
        if !global.output().is_human() {
            let line = serde_json::to_string(&event);
            out::print(&line.map_err(|error| CliError::Output(error.into()))?)?;
        } else if let Some(line) = line(&event, Clock::system().now()) {
            out::print(&line)?;
        }
    }
    Ok(())
}

/// An event in a line; `None` for what only programs have to know.
fn line(event: &EventView, now: Timestamp) -> Option<String> {
    let id = clean(event.id.as_deref().unwrap_or_default());
    let (who, target, state, why) = if let Some(it) = &event.request {
        (&it.requester, &it.target, it.state.name(), &it.reason)
    } else if let Some(it) = &event.session {
        (&it.principal, &it.target, it.state.name(), &it.reason)
    } else if let Some(it) = &event.review {
        (&it.principal, &it.target, it.state.name(), &it.reason)
    } else {
        return None;
    };
    let what = match event.what {
        EventKind::Review => "review of ",
        _ => "",
    };
    let at = paint(DIM, &clock_time(now, now));
    Some(format!(
        "{at}  {what}{id}  {who} · {target} · {state}  {}",
        paint(DIM, &clean(why))
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_what_became_of_it_and_cannot_steer_the_terminal() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let event = json!({
            "what": "review", "id": "ses-4m0t8z1kqc7e", "version": 1,
            "review": {
                "session": "ses-4m0t8z1kqc7e", "request": "req-4m0t8z1kqc7e", "principal": "maya",
                "target": "orders-ro", "reason": "all \u{1b}[2J is\ndown", "state": "open",
                "opened_at": now,
            },
        });
        let line = line(&serde_json::from_value(event).unwrap(), now).unwrap();
        let plain = anstream::adapter::strip_str(&line).to_string();
        let expected =
            "review of ses-4m0t8z1kqc7e  maya · orders-ro · open  all \u{fffd}[2J is down";
        assert!(plain.ends_with(expected), "{plain}");
        let reset = serde_json::from_value(json!({ "what": "reset" })).unwrap();
        assert_eq!(super::line(&reset, now), None);
    }
}
