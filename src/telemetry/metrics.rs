//! The metrics, named as Prometheus' guide to naming says: base units, `_total` on counters.
//!
//! Labels only ever hold names from the configuration or from this source: what a stranger sends
//! never becomes a label, for it would never end.

use std::time::Duration;

use jiff::Timestamp;
use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::notices::{NoticeMetrics, Notices};
use super::shipping::{ShipMetrics, Shipping};

/// From 50 microseconds to 100 seconds.
const LATENCY: &[f64] = &[
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0, 100.0,
];

/// Every metric of one hallpass.
pub struct Metrics {
    registry: Registry,
    sessions_live: IntGauge,
    connections_open: IntGaugeVec,
    connections_unauthenticated: IntGauge,
    connections_closed: IntCounterVec,
    denials: IntCounterVec,
    statements: IntCounterVec,
    statement_duration: HistogramVec,
    transferred: IntCounterVec,
    upstream_connect: HistogramVec,
    upstream_failures: IntCounterVec,
    cancels: IntCounterVec,
    expiry_lag: Histogram,
    access_requests: IntCounterVec,
    sign_ins: IntCounterVec,
    notices: Notices,
    reviews_open: IntGauge,
    audit_records: IntCounter,
    audit_bytes: IntCounter,
    audit_queue: IntGauge,
    audit_write: Histogram,
    audit_available: IntGauge,
    shipping: Shipping,
    audit_kept: IntGauge,
    audit_oldest: Gauge,
    audit_deleted: IntCounterVec,
    audit_unsealed: IntGauge,
    certificate_expiry: Gauge,
    config_reloads: IntCounterVec,
    config_success: IntGauge,
}

/// Metrics of one target, resolved once per connection so that the hot path looks nothing up.
#[derive(Clone)]
pub struct TargetMetrics {
    /// Bytes given to the upstream.
    pub bytes_in: IntCounter,
    /// Bytes given to the client.
    pub bytes_out: IntCounter,
    /// From the record of a statement's start to its end, in seconds.
    pub statement_duration: Histogram,
    completed: IntCounter,
    suspended: IntCounter,
    failed: IntCounter,
    skipped: IntCounter,
    unknown: IntCounter,
}

impl TargetMetrics {
    /// Counts a statement that ended as `outcome` says.
    pub fn statement(&self, outcome: &str) {
        match outcome {
            "completed" => &self.completed,
            "suspended" => &self.suspended,
            "failed" => &self.failed,
            "skipped" => &self.skipped,
            _ => &self.unknown,
        }
        .inc();
    }
}

/// A metric whose name and labels are written here cannot be refused.
pub(super) const VALID: &str = "names, labels and help texts are constants of this file";

pub(super) fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> C {
    registry.register(Box::new(metric.clone())).expect(VALID);
    metric
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All of them, at zero.
    pub fn new() -> Self {
        let registry = Registry::new();
        let r = &registry;
        let gauge = |name, help| register(r, IntGauge::new(name, help).expect(VALID));
        let counter = |name, help| register(r, IntCounter::new(name, help).expect(VALID));
        let counters = |name, help, labels: &[&str]| {
            register(
                r,
                IntCounterVec::new(Opts::new(name, help), labels).expect(VALID),
            )
        };
        let histogram = |name, help| {
            let opts = HistogramOpts::new(name, help).buckets(LATENCY.to_vec());
            register(r, Histogram::with_opts(opts).expect(VALID))
        };
        let histograms = |name, help, labels: &[&str]| {
            let opts = HistogramOpts::new(name, help).buckets(LATENCY.to_vec());
            register(r, HistogramVec::new(opts, labels).expect(VALID))
        };

        let build = register(
            r,
            IntGaugeVec::new(
                Opts::new(
                    "hallpass_build_info",
                    "1, labelled with the version that runs.",
                ),
                &["version"],
            )
            .expect(VALID),
        );
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        #[cfg(target_os = "linux")]
        r.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))
        .expect(VALID);

        Self {
            sessions_live: gauge(
                "hallpass_sessions_live",
                "Sessions that let connections in now.",
            ),
            connections_open: register(
                r,
                IntGaugeVec::new(
                    Opts::new(
                        "hallpass_connections_open",
                        "Admitted connections open now.",
                    ),
                    &["target"],
                )
                .expect(VALID),
            ),
            connections_unauthenticated: gauge(
                "hallpass_connections_unauthenticated",
                "Client sockets that have not authenticated yet.",
            ),
            connections_closed: counters(
                "hallpass_connections_closed_total",
                "Admitted connections that ended, by reason.",
                &["target", "reason"],
            ),
            denials: counters(
                "hallpass_denials_total",
                "Clients that were turned away, by reason.",
                &["reason"],
            ),
            statements: counters(
                "hallpass_statements_total",
                "Statements that ended, by outcome.",
                &["target", "outcome"],
            ),
            statement_duration: histograms(
                "hallpass_statement_duration_seconds",
                "From the record of a statement's start to its end.",
                &["target"],
            ),
            transferred: counters(
                "hallpass_transferred_bytes_total",
                "Bytes relayed, by direction: in (to the upstream) or out (to the client).",
                &["target", "direction"],
            ),
            upstream_connect: histograms(
                "hallpass_upstream_connect_duration_seconds",
                "From dialling the upstream to its first ReadyForQuery.",
                &["target"],
            ),
            upstream_failures: counters(
                "hallpass_upstream_connect_failures_total",
                "Upstream connections that failed, by reason.",
                &["target", "reason"],
            ),
            cancels: counters(
                "hallpass_cancel_requests_total",
                "CancelRequests, by what became of them: forwarded, under_way, unknown, limited or failed.",
                &["outcome"],
            ),
            expiry_lag: histogram(
                "hallpass_expiry_lag_seconds",
                "From a session's end to the close of each of its client connections.",
            ),
            access_requests: counters(
                "hallpass_access_requests_total",
                "Access requests that reached a state.",
                &["target", "state"],
            ),
            sign_ins: counters(
                "hallpass_sign_ins_total",
                "Sign-ins, by how (password, oidc, workload) and what became of them: done or refused.",
                &["how", "result"],
            ),
            notices: Notices::new(r),
            reviews_open: gauge(
                "hallpass_reviews_open",
                "Sessions taken by breaking the glass that nobody has reviewed.",
            ),
            audit_records: counter("hallpass_audit_records_total", "Audit records written."),
            audit_bytes: counter(
                "hallpass_audit_written_bytes_total",
                "Bytes of audit written.",
            ),
            audit_queue: gauge(
                "hallpass_audit_queue_batches",
                "Batches of audit records that wait for the writer.",
            ),
            audit_write: histogram(
                "hallpass_audit_write_duration_seconds",
                "One write of a group of audit records.",
            ),
            audit_available: gauge(
                "hallpass_audit_available",
                "1 while records can be made durable; 0: nothing is forwarded.",
            ),
            shipping: Shipping::new(r),
            audit_kept: gauge(
                "hallpass_audit_kept_bytes",
                "Bytes of the audit's segments in its folder.",
            ),
            audit_oldest: register(
                r,
                Gauge::new(
                    "hallpass_audit_oldest_record_timestamp_seconds",
                    "When the oldest record in the audit's folder was made, in Unix time.",
                )
                .expect(VALID),
            ),
            audit_deleted: counters(
                "hallpass_audit_segments_deleted_total",
                "Segments that the retention deleted, by reason: age or size.",
                &["reason"],
            ),
            audit_unsealed: gauge(
                "hallpass_audit_unsealed_segments",
                "Complete segments that could not be sealed; none behind them is shipped.",
            ),
            certificate_expiry: register(
                r,
                Gauge::new(
                    "hallpass_certificate_expiry_timestamp_seconds",
                    "When the certificate shown to clients ends, in Unix time.",
                )
                .expect(VALID),
            ),
            config_reloads: counters(
                "hallpass_config_reloads_total",
                "Configurations that were read again, by what became of them: applied or refused.",
                &["outcome"],
            ),
            config_success: gauge(
                "hallpass_config_last_reload_success",
                "1 if the configuration's files are in force; 0: they are refused, older ones are.",
            ),
            registry,
        }
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Only an inconsistent collector can fail here; what was encoded before it stands.
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics are incomplete");
        }
        text
    }

    /// The handles for one target's hot path.
    pub fn target(&self, target: &str) -> TargetMetrics {
        let outcome = |outcome| self.statements.with_label_values(&[target, outcome]);
        TargetMetrics {
            bytes_in: self.transferred.with_label_values(&[target, "in"]),
            bytes_out: self.transferred.with_label_values(&[target, "out"]),
            statement_duration: self.statement_duration.with_label_values(&[target]),
            completed: outcome("completed"),
            suspended: outcome("suspended"),
            failed: outcome("failed"),
            skipped: outcome("skipped"),
            unknown: outcome("unknown"),
        }
    }

    pub(crate) fn sessions_live(&self, count: usize) {
        self.sessions_live
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn connection_opened(&self, target: &str) {
        self.connections_open.with_label_values(&[target]).inc();
    }

    pub(crate) fn connection_closed(&self, target: &str) {
        self.connections_open.with_label_values(&[target]).dec();
    }

    /// The gauge of sockets that have not authenticated yet.
    pub fn unauthenticated(&self) -> &IntGauge {
        &self.connections_unauthenticated
    }

    /// Counts a connection that ended for `reason`.
    pub fn closed(&self, target: &str, reason: &str) {
        self.connections_closed
            .with_label_values(&[target, reason])
            .inc();
    }

    /// Counts a client that was turned away for `reason`.
    pub fn denied(&self, reason: &str) {
        self.denials.with_label_values(&[reason]).inc();
    }

    /// Observes how long an upstream took to be ready.
    pub fn upstream_connected(&self, target: &str, took: Duration) {
        self.upstream_connect
            .with_label_values(&[target])
            .observe(took.as_secs_f64());
    }

    /// Counts an upstream that could not be reached or logged in to, for `reason`.
    pub fn upstream_failed(&self, target: &str, reason: &str) {
        self.upstream_failures
            .with_label_values(&[target, reason])
            .inc();
    }

    /// Counts a CancelRequest.
    pub fn cancel(&self, outcome: &str) {
        self.cancels.with_label_values(&[outcome]).inc();
    }

    /// Observes how long after its session's end a connection was closed.
    pub fn expiry_lag(&self, lag: Duration) {
        self.expiry_lag.observe(lag.as_secs_f64());
    }

    /// Counts an access request that reached `state`.
    pub fn access_request(&self, target: &str, state: &str) {
        self.access_requests
            .with_label_values(&[target, state])
            .inc();
    }

    /// Counts a sign-in, and whether it was done or refused.
    pub fn sign_in(&self, how: &str, done: bool) {
        let result = if done { "done" } else { "refused" };
        self.sign_ins.with_label_values(&[how, result]).inc();
    }

    /// The handles for one channel of notices.
    pub fn notices<'a>(&'a self, channel: &'a str) -> NoticeMetrics<'a> {
        self.notices.channel(channel)
    }

    /// How many reviews are open.
    pub fn reviews_open(&self, count: usize) {
        self.reviews_open
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts what one write of the audit made durable.
    pub fn audit_written(&self, records: u64, bytes: u64, took: Duration) {
        self.audit_records.inc_by(records);
        self.audit_bytes.inc_by(bytes);
        self.audit_write.observe(took.as_secs_f64());
    }

    /// The gauge of audit batches that wait.
    pub fn audit_queue(&self) -> &IntGauge {
        &self.audit_queue
    }

    /// Says whether the audit can be written.
    pub fn audit_available(&self, available: bool) {
        self.audit_available.set(available.into());
    }

    /// Says whether records are refused because too many were not shipped.
    pub fn audit_withheld(&self, withheld: bool) {
        self.shipping.withheld.set(withheld.into());
    }

    /// The handles for one destination of the audit.
    pub fn ship(&self, destination: &str) -> ShipMetrics {
        self.shipping.destination(destination)
    }

    /// Says how much of the audit is kept, and since when.
    pub fn audit_kept(&self, bytes: u64, oldest: Option<Timestamp>) {
        self.audit_kept
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        let oldest = oldest.map_or(0, Timestamp::as_second);
        self.audit_oldest.set(oldest as f64);
    }

    /// Counts segments that were deleted for `reason`.
    pub fn audit_deleted(&self, reason: &str, segments: u64) {
        self.audit_deleted
            .with_label_values(&[reason])
            .inc_by(segments);
    }

    /// Says how many complete segments could not be sealed.
    pub fn audit_unsealed(&self, segments: usize) {
        self.audit_unsealed
            .set(i64::try_from(segments).unwrap_or(i64::MAX));
    }

    /// Counts a configuration that was read again, and whether it is in force.
    pub fn config_reloaded(&self, applied: bool) {
        let outcome = if applied { "applied" } else { "refused" };
        self.config_reloads.with_label_values(&[outcome]).inc();
        self.config_in_force(applied);
    }

    /// Says whether what the configuration's files say is in force.
    pub fn config_in_force(&self, applied: bool) {
        self.config_success.set(applied.into());
    }

    /// Says when the certificate shown to clients ends.
    pub fn certificate_expires(&self, unix_seconds: i64) {
        self.certificate_expiry.set(unix_seconds as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_exposed() {
        let metrics = Metrics::new();
        metrics.denied("no_session");
        metrics.target("orders-ro").statement("completed");
        let text = String::from_utf8(metrics.encode()).unwrap();
        for line in [
            r#"hallpass_denials_total{reason="no_session"} 1"#,
            r#"hallpass_statements_total{outcome="completed",target="orders-ro"} 1"#,
            "hallpass_build_info{version=",
            "process_resident_memory_bytes",
        ] {
            assert!(text.contains(line), "{line} is missing from:\n{text}");
        }
    }
}
