//! `hallpass connections`.

use clap::Args;
use comfy_table::Cell;
use jiff::Timestamp;

use super::human::{cell, relative, table};
use super::{Done, Global};
use crate::clock::Clock;
use crate::http::types::ConnectionView;

/// List the connections that are open now: yours, and those to targets that you may approve.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass connections")]
pub(super) struct ConnectionsArgs {}

pub(super) async fn run(global: &Global) -> Done {
    let connections = global.api()?.connections().await?;
    let now = Clock::system().now();
    global.output().show(&connections, |c| text(c, now))?;
    Ok(0)
}

fn text(connections: &[ConnectionView], now: Timestamp) -> String {
    table(
        &[
            "CONNECTION",
            "WHO",
            "TARGET",
            "DATABASE",
            "FROM",
            "PROGRAM",
            "OPENED",
        ],
        connections.iter().map(|c| row(c, now)).collect(),
        "No connection is open.",
    )
}

fn row(connection: &ConnectionView, now: Timestamp) -> Vec<Cell> {
    vec![
        cell(&connection.id.to_string()),
        cell(connection.principal.as_str()),
        cell(connection.target.as_str()),
        cell(&connection.database),
        cell(&connection.peer),
        cell(&connection.application_name),
        cell(&relative(now, connection.opened_at)),
    ]
}
