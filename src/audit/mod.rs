//! The audit: what was asked for, granted, run, and how it ended.
//!
//! [`Event`]s are facts; the [`Recorder`] gives each a place in one sequence, writes it as a line
//! of JSON to the current segment, and says when that is done. Nobody forwards a statement before.
//! [`reader`] reads segments back. Nothing here goes through `tracing`.

mod event;
pub mod reader;
mod recorder;
mod redaction;
mod segment;
mod text;

pub use event::{
    CommandResult, Copy, CopyDirection, Event, Origin, Outcome, Record, StatementKind, VERSION,
};
pub use recorder::{Batch, Recorder, Settings, Unavailable};
pub use redaction::{Redaction, ValueHasher, ValueKey};
pub use segment::OpenError;
pub use text::{Parameter, Text};
