//! The audit: what was asked for, granted, run, and how it ended.
//!
//! [`Event`]s are facts; the [`Recorder`] gives each a place in one sequence, writes it as a line
//! of JSON to the current segment, and says when that is done. Nobody forwards a statement before.
//! [`reader`] reads segments back. Nothing here goes through `tracing`.

mod about;
pub mod archive;
mod aside;
mod backlog;
mod batch;
mod chain;
mod checkpoint;
mod durable;
mod encode;
mod event;
pub mod export;
pub mod files;
mod flow;
mod folder;
pub mod follow;
mod gaps;
mod health;
mod held;
mod holders;
pub mod index;
mod inventory;
pub mod join;
mod keeper;
mod key;
pub mod layout;
pub mod line;
mod listing;
mod message;
pub mod open;
mod origin;
mod outcome;
mod pen;
mod queue;
pub mod reader;
mod recorder;
mod recovery;
mod redaction;
pub mod replay;
mod resumption;
mod retention;
mod seal;
pub mod search;
mod segment;
pub mod session;
pub mod ship;
mod shown;
mod slot;
pub mod source;
mod standby;
pub mod statement;
pub mod stats;
#[cfg(test)]
mod testing;
mod text;
mod turn;
pub mod verify;
mod writer;

pub use about::About;
pub use batch::Batch;
pub use chain::{Hash, Head, InvalidHead};
pub use durable::make_folder;
pub use event::{ConfigurationFile, Event, Gap, Record, VERSION};
pub use flow::Flow;
pub use folder::OpenError;
pub use held::{Asked, Held};
pub use keeper::Keeper;
pub use key::{InvalidKey, KeyError, PublicKey, SigningKey};
pub use origin::Origin;
pub use outcome::{CommandResult, Copy, CopyDirection, Outcome, StatementKind};
pub use pen::Pen;
pub use recorder::{Durability, Recorder, Settings, Submitted, Unavailable};
pub use redaction::{Redaction, ValueHasher, ValueKey};
pub use retention::Retention;
pub use statement::{Finish, Missing, Statement};
pub use text::{Parameter, Text};
