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
use crate::access::{AccessRequest, RequestState, Session};

/// The columns of a request, in the order that [`request`] reads them.
pub(super) const REQUEST: &str = "id, kind, extends, requester, target, duration_us, reason, ticket, \
     starts_at, circumstances, created_at, lapses_at, chain, detail, version";
/// The columns of a session, in the order that [`session`] reads them.
pub(super) const SESSION: &str =
    "id, request, principal, target, reason, approved_by, starts_at, expires_at, detail, version";

pub(super) fn request(row: &Row<'_>) -> rusqlite::Result<AccessRequest> {
    Ok(AccessRequest {
        id: parsed(row, 0)?,
        kind: by_name(row, 1)?,
        extends: optional(row, 2)?,
        requester: parsed(row, 3)?,
        target: parsed(row, 4)?,
        duration: duration(row, 5)?,
        reason: row.get(6)?,
        ticket: row.get(7)?,
        starts_at: time_if_any(row, 8)?,
        circumstances: from_json(row, 9)?,
        created_at: time(row, 10)?,
        lapses_at: time(row, 11)?,
        chain: from_json(row, 12)?,
        state: from_json(row, 13)?,
        version: number(row, 14)?,
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
        version: number(row, 9)?,
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
            (id, kind, extends, requester, target, duration_us, reason, ticket, starts_at,
             circumstances, created_at, lapses_at, chain, escalates_at, state, detail, version)
         VALUES (:id, :kind, :extends, :requester, :target, :duration, :reason, :ticket, :starts,
             :circumstances, :created, :lapses, :chain, :escalates, :state, :detail, :version)";
    connection.prepare_cached(sql)?.execute(named_params! {
        ":id": request.id.to_string(),
        ":kind": request.kind.name(),
        ":extends": request.extends.map(|session| session.to_string()),
        ":requester": request.requester.as_str(),
        ":target": request.target.as_str(),
        ":duration": i64::try_from(request.duration.as_micros()).unwrap_or(i64::MAX),
        ":reason": request.reason,
        ":ticket": request.ticket,
        ":starts": request.starts_at.map(Timestamp::as_microsecond),
        ":circumstances": to_json(&request.circumstances)?,
        ":created": request.created_at.as_microsecond(),
        ":lapses": request.lapses_at.as_microsecond(),
        ":chain": to_json(&request.chain)?,
        ":escalates": escalates_at(request),
        ":state": request.state.name(),
        ":detail": to_json(&request.state)?,
        ":version": signed(request.version),
    })?;
    Ok(())
}

/// Replaces the request's version before this one; whether it was there.
pub(super) fn update_request(
    connection: &Connection,
    request: &AccessRequest,
) -> Result<bool, StoreError> {
    let sql = "UPDATE access_request SET chain = :chain, escalates_at = :escalates,
            state = :state, detail = :detail, version = :version
         WHERE id = :id AND version = :version - 1";
    let changed = connection.prepare_cached(sql)?.execute(named_params! {
        ":id": request.id.to_string(),
        ":chain": to_json(&request.chain)?,
        ":escalates": escalates_at(request),
        ":state": request.state.name(),
        ":detail": to_json(&request.state)?,
        ":version": signed(request.version),
    })?;
    Ok(changed == 1)
}

/// When somebody has to note that it escalates.
fn escalates_at(request: &AccessRequest) -> Option<i64> {
    let waits = request.state == RequestState::Pending;
    let at = request.chain.escalates_at().filter(|_| waits);
    at.map(Timestamp::as_microsecond)
}

pub(super) fn insert_session(connection: &Connection, session: &Session) -> Result<(), StoreError> {
    let sql = "INSERT INTO session
            (id, request, principal, target, reason, approved_by, starts_at, expires_at, state,
             detail, version)
         VALUES (:id, :request, :principal, :target, :reason, :by, :starts, :expires, :state,
             :detail, :version)";
    connection.prepare_cached(sql)?.execute(named_params! {
        ":id": session.id.to_string(),
        ":request": session.request.to_string(),
        ":principal": session.principal.as_str(),
        ":target": session.target.as_str(),
        ":reason": session.reason,
        ":by": session.approved_by.to_string(),
        ":starts": session.starts_at.as_microsecond(),
        ":expires": session.expires_at.as_microsecond(),
        ":state": session.state.name(),
        ":detail": to_json(&session.state)?,
        ":version": signed(session.version),
    })?;
    Ok(())
}

/// Replaces the session's version before this one; whether it was there.
pub(super) fn update_session(
    connection: &Connection,
    session: &Session,
) -> Result<bool, StoreError> {
    let sql = "UPDATE session SET expires_at = :expires, state = :state, detail = :detail,
            version = :version
         WHERE id = :id AND version = :version - 1";
    let changed = connection.prepare_cached(sql)?.execute(named_params! {
        ":id": session.id.to_string(),
        ":expires": session.expires_at.as_microsecond(),
        ":state": session.state.name(),
        ":detail": to_json(&session.state)?,
        ":version": signed(session.version),
    })?;
    Ok(changed == 1)
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

fn optional<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    let value = text.map(|text| text.parse()).transpose();
    value.map_err(|error| unreadable(column, error))
}

/// A value that serde knows by its name alone.
fn by_name<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let name = serde_json::Value::String(row.get(column)?);
    serde_json::from_value(name).map_err(|error| unreadable(column, error))
}

pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| unreadable(column, error))
}

/// As SQLite has numbers.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
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
