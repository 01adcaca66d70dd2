//! Keeps the folder in order while the writer writes: seals what is complete.

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::seal;

/// How often it looks.
const PACE: Duration = Duration::from_secs(1);

/// Looks after one folder; only one may, beside its one writer.
#[derive(Debug, Clone)]
pub struct Keeper {
    /// The folder.
    pub folder: PathBuf,
}

impl Keeper {
    /// Goes on until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut failing = false;
        while stop
            .run_until_cancelled(tokio::time::sleep(PACE))
            .await
            .is_some()
        {
            let folder = self.folder.clone();
            let sealed = tokio::task::spawn_blocking(move || seal::seal_complete(&folder)).await;
            match sealed.map_err(std::io::Error::other).flatten() {
                Ok(_) => failing = false,
                // Once, not every second.
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(%error, "a segment of the audit could not be sealed");
                }
                Err(_) => {}
            }
        }
    }
}
