//! `hallpass targets`.

use clap::Args;
use comfy_table::Cell;

use super::human::{cell, table};
use super::{Done, Global};
use crate::http::types::TargetView;

/// List what you may ask for or approve.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass targets
  hallpass targets --output json")]
pub(super) struct TargetsArgs {}

pub(super) async fn run(global: &Global) -> Done {
    let targets = global.api()?.targets().await?;
    global.output().show(&targets, |targets| text(targets))?;
    Ok(0)
}

fn text(targets: &[TargetView]) -> String {
    table(
        &["TARGET", "DATABASES", "AT MOST", "YOU MAY", "WHAT IT IS"],
        targets.iter().map(row).collect(),
        "There is no target that you may ask for or approve.",
    )
}

fn row(target: &TargetView) -> Vec<Cell> {
    vec![
        cell(target.name.as_str()),
        cell(&databases(&target.databases)),
        cell(&target.max_duration),
        cell(rights(target)),
        cell(&target.description),
    ]
}

fn databases(names: &[String]) -> String {
    match names {
        [all] if all == "*" => "all".into(),
        names => names.join(", "),
    }
}

fn rights(target: &TargetView) -> &'static str {
    match (target.may_request, target.may_approve) {
        (true, true) => "request, approve",
        (true, false) => "request",
        (false, true) => "approve",
        (false, false) => "-",
    }
}
