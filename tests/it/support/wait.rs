//! Waiting for what another process does: look again until it is so, or too late.

use std::future::Future;
use std::time::{Duration, Instant};

/// How long between two looks.
pub const INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `look` returns something.
///
/// # Panics
/// If it does not within `limit`; `what` is then in the message.
pub async fn until_some<T, F: Future<Output = Option<T>>>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < limit, "after {limit:?}: {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Waits until `look` says yes.
///
/// # Panics
/// If it does not within `limit`; `what` is then in the message.
pub async fn until<F: Future<Output = bool>>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> F,
) {
    until_some(what, limit, || {
        let answer = look();
        async { answer.await.then_some(()) }
    })
    .await;
}

/// The same without a runtime.
///
/// # Panics
/// If it does not within `limit`; `what` is then in the message.
pub fn blocking_until(what: &str, limit: Duration, mut look: impl FnMut() -> bool) {
    let started = Instant::now();
    while !look() {
        assert!(started.elapsed() < limit, "after {limit:?}: {what}");
        std::thread::sleep(INTERVAL);
    }
}
