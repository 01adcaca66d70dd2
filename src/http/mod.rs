//! Transport of the control plane: the REST API, and health and metrics for operators.

pub mod api;
mod auth;
mod etag;
mod extract;
mod once;
pub mod ops;
mod paging;
mod problem;
mod serve;
mod throttle;
pub mod types;

pub use serve::{Tls, serve};
