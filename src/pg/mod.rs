//! PostgreSQL's wire protocol, as far as a proxy must understand it ("Frontend/Backend Protocol",
//! chapter 55 of the PostgreSQL 18 manual). Bytes in, facts out: no sockets and no timers, but for
//! [`Stream`], which reads whole packets before there is a relay.
//!
//! Every length comes from a stranger: it is checked in 64 bits before it is used, a message must
//! be consumed exactly, and what is forwarded is what was framed, so that hallpass and the server
//! never disagree about where a message ends.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod error;
pub mod frame;
pub mod frontend;
pub mod options;
mod reader;
mod sqlstate;
pub mod startup;
pub mod statements;
mod stream;
pub mod values;

pub use error::{ErrorReply, Notice};
pub use reader::Malformed;
pub use sqlstate::SqlState;
pub use stream::{Frame, Stream, StreamError};
