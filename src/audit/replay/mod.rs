//! One session out of the log: found, put together, and played back. No I/O but that of the log,
//! and no clock: time is an argument.

mod find;
mod message;
mod missing;
mod player;
mod statement;
mod story;
mod tape;

pub use find::{Found, Unread, list, load};
pub use missing::Missing;
pub use player::{Goal, Player};
pub use statement::{End, Statement, Step};
pub use story::{
    Approved, Cancelled, Closed, Connection, Ended, Established, Hold, Moment, SecretRead, Story,
    Submitted, Totals,
};
pub use tape::{Cue, Tape};
