//! One session out of the log: found, put together, and played back. No I/O but that of the log,
//! and no clock: time is an argument.

mod compare;
mod find;
mod message;
mod missing;
mod parts;
mod pieces;
mod plan;
mod player;
mod schedule;
mod statement;
mod story;
mod tape;
mod teller;
#[cfg(test)]
pub(crate) mod testing;

pub use compare::{Difference, Seen, What, compare};
pub use find::{Found, Unread, list, load};
pub use missing::Missing;
pub use parts::{
    Approved, Cancelled, Closed, Connection, Ended, Established, Hold, SecretRead, Submitted,
    Totals,
};
pub use pieces::{Control, Piece, pieces};
pub use plan::{Plan, Skip, plan, replayed};
pub use player::{Goal, Player};
pub use schedule::{Item, Next, Schedule};
pub use statement::{End, Statement, Step};
pub use story::{Moment, Story};
pub use tape::{Cue, Tape};
