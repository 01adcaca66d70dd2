//! What calls were answered that must not be done twice, as rows.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::{Sqlite, StoreError};

/// How long an answer is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// A call that is to be done once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// A hash of who calls, what, and the key that they gave it.
    pub key: [u8; 32],
    /// The SHA-256 of what they sent.
    pub body: [u8; 32],
    /// When.
    pub at: Timestamp,
}

/// What is known of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: it is the caller's to do, and nobody else's.
    New,
    /// It was begun, and its answer is not known.
    Begun,
    /// It was made with another body.
    Other,
    /// It was answered.
    Answered(Answer),
}

/// What a call was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Where what was made is.
    pub location: Option<String>,
    /// What was said; `None` if it was a secret.
    pub body: Option<Vec<u8>>,
}

/// Answers, kept for 24 hours.
#[async_trait]
pub trait Answers: Send + Sync {
    /// Claims a call for its caller, or says what became of it.
    async fn claim_call(&self, call: &Call) -> Result<Claim, StoreError>;

    /// Keeps the answer to a call that was claimed.
    async fn answer_call(&self, key: [u8; 32], answer: &Answer) -> Result<(), StoreError>;

    /// Forgets a call that was claimed: nothing came of it.
    async fn forget_call(&self, key: [u8; 32]) -> Result<(), StoreError>;
}

#[async_trait]
impl Answers for Sqlite {
    async fn claim_call(&self, call: &Call) -> Result<Claim, StoreError> {
        let call = *call;
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            let claim = claim(&transaction, &call)?;
            transaction.commit()?;
            Ok(claim)
        })
        .await
    }

    async fn answer_call(&self, key: [u8; 32], answer: &Answer) -> Result<(), StoreError> {
        let answer = answer.clone();
        self.call(move |connection| {
            let sql = "UPDATE kept_answer SET status = ?2, location = ?3, body = ?4 WHERE key = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            statement.execute((key, answer.status, answer.location, answer.body))?;
            Ok(())
        })
        .await
    }

    async fn forget_call(&self, key: [u8; 32]) -> Result<(), StoreError> {
        self.call(move |connection| {
            connection.execute("DELETE FROM kept_answer WHERE key = ?1", [key])?;
            Ok(())
        })
        .await
    }
}

fn claim(connection: &Connection, call: &Call) -> rusqlite::Result<Claim> {
    if let Ok(before) = call.at.checked_sub(KEPT) {
        let sql = "DELETE FROM kept_answer WHERE at < ?1";
        connection.execute(sql, [before.as_microsecond()])?;
    }
    let sql = "SELECT body_sha256 = ?2, status, location, body FROM kept_answer WHERE key = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    if let Some(claim) = statement
        .query_row((call.key, call.body), known)
        .optional()?
    {
        return Ok(claim);
    }
    let sql = "INSERT INTO kept_answer (key, body_sha256, at) VALUES (?1, ?2, ?3)";
    connection.execute(sql, (call.key, call.body, call.at.as_microsecond()))?;
    Ok(Claim::New)
}

fn known(row: &Row<'_>) -> rusqlite::Result<Claim> {
    let (is_same, status): (bool, Option<u16>) = (row.get(0)?, row.get(1)?);
    Ok(match status {
        _ if !is_same => Claim::Other,
        None => Claim::Begun,
        Some(status) => Claim::Answered(Answer {
            status,
            location: row.get(2)?,
            body: row.get(3)?,
        }),
    })
}
