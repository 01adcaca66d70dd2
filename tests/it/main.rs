//! The integration tests: one binary, one module a subject.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]
#![allow(
    unreachable_pub,
    reason = "nothing is exported from here; `pub` separates a module's entry from its helpers"
)]

mod architecture;
mod cli;
mod clients;
mod handshake;
mod hostile;
mod support;
mod tap;
mod upstreams;
