//! What the tests stand on: a real PostgreSQL, a real hallpass, and clients of both.

pub mod certificates;
pub mod hallpass;
pub mod login;
pub mod postgres;
pub mod process;
pub mod stage;
mod template;
pub mod wait;
pub mod wire;
