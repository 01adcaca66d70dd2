//! The metrics of shipping: the same for each destination.

use prometheus::{Gauge, GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::metrics::{VALID, register};

/// Why something was not shipped.
const FAILURES: [&str; 6] = [
    "unreachable",
    "refused",
    "too_large",
    "conflict",
    "missing",
    "local",
];

/// The metrics of all destinations.
pub(super) struct Shipping {
    pub(super) withheld: IntGauge,
    segments: IntGaugeVec,
    bytes: IntGaugeVec,
    seconds: GaugeVec,
    success: GaugeVec,
    failures: IntCounterVec,
}

/// The metrics of one destination.
#[derive(Clone)]
pub struct ShipMetrics {
    /// Segments that are complete here and not there.
    pub lag_segments: IntGauge,
    /// Bytes in files of this machine that it lacks.
    pub lag_bytes: IntGauge,
    /// The age of the oldest record that it lacks.
    pub lag_seconds: Gauge,
    /// When something got there last, in Unix time.
    pub last_success: Gauge,
    destination: String,
    failures: IntCounterVec,
}

impl ShipMetrics {
    /// Counts something that did not get there.
    pub fn failed(&self, reason: &str) {
        let labels = [self.destination.as_str(), reason];
        self.failures.with_label_values(&labels).inc();
    }
}

impl Shipping {
    pub(super) fn new(r: &Registry) -> Self {
        let withheld = IntGauge::new(
            "hallpass_audit_withheld",
            "1 while nothing is forwarded because too much of the audit is not shipped yet.",
        );
        let gauges = |name, help, labels: &[&str]| {
            register(
                r,
                IntGaugeVec::new(Opts::new(name, help), labels).expect(VALID),
            )
        };
        let fractions = |name, help, labels: &[&str]| {
            register(
                r,
                GaugeVec::new(Opts::new(name, help), labels).expect(VALID),
            )
        };
        let counters = |name, help, labels: &[&str]| {
            register(
                r,
                IntCounterVec::new(Opts::new(name, help), labels).expect(VALID),
            )
        };
        Self {
            withheld: register(r, withheld.expect(VALID)),
            segments: gauges(
                "hallpass_audit_ship_lag_segments",
                "Segments that are complete here and that a destination lacks.",
                &["destination"],
            ),
            bytes: gauges(
                "hallpass_audit_ship_lag_bytes",
                "Bytes in the audit folder that a destination lacks.",
                &["destination"],
            ),
            seconds: fractions(
                "hallpass_audit_ship_lag_seconds",
                "The age of the oldest record that a destination lacks.",
                &["destination"],
            ),
            success: fractions(
                "hallpass_audit_ship_last_success_timestamp_seconds",
                "When a destination took something last, in Unix time.",
                &["destination"],
            ),
            failures: counters(
                "hallpass_audit_ship_failures_total",
                "Tries to ship that failed, by reason: unreachable, refused, too_large, conflict, missing or local.",
                &["destination", "reason"],
            ),
        }
    }

    /// The handles for one destination.
    pub(super) fn destination(&self, destination: &str) -> ShipMetrics {
        let labels = &[destination];
        // From the beginning, so that the first failure is an increase.
        for reason in FAILURES {
            self.failures.with_label_values(&[destination, reason]);
        }
        ShipMetrics {
            lag_segments: self.segments.with_label_values(labels),
            lag_bytes: self.bytes.with_label_values(labels),
            lag_seconds: self.seconds.with_label_values(labels),
            last_success: self.success.with_label_values(labels),
            destination: destination.to_owned(),
            failures: self.failures.clone(),
        }
    }
}
