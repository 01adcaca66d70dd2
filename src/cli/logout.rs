//! `hallpass logout`.

use clap::Args;

use super::out::{GOOD, paint};
use super::{Done, Global};

/// End the token that you signed in with.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass logout")]
pub(super) struct LogoutArgs {}

pub(super) async fn run(global: &Global) -> Done {
    let ended = global.api()?.logout().await?;
    global.output().show(&ended, |ended| {
        format!("{} is {}.", ended.owner, paint(GOOD, "signed out"))
    })?;
    Ok(0)
}
