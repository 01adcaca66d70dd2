//! One session out of the log: found, put together, and played back. No I/O but that of the log,
//! and no clock: time is an argument.

mod find;
mod message;
mod missing;
mod statement;
mod story;

pub use find::{Found, Unread, list, load};
pub use missing::Missing;
pub use statement::{End, Statement, Step};
pub use story::{
    Approved, Cancelled, Closed, Connection, Ended, Established, Hold, Moment, SecretRead, Story,
    Submitted, Totals,
};
