//! How statements are run and what becomes of them.

use serde::{Deserialize, Serialize};

use super::text::Text;

/// How a statement is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatementKind {
    /// `Query`: text, perhaps several commands.
    Simple,
    /// `Execute` of a portal.
    Extended,
    /// `FunctionCall`, libpq's way to large objects.
    FunctionCall,
}

impl StatementKind {
    /// As it is written.
    pub fn label(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Extended => "extended",
            Self::FunctionCall => "function_call",
        }
    }
}

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// To its end.
    Completed,
    /// The portal has more rows and may be executed again.
    Suspended,
    /// With an error.
    Failed,
    /// Not at all: an error before it made the upstream skip it.
    Skipped,
    /// Nobody knows: the connection ended first.
    Unknown,
}

impl Outcome {
    /// As it is written.
    pub fn label(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Suspended => "suspended",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Unknown => "unknown",
        }
    }
}

/// What one command did, from its `CommandComplete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandResult {
    /// The command tag (`SELECT 5`, `INSERT 0 1`).
    pub tag: Text,
}

/// One COPY, in either direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// `in`: from the client. `out`: to the client.
    pub direction: CopyDirection,
    /// Bytes of `CopyData`.
    pub bytes: u64,
    /// SHA-256 of those bytes, in hexadecimal; absent where values are not recorded in full.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<String>,
    /// In its place where parameters are hashed: its own keyed hash, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hmac: Option<String>,
}

/// Which way a COPY goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyDirection {
    /// From the client.
    In,
    /// To the client.
    Out,
}
