//! What hallpass waits for before it ends, and for how long.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::task::JoinHandle;

use crate::audit::Flow;

/// Waits for the writer for as long as it gets on.
pub(super) async fn written_out(
    mut writer: JoinHandle<()>,
    flow: &Flow,
    patience: Duration,
) -> anyhow::Result<()> {
    loop {
        let before = flow.written();
        match tokio::time::timeout(patience, &mut writer).await {
            Ok(ended) => return ended.context("the writer of the audit"),
            Err(_) if flow.written() > before => {}
            Err(_) => bail!("the audit's disk hangs: what was not recorded by now is not"),
        }
    }
}
