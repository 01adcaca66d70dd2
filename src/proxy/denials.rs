//! Keeps strangers from filling the audit: of one address so many denials in a while are recorded
//! each for itself, and the rest as a number.

use std::net::IpAddr;
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;

use crate::audit::{Event, Recorder};

/// Denials of one address that are recorded each for itself, per [`WINDOW`].
const EACH: u64 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// Counts denials by address.
#[derive(Default)]
pub struct Denials(DashMap<IpAddr, Window>);

struct Window {
    since: Instant,
    count: u64,
}

impl Denials {
    /// Counts a denial; whether it is recorded for itself.
    pub(super) fn count(&self, address: IpAddr) -> bool {
        let mut window = self.0.entry(address).or_insert_with(|| Window {
            since: Instant::now(),
            count: 0,
        });
        window.count += 1;
        window.count <= EACH
    }

    /// Records, for each address whose while is over, how many there were beyond those. To be
    /// called every second or so.
    pub async fn flush(&self, recorder: &Recorder) {
        let now = Instant::now();
        let mut batch = recorder.batch();
        self.0.retain(|address, window| {
            let over = now.saturating_duration_since(window.since) >= WINDOW;
            if over && window.count > EACH {
                batch.push(&Event::ConnectionsDenied {
                    peer: address.to_string(),
                    count: window.count - EACH,
                });
            }
            !over
        });
        if recorder.note(&batch).await.is_err() {
            tracing::error!("denials could not be recorded");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_one_address_are_recorded_each_for_itself() {
        let denials = Denials::default();
        let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|a| a.parse().unwrap());
        assert!((0..EACH).all(|_| denials.count(one)));
        assert!(!denials.count(one));
        assert!(denials.count(other));
    }
}
