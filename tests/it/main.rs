//! The integration tests: one binary, one module a subject.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]
#![allow(
    clippy::print_stderr,
    reason = "a test shows what it measured to whom runs it"
)]
#![allow(
    unreachable_pub,
    reason = "nothing is exported from here; `pub` separates a module's entry from its helpers"
)]

mod api;
mod architecture;
mod asking;
mod cli;
mod clients;
mod demo;
mod handshake;
mod hostile;
mod identity;
mod instructions;
mod lifetime;
mod paths;
mod recorded;
mod reload;
mod replay;
mod shipped;
mod support;
mod tap;
mod told;
mod upstreams;
