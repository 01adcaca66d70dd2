//! Watches how far the destinations are behind, and when that is too far.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::courier::blocking;
use super::destination::Destination;
use crate::audit::Flow;
use crate::audit::files::FileKind;
use crate::audit::listing::{Present, segments};
use crate::telemetry::Metrics;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);

/// Watches all destinations.
pub(super) struct Monitor {
    pub(super) folder: PathBuf,
    pub(super) flow: Arc<Flow>,
    pub(super) destinations: Vec<Arc<Destination>>,
    /// Bytes that may exist on this machine only.
    pub(super) limit: Option<u64>,
    pub(super) metrics: Arc<Metrics>,
}

/// What a destination lacks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Lag {
    /// Segments that are complete here and not there.
    segments: u64,
    /// Bytes in files of this machine.
    bytes: u64,
    /// Those among them that are in the segment that is being written.
    open: u64,
}

impl Monitor {
    /// Watches until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        loop {
            let folder = self.folder.clone();
            if let Ok(Ok(present)) = blocking(move || segments(&folder)).await {
                self.look(&present);
            }
            let next = stop.run_until_cancelled(tokio::time::sleep(EVERY));
            if next.await.is_none() {
                return;
            }
        }
    }

    /// The same once, at the start: whether there is room must be known before anybody records.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub(super) fn look_now(&self) -> std::io::Result<()> {
        self.look(&segments(&self.folder)?);
        Ok(())
    }

    fn look(&self, present: &[Present]) {
        let written = self.flow.written();
        let mut most = 0;
        for destination in &self.destinations {
            let lag = lag(present, destination.position(), written);
            let metrics = &destination.metrics;
            let level = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            metrics.lag_segments.set(level(lag.segments));
            metrics.lag_bytes.set(level(lag.bytes));
            let behind = destination.position() < written;
            metrics
                .lag_seconds
                .set(if behind { destination.age() } else { 0.0 });
            // A segment that is being written cannot be in a bucket: waiting for that would be
            // waiting for records that are refused.
            let counts = match (destination.required, destination.by_segment) {
                (false, _) => 0,
                (true, false) => lag.bytes,
                (true, true) => lag.bytes - lag.open,
            };
            most = most.max(counts);
        }
        let needed = self.destinations.iter().map(|it| it.needed()).min();
        self.flow.need(needed.unwrap_or(u64::MAX));
        self.hold_to_the_limit(most);
    }

    fn hold_to_the_limit(&self, bytes: u64) {
        let Some(limit) = self.limit else { return };
        let withhold = bytes > limit;
        if self.flow.withhold(withhold) {
            match withhold {
                true => tracing::error!(
                    bytes,
                    limit,
                    "too much of the audit is on this machine only (audit.local_limit): no statement is forwarded until it is shipped"
                ),
                false => tracing::info!(
                    bytes,
                    limit,
                    "enough of the audit is shipped: statements are forwarded again"
                ),
            }
        }
        self.metrics.audit_withheld(withhold);
    }
}

/// What somebody lacks who has everything before `position`. Within a segment, bytes are shared out
/// by records.
fn lag(present: &[Present], position: u64, written: u64) -> Lag {
    let ends = present.iter().skip(1).map(|segment| segment.first);
    let ends = ends.chain([written.max(position)]);
    let mut lag = Lag::default();
    for (n, (segment, end)) in present.iter().zip(ends).enumerate() {
        let records = end.saturating_sub(segment.first);
        let lacking = end.saturating_sub(position.max(segment.first));
        if lacking == 0 {
            continue;
        }
        let share = u128::from(segment.bytes) * u128::from(lacking) / u128::from(records);
        let share = u64::try_from(share).unwrap_or(segment.bytes);
        lag.bytes += share;
        match segment.kind == FileKind::Sealed || n + 1 < present.len() {
            true => lag.segments += 1,
            false => lag.open = share,
        }
    }
    lag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(first: u64, kind: FileKind, bytes: u64) -> Present {
        Present {
            first,
            kind,
            bytes,
            complete: kind == FileKind::Sealed,
        }
    }

    #[test]
    fn lag_is_what_is_behind_the_position() {
        let present = [
            segment(1, FileKind::Sealed, 100),
            segment(11, FileKind::Raw, 1000),
            segment(21, FileKind::Raw, 400),
        ];
        for (position, written, segments, bytes, open) in [
            (1, 25, 2, 1500, 400),
            (6, 25, 2, 1450, 400),
            (11, 25, 1, 1400, 400),
            (20, 25, 1, 500, 400),
            (21, 25, 0, 400, 400),
            (24, 25, 0, 100, 100),
            (25, 25, 0, 0, 0),
            (99, 25, 0, 0, 0),
            (21, 21, 0, 0, 0),
        ] {
            let expected = Lag {
                segments,
                bytes,
                open,
            };
            assert_eq!(
                lag(&present, position, written),
                expected,
                "{position} {written}"
            );
        }
        assert_eq!(lag(&[], 1, 1), Lag::default());
    }
}
