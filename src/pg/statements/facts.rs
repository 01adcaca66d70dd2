//! What the tracker says is to be recorded.

use bytes::Bytes;
use tokio::time::Instant;

/// How a statement is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Query`
    Simple,
    /// `Execute`
    Extended,
    /// `FunctionCall`
    FunctionCall,
}

/// A bound parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// SQL's NULL.
    Null,
    /// In text format.
    Text(Bytes),
    /// In binary format, with the type's OID, or 0 if the client left it to the server.
    Binary(u32, Bytes),
}

/// Where a statement's text is, and what names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// The text.
    pub sql: Option<Bytes>,
    /// With the text: the OIDs of the parameter types that the client fixes; empty if it fixes none.
    pub types: Vec<u32>,
    /// The number of the fact that holds the text.
    pub prepared: Option<u64>,
    /// The prepared statement's name; empty if it has none.
    pub name: Bytes,
}

/// What must be recorded. Numbers count within the connection, from 1; every number that starts
/// ([`Fact::Prepared`], [`Fact::Bound`], [`Fact::Started`]) gets exactly one [`Fact::Finished`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A text was prepared that is not executed in the same breath.
    Prepared {
        /// Its number.
        statement: u64,
        /// Its text and name.
        source: Source,
        /// How many [`Fact::Part`]s hold the message, if the text is not here.
        parts: u64,
    },
    /// Parameters were bound that are not executed in the same breath.
    Bound {
        /// Its number.
        statement: u64,
        /// What they are bound to.
        source: Source,
        /// The portal's name; empty if it has none.
        portal: Bytes,
        /// The parameters.
        parameters: Vec<Parameter>,
        /// How many [`Fact::Part`]s hold the message, if the parameters are not here.
        parts: u64,
    },
    /// A statement is about to run.
    Started(Started),
    /// A piece of a message too long for one record.
    Part(Part),
    /// Results of a statement that has more than fit one fact.
    Results {
        /// Its number.
        statement: u64,
        /// Command tags.
        tags: Vec<Bytes>,
        /// What was copied.
        copies: Vec<Copied>,
    },
    /// What became of a number.
    Finished(Finished),
    /// A transaction that a Sync was to commit failed instead, after its statements had completed.
    CommitFailed {
        /// The last statement that had completed.
        statement: u64,
        /// Why.
        sqlstate: [u8; 5],
    },
}

/// A frontend message that may be too long for one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// `Query`
    Query,
    /// `Parse`
    Parse,
    /// `Bind`
    Bind,
    /// `FunctionCall`
    FunctionCall,
}

impl Message {
    /// PostgreSQL's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Query => "Query",
            Self::Parse => "Parse",
            Self::Bind => "Bind",
            Self::FunctionCall => "FunctionCall",
        }
    }
}

/// A piece of a message too long for one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The number of the fact that will follow.
    pub statement: u64,
    /// What it is a piece of.
    pub message: Message,
    /// From 1.
    pub part: u64,
    /// The bytes.
    pub data: Bytes,
    /// On a Bind's first: the OIDs of its parameters' types, as far as they are known.
    pub types: Vec<u32>,
    /// On the last one: the hash of all.
    pub sha256: Option<[u8; 32]>,
}

/// A statement is about to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Its number.
    pub statement: u64,
    /// How it is run.
    pub kind: Kind,
    /// Its text.
    pub source: Source,
    /// The number of the fact that holds the parameters, if they are not here.
    pub bound: Option<u64>,
    /// The portal's name; empty if it has none.
    pub portal: Bytes,
    /// The parameters, or a function's arguments.
    pub parameters: Vec<Parameter>,
    /// The function's OID.
    pub function: Option<u32>,
    /// How many [`Fact::Part`]s hold the message, if its text is not here.
    pub parts: u64,
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// To its end.
    Completed,
    /// The portal has more rows.
    Suspended,
    /// With an error.
    Failed,
    /// Not run: an error before it.
    Skipped,
    /// Nobody knows.
    Unknown,
}

/// What became of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its number.
    pub statement: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// When it was sent.
    pub started: Instant,
    /// What it did.
    pub tally: Tally,
}

/// What is counted while a statement is answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Command tags.
    pub tags: Vec<Bytes>,
    /// The error's code.
    pub sqlstate: Option<[u8; 5]>,
    /// Rows sent to the client.
    pub rows: u64,
    /// Bytes that answered it.
    pub bytes: u64,
    /// What was copied.
    pub copies: Vec<Copied>,
}

/// One COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// From the client, or to it.
    pub from_client: bool,
    /// Bytes of CopyData.
    pub bytes: u64,
    /// Their hash.
    pub sha256: [u8; 32],
}
