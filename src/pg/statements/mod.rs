//! The statement tracker: frames in, facts out.
//!
//! [`Tracker::sent`] reads what the client sends, as far as it may be forwarded, and says what
//! must be recorded first. [`Tracker::received`] reads what the upstream answers and says what
//! became of it. Between the two stands a queue of expected replies: each request pushes what it
//! should produce, each reply pops, and an error empties the queue to the next `Sync`, so that
//! outcomes land on the right statement under pipelining.
//!
//! A text is in force only once the upstream confirms it: a `Parse` that fails because its name is
//! taken must not change what a later `Execute` of that name is recorded as.

mod extended;
mod facts;
mod names;
mod parts;
mod queue;
mod received;
mod redefine;
mod sent;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

pub use self::facts::{
    Copied, Fact, Finished, Kind, Message, Outcome, Parameter, Part, Source, Started, Tally,
};
use self::names::{Budget, Lease, Names};
use self::queue::Queue;
use super::frame::FrameError;

/// Messages up to this many bytes are recorded whole; longer ones in parts of at most as many.
pub const WHOLE: usize = 64 * 1024;
/// Replies that may be outstanding before nothing more is read from the client. A server holds at
/// most 8 KiB of replies back until a Sync or a Flush, which is 1,638 of the shortest, so to wait
/// at this many never waits for ever.
pub const MAX_OUTSTANDING: usize = 32 * 1024;

/// The upstream's stream cannot be followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Lost {
    /// How many bytes of those that were read are whole messages, or the rest of one.
    pub at: usize,
    /// What is wrong with those that follow.
    pub error: FrameError,
}

/// Why a client's stream is not forwarded any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// It cannot be cut into frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A message is not what its tag says.
    #[error("malformed message of type 0x{0:02x}")]
    Malformed(u8),
}

/// A text that was prepared.
#[derive(Debug)]
struct Definition {
    name: Bytes,
    /// Absent where it was too long to be kept: then `recorded` has it.
    sql: Option<Bytes>,
    types: Vec<u32>,
    sent: Instant,
    /// It may change what names stand for.
    redefines: bool,
    /// The number of its [`Fact::Prepared`]; 0: it has none.
    recorded: AtomicU64,
    /// For as long as it is kept under its name.
    lease: Option<Lease>,
}

/// Parameters bound to a text.
#[derive(Debug)]
struct Portal {
    name: Bytes,
    statement: Bytes,
    /// Absent where the text is not known: it was defined in SQL, was not kept, or is in doubt.
    definition: Option<Arc<Definition>>,
    parameters: Vec<Parameter>,
    sent: Instant,
    /// The number of its [`Fact::Bound`]; 0: it has none.
    recorded: AtomicU64,
    /// The number of its first [`Fact::Started`]; 0: it was not executed yet.
    executed: AtomicU64,
    /// For as long as it is kept under its name.
    lease: Option<Lease>,
}

/// A number that is set once; 0 stands for none.
fn set(number: &AtomicU64) -> Option<u64> {
    Some(number.load(Ordering::Relaxed)).filter(|&number| number != 0)
}

impl Started {
    fn new(statement: u64, kind: Kind, source: Source) -> Self {
        Self {
            statement,
            kind,
            source,
            bound: None,
            portal: Bytes::new(),
            parameters: Vec::new(),
            function: None,
            parts: 0,
        }
    }
}

impl Source {
    /// What is known of the text that `name` stands for.
    fn of(name: &Bytes, definition: Option<&Definition>) -> Self {
        let with_text = definition.filter(|it| it.sql.is_some());
        Self {
            sql: with_text.and_then(|it| it.sql.clone()),
            types: with_text.map_or_else(Vec::new, |it| it.types.clone()),
            prepared: definition.and_then(|it| set(&it.recorded)),
            name: name.clone(),
        }
    }
}

impl Parameter {
    /// Bytes that keeping it takes.
    fn held(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Null => 0,
                Self::Text(bytes) | Self::Binary(_, bytes) => bytes.len(),
            }
    }
}

impl Portal {
    fn source(&self) -> Source {
        Source::of(&self.statement, self.definition.as_deref())
    }

    /// Whether executing it may change what names stand for.
    fn redefines(&self) -> bool {
        self.definition.as_ref().is_none_or(|it| it.redefines)
    }

    /// The number of the fact that holds the parameters already.
    fn parameters_in(&self) -> Option<u64> {
        set(&self.recorded).or_else(|| set(&self.executed))
    }
}

/// Bytes of a COPY as they pass.
#[derive(Debug, Default, Clone)]
struct CopyHash {
    bytes: u64,
    hash: Sha256,
}

impl CopyHash {
    fn update(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        self.hash.update(data);
    }

    fn finish(self, from_client: bool) -> Copied {
        Copied {
            from_client,
            bytes: self.bytes,
            sha256: self.hash.finalize().into(),
        }
    }
}

/// Follows one connection's two streams.
#[derive(Debug)]
pub struct Tracker {
    /// The last number given out.
    last: u64,
    /// Counts `Sync`s and simple queries sent: what an error undoes ends with its group.
    group: u64,
    statements: Names<Definition>,
    portals: Names<Portal>,
    statement_budget: Budget,
    portal_budget: Budget,
    /// Parsed in this breath, and neither executed nor recorded yet.
    parsed: Option<Arc<Definition>>,
    /// Bound in this breath, and neither executed nor recorded yet.
    bound: Option<Arc<Portal>>,
    queue: Queue,
    /// The upstream ignores everything up to the next Sync.
    skipping: bool,
    /// A COPY failed with Syncs behind it: which of them the upstream has read as part of it, and
    /// ignored, only its next replies tell.
    doubt: bool,
    /// CopyData of the client since its statement, or since its last CopyDone.
    sent_copy: Option<CopyHash>,
    /// The upstream gave up a COPY while the client was still sending: what is left of its data is
    /// ignored, there and here.
    stale_copy: bool,
    terminated: bool,
    violation: Option<Violation>,
    outgoing: sent::Outgoing,
    incoming: received::Incoming,
}

impl Default for Tracker {
    fn default() -> Self {
        Self::new()
    }
}

impl Tracker {
    /// For a connection that is ready for its first query.
    pub fn new() -> Self {
        Self {
            last: 0,
            group: 0,
            statements: Names::default(),
            portals: Names::default(),
            statement_budget: Budget::default(),
            portal_budget: Budget::default(),
            parsed: None,
            bound: None,
            queue: Queue::default(),
            skipping: false,
            doubt: false,
            sent_copy: None,
            stale_copy: false,
            terminated: false,
            violation: None,
            outgoing: sent::Outgoing::default(),
            incoming: received::Incoming::default(),
        }
    }

    /// Whether the upstream has answered everything that it was sent.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() || (self.doubt && self.queue.only_syncs())
    }

    /// How many replies are outstanding.
    pub fn outstanding(&self) -> usize {
        self.queue.replies()
    }

    /// Whether the client has said goodbye (`Terminate`).
    pub fn is_terminated(&self) -> bool {
        self.terminated
    }

    /// What is wrong with the client's stream behind what may be forwarded; nothing after it may
    /// be.
    pub fn violation(&self) -> Option<Violation> {
        self.violation
    }

    /// How many numbers were given out.
    pub fn statements(&self) -> u64 {
        self.last
    }

    /// Whether the client's stream stands between two messages.
    pub fn at_request_boundary(&self) -> bool {
        matches!(self.outgoing, sent::Outgoing::Boundary)
    }

    /// Whether the upstream's stream stands between two messages.
    pub fn at_reply_boundary(&self) -> bool {
        self.incoming.at_boundary()
    }

    /// The connection is over: nobody will know what became of the rest.
    pub fn abandon(&mut self, facts: &mut Vec<Fact>) {
        while let Some(expected) = self.queue.pop() {
            self.undone(&expected, Outcome::Unknown, facts);
        }
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

#[cfg(test)]
mod tests;
