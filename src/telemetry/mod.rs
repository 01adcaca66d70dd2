//! What operators see: logs by `tracing`, metrics by `prometheus`.
//!
//! Neither ever carries SQL text, parameters or secrets; those belong to `audit` alone.

pub mod logging;
mod metrics;
mod notices;
mod shipping;

pub use metrics::{Metrics, TargetMetrics};
pub use notices::NoticeMetrics;
pub use shipping::ShipMetrics;
