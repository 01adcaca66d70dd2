//! What serving a destination comes to, whatever it is: deliver what there is, wait, try again.

use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::destination::Destination;
use super::failure::Failure;
use super::pace::Pace;

/// How long a destination may take for what is left when hallpass stops.
const GRACE: Duration = Duration::from_secs(3);

/// Whoever serves one destination.
#[async_trait]
pub(super) trait Courier: Send {
    /// How often to look whether there is something to deliver.
    const POLL: Duration;

    /// Whom it serves.
    fn destination(&self) -> &Destination;

    /// Delivers something; whether there may be more.
    async fn step(&mut self) -> Result<bool, Failure>;

    /// Called last, when everything was delivered.
    async fn finish(&mut self) -> Result<(), Failure>;
}

/// Delivers until `stop`, and then what is left, for a moment.
pub(super) async fn run(mut courier: impl Courier, stop: CancellationToken) {
    let over = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let left = tokio::select! {
        left = deliver(&mut courier, &stop) => left,
        () = over => true,
    };
    if left {
        let destination = &courier.destination().name;
        tracing::warn!(
            destination,
            "not everything was shipped; the next start goes on there"
        );
    }
}

/// Whether something is left when it ends.
async fn deliver<C: Courier>(courier: &mut C, stop: &CancellationToken) -> bool {
    let mut pace = Pace::new();
    loop {
        let ending = stop.is_cancelled();
        let wait = match courier.step().await {
            Ok(true) => {
                pace.reset();
                continue;
            }
            Ok(false) if ending => {
                return finish(courier).await;
            }
            Ok(false) => C::POLL,
            Err(failure) => {
                courier.destination().failed(&failure);
                let wait = pace.wait();
                failure.retry_after().map_or(wait, |asked| asked.max(wait))
            }
        };
        if ending {
            return true;
        }
        stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
}

async fn finish(courier: &mut impl Courier) -> bool {
    let finished = courier.finish().await;
    if let Err(failure) = &finished {
        courier.destination().failed(failure);
    }
    finished.is_err()
}

/// Runs what waits for the disk where it holds up nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::Local {
        what: "reading the audit folder",
        source: std::io::Error::other(error),
    })
}
