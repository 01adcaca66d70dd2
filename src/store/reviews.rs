//! Reviews, as rows.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::change::conflict;
use super::{StoreError, rows};
use crate::access::{Review, SessionId};

/// The columns, in the order that [`read`] reads them.
pub(super) const REVIEW: &str =
    "session, request, principal, target, reason, opened_at, detail, version";

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Review> {
    Ok(Review {
        session: rows::parsed(row, 0)?,
        request: rows::parsed(row, 1)?,
        principal: rows::parsed(row, 2)?,
        target: rows::parsed(row, 3)?,
        reason: row.get(4)?,
        opened_at: rows::time(row, 5)?,
        state: rows::from_json(row, 6)?,
        version: rows::number(row, 7)?,
    })
}

pub(super) fn insert(connection: &Connection, review: &Review) -> Result<(), StoreError> {
    let sql = "INSERT INTO review
            (session, request, principal, target, reason, opened_at, state, detail, version)
         VALUES (:session, :request, :principal, :target, :reason, :opened, :state, :detail, :version)";
    connection.prepare_cached(sql)?.execute(named_params! {
        ":session": review.session.to_string(),
        ":request": review.request.to_string(),
        ":principal": review.principal.as_str(),
        ":target": review.target.as_str(),
        ":reason": review.reason,
        ":opened": review.opened_at.as_microsecond(),
        ":state": review.state.name(),
        ":detail": rows::to_json(&review.state)?,
        ":version": rows::signed(review.version),
    })?;
    Ok(())
}

pub(super) fn update(connection: &Connection, review: &Review) -> Result<(), StoreError> {
    let sql = "UPDATE review SET state = ?1, detail = ?2, version = ?3
         WHERE session = ?4 AND version = ?3 - 1";
    let changed = connection.prepare_cached(sql)?.execute((
        review.state.name(),
        rows::to_json(&review.state)?,
        rows::signed(review.version),
        review.session.to_string(),
    ))?;
    if changed == 1 {
        return Ok(());
    }
    let now = of(connection, review.session)?;
    Err(conflict(now.map(|now| now.state.name())))
}

pub(super) fn of(connection: &Connection, session: SessionId) -> rusqlite::Result<Option<Review>> {
    let sql = format!("SELECT {REVIEW} FROM review WHERE session = ?1");
    connection
        .prepare_cached(&sql)?
        .query_row([session.to_string()], read)
        .optional()
}
