//! Delegations, as rows.

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::{StoreError, rows};
use crate::access::{Delegation, PrincipalName};

/// Keeps a delegation, in the place of an older one between the same two.
pub(super) fn upsert(connection: &Connection, delegation: &Delegation) -> Result<(), StoreError> {
    let sql = "INSERT INTO delegation (from_whom, to_whom, since, until, mfa)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE
         SET since = excluded.since, until = excluded.until, mfa = excluded.mfa";
    connection.prepare_cached(sql)?.execute((
        delegation.from.as_str(),
        delegation.to.as_str(),
        delegation.since.as_microsecond(),
        delegation.until.as_microsecond(),
        delegation.mfa,
    ))?;
    Ok(())
}

/// Ends the delegation between two.
pub(super) fn delete(
    connection: &Connection,
    from: &PrincipalName,
    to: &PrincipalName,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM delegation WHERE from_whom = ?1 AND to_whom = ?2";
    let deleted = connection
        .prepare_cached(sql)?
        .execute((from.as_str(), to.as_str()))?;
    match deleted {
        1 => Ok(()),
        _ => Err(StoreError::Missing),
    }
}

/// Those from and to `principal` that hold at `now`, the next to end first.
pub(super) fn of(
    connection: &Connection,
    principal: &PrincipalName,
    now: Timestamp,
) -> Result<Vec<Delegation>, StoreError> {
    let sql = "SELECT from_whom, to_whom, since, until, mfa FROM delegation
         WHERE (from_whom = ?1 OR to_whom = ?1) AND until > ?2 ORDER BY until, rowid";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map((principal.as_str(), now.as_microsecond()), read)?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Delegation> {
    Ok(Delegation {
        from: rows::parsed(row, 0)?,
        to: rows::parsed(row, 1)?,
        since: rows::time(row, 2)?,
        until: rows::time(row, 3)?,
        mfa: row.get(4)?,
    })
}
