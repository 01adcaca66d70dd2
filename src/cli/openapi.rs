//! `hallpass openapi`: the REST API as a document.

use clap::Args;

use super::{Done, out};
use crate::http::api;

/// Print the OpenAPI document of the REST API, for code generators and documentation.
///
/// A server answers with its own at /api/v1/openapi.json.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass openapi > hallpass.json
  curl https://hallpass.example.com:8432/api/v1/openapi.json")]
pub(super) struct OpenapiArgs;

pub(super) fn run() -> Done {
    out::print(&api::openapi()).map(|()| 0)
}
