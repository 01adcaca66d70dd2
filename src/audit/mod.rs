//! The audit: what was asked for, granted, run, and how it ended.
//!
//! [`Event`]s are facts; the [`Recorder`] gives each a place in one sequence, writes it as a line
//! of JSON to the current segment, and says when that is done. Nobody forwards a statement before.
//! [`reader`] reads segments back. Nothing here goes through `tracing`.

mod about;
pub mod archive;
mod batch;
mod chain;
mod checkpoint;
mod event;
pub mod files;
mod folder;
mod health;
pub mod index;
mod keeper;
mod key;
pub mod open;
mod outcome;
pub mod reader;
mod recorder;
mod recovery;
mod redaction;
mod seal;
mod segment;
pub mod source;
mod text;
pub mod verify;
mod writer;

pub use about::About;
pub use batch::Batch;
pub use chain::{Hash, Head, InvalidHead};
pub use event::{Event, Gap, Origin, Record, VERSION};
pub use folder::OpenError;
pub use keeper::Keeper;
pub use key::{InvalidKey, KeyError, PublicKey, SigningKey};
pub use outcome::{CommandResult, Copy, CopyDirection, Outcome, StatementKind};
pub use recorder::{Durability, Recorder, Settings, Unavailable};
pub use redaction::{Redaction, ValueHasher, ValueKey};
pub use text::{Parameter, Text};
