//! Holds, as rows.

use rusqlite::{Connection, Row};

use super::{StoreError, queries, rows};
use crate::access::{Hold, Session, SessionId};

/// Keeps a hold on a session that there is or was, and on which there is none.
pub(super) fn insert(connection: &Connection, hold: &Hold) -> Result<(), StoreError> {
    if queries::session(connection, hold.session)?.is_none() {
        return Err(StoreError::Missing);
    }
    let sql = "INSERT INTO audit_hold (session, placed_by, placed_at, reason)
         VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    let inserted = connection.prepare_cached(sql)?.execute((
        hold.session.to_string(),
        hold.by.as_str(),
        hold.at.as_microsecond(),
        &hold.reason,
    ))?;
    match inserted {
        1 => Ok(()),
        _ => Err(StoreError::Conflict("held".to_owned())),
    }
}

/// Ends the hold on a session.
pub(super) fn delete(connection: &Connection, session: SessionId) -> Result<(), StoreError> {
    let sql = "DELETE FROM audit_hold WHERE session = ?1";
    let deleted = connection
        .prepare_cached(sql)?
        .execute([session.to_string()])?;
    match deleted {
        1 => Ok(()),
        _ => Err(StoreError::Missing),
    }
}

/// All holds, the newest first, each with its session.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<(Hold, Session)>> {
    let sql = "SELECT session, placed_by, placed_at, reason FROM audit_hold
         ORDER BY placed_at DESC, rowid DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let holds = statement.query_map([], hold)?;
    holds.map(|hold| with_session(connection, hold?)).collect()
}

fn hold(row: &Row<'_>) -> rusqlite::Result<Hold> {
    Ok(Hold {
        session: rows::parsed(row, 0)?,
        by: rows::parsed(row, 1)?,
        at: rows::time(row, 2)?,
        reason: row.get(3)?,
    })
}

/// The table's foreign key says that the session is there.
fn with_session(connection: &Connection, hold: Hold) -> rusqlite::Result<(Hold, Session)> {
    let session = queries::session(connection, hold.session)?;
    let session = session.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok((hold, session))
}
