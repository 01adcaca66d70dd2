//! `hallpass whoami`.

use clap::Args;

use super::out::{BOLD, paint};
use super::{Done, Global};
use crate::http::types::Whoami;

/// Show who the server thinks you are.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass whoami")]
pub(super) struct WhoamiArgs {}

pub(super) async fn run(global: &Global) -> Done {
    let whoami = global.api()?.whoami().await?;
    global.output().show(&whoami, text)?;
    Ok(0)
}

fn text(whoami: &Whoami) -> String {
    let name = paint(BOLD, whoami.name.as_str());
    if whoami.groups.is_empty() {
        return format!("{name}, in no group");
    }
    format!("{name}, in {}", whoami.groups.join(", "))
}
