//! Values to rows and back. Text columns are parsed by the types' own rules, so what was written
//! by somebody else's hand does not slip through.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, Row, named_params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Act, StoreError, notices};
use crate::access::{AccessRequest, Session};

/// The columns of a request, in the order that [`request`] reads them.
pub(super) const REQUEST: &str =
    "id, requester, target, duration_us, reason, created_at, lapses_at, detail";
/// The columns of a session, in the order that [`session`] reads them.
pub(super) const SESSION: &str =
    "id, request, principal, target, reason, approved_by, starts_at, expires_at, detail";

pub(super) fn request(row: &Row<'_>) -> rusqlite::Result<AccessRequest> {
    Ok(AccessRequest {
        id: parsed(row, 0)?,
        requester: parsed(row, 1)?,
        target: parsed(row, 2)?,
        duration: duration(row, 3)?,
        reason: row.get(4)?,
        created_at: time(row, 5)?,
        lapses_at: time(row, 6)?,
        state: from_json(row, 7)?,
    })
}

pub(super) fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: parsed(row, 0)?,
        request: parsed(row, 1)?,
        principal: parsed(row, 2)?,
        target: parsed(row, 3)?,
        reason: row.get(4)?,
        approved_by: parsed(row, 5)?,
        starts_at: time(row, 6)?,
        expires_at: time(row, 7)?,
        state: from_json(row, 8)?,
    })
}

pub(super) fn act(row: &Row<'_>) -> rusqlite::Result<(i64, Act)> {
    let act = Act {
        at: time(row, 1)?,
        event: from_json(row, 2)?,
    };
    Ok((row.get(0)?, act))
}

pub(super) fn insert_request(
    connection: &Connection,
    request: &AccessRequest,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO access_request
            (id, requester, target, duration_us, reason, created_at, lapses_at, state, detail)
         VALUES (:id, :requester, :target, :duration, :reason, :created, :lapses, :state, :detail)";
    connection.prepare_cached(sql)?.execute(named_params! {
        ":id": request.id.to_string(),
        ":requester": request.requester.as_str(),
        ":target": request.target.as_str(),
        ":duration": i64::try_from(request.duration.as_micros()).unwrap_or(i64::MAX),
        ":reason": request.reason,
        ":created": request.created_at.as_microsecond(),
        ":lapses": request.lapses_at.as_microsecond(),
        ":state": request.state.name(),
        ":detail": to_json(&request.state)?,
    })?;
    Ok(())
}

pub(super) fn insert_session(connection: &Connection, session: &Session) -> Result<(), StoreError> {
    let sql = "INSERT INTO session
            (id, request, principal, target, reason, approved_by, starts_at, expires_at, state, detail)
         VALUES (:id, :request, :principal, :target, :reason, :by, :starts, :expires, :state, :detail)";
    connection.prepare_cached(sql)?.execute(named_params! {
        ":id": session.id.to_string(),
        ":request": session.request.to_string(),
        ":principal": session.principal.as_str(),
        ":target": session.target.as_str(),
        ":reason": session.reason,
        ":by": session.approved_by.as_str(),
        ":starts": session.starts_at.as_microsecond(),
        ":expires": session.expires_at.as_microsecond(),
        ":state": session.state.name(),
        ":detail": to_json(&session.state)?,
    })?;
    Ok(())
}

/// Keeps an act for the audit, and for those who are told of it.
pub(super) fn insert_act(connection: &Connection, act: &Act) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT INTO audit_outbox (at, event) VALUES (?1, ?2)")?
        .execute((act.at.as_microsecond(), to_json(&act.event)?))?;
    notices::insert(connection, act)
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Unreadable(error.to_string()))
}

pub(super) fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error| unreadable(column, error))
}

pub(super) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(column, error))
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(row.get(column)?).map_err(|error| unreadable(column, error))
}

/// The same of a column that may be empty.
pub(super) fn time_if_any(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    match row.get::<_, Option<i64>>(column)? {
        Some(_) => time(row, column).map(Some),
        None => Ok(None),
    }
}

/// The one of `all` that is called what the column says.
pub(super) fn named<T: Copy>(
    row: &Row<'_>,
    column: usize,
    all: impl IntoIterator<Item = T>,
    name: fn(T) -> &'static str,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    let mut all = all.into_iter();
    all.find(|it| name(*it) == text)
        .ok_or_else(|| unreadable(column, FromSqlError::InvalidType))
}

fn duration(row: &Row<'_>, column: usize) -> rusqlite::Result<Duration> {
    let microseconds: i64 = row.get(column)?;
    u64::try_from(microseconds)
        .map(Duration::from_micros)
        .map_err(|_| unreadable(column, FromSqlError::OutOfRange(microseconds)))
}

fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
