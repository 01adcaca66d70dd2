//! What the tests stand on: a real PostgreSQL, a real hallpass, and clients of both.

#![allow(
    dead_code,
    reason = "the harness offers what a test may need, not only what one needs today"
)]

pub mod certificates;
pub mod desk;
pub mod hallpass;
pub mod in_process;
pub mod ledger;
pub mod login;
pub mod postgres;
pub mod process;
pub mod raw_client;
pub mod stage;
mod template;
pub mod wait;
pub mod wire;
