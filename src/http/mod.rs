//! Transport of the control plane: the REST API, the pages behind the links of notices, and health and metrics for operators.

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
mod web;

use std::sync::Arc;

use axum::Router;

pub use serve::{Tls, serve};

/// The REST API, and the pages; `tls` says whether they are served by TLS. What the one has no
/// route for, the other answers.
pub fn router(parts: api::ApiParts, tls: bool) -> Router {
    let web = web::router(Arc::clone(&parts.control), tls);
    web.fallback_service(api::router(parts))
}
