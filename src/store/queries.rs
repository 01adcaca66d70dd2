//! What the store is asked: one request or session, lists of them, what is due.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, named_params};

use super::{Due, Filter, StoreError, rows};
use crate::access::{
    AccessRequest, PrincipalName, RequestId, Session, SessionId, SessionState, TargetName,
};

/// Of sessions that are not over.
pub(super) const LIVE: &str = "state IN ('scheduled', 'active')";

/// Another live session of its holder for its target that a new one cannot be beside: one that is
/// active if it is, too, or, unless it is `urgent`, one that is to go on at the same time.
pub(super) fn beside(
    connection: &Connection,
    session: &Session,
    urgent: bool,
) -> rusqlite::Result<Option<Session>> {
    let condition = "(state = 'active' AND :active)
        OR (NOT :urgent AND starts_at < :expires AND expires_at > :starts)";
    other(connection, session, condition, urgent)
}

/// Another live session of its holder for its target that it cannot go on beside, as it changes:
/// one that is active, or one that begins in the time that is added to it.
pub(super) fn ahead(
    connection: &Connection,
    session: &Session,
) -> rusqlite::Result<Option<Session>> {
    let condition = "(state = 'active' AND :active)
        OR (NOT :urgent AND starts_at < :expires AND starts_at > :starts
            AND starts_at >= (SELECT expires_at FROM session WHERE id = :id))";
    other(connection, session, condition, false)
}

fn other(
    connection: &Connection,
    session: &Session,
    condition: &str,
    urgent: bool,
) -> rusqlite::Result<Option<Session>> {
    let sql = format!(
        "SELECT {} FROM session
         WHERE principal = :principal AND target = :target AND {LIVE} AND id <> :id
           AND ({condition})
         ORDER BY state, starts_at LIMIT 1",
        rows::SESSION
    );
    let of_it = named_params! {
        ":principal": session.principal.as_str(),
        ":target": session.target.as_str(),
        ":id": session.id.to_string(),
        ":active": session.state == SessionState::Active,
        ":urgent": urgent,
        ":starts": session.starts_at.as_microsecond(),
        ":expires": session.expires_at.as_microsecond(),
    };
    connection
        .prepare_cached(&sql)?
        .query_row(of_it, rows::session)
        .optional()
}

pub(super) fn request(
    connection: &Connection,
    id: RequestId,
) -> rusqlite::Result<Option<AccessRequest>> {
    let sql = format!("SELECT {} FROM access_request WHERE id = ?1", rows::REQUEST);
    connection
        .prepare_cached(&sql)?
        .query_row([id.to_string()], rows::request)
        .optional()
}

/// How many requests of `requester` wait for a decision.
pub(super) fn pending_of(
    connection: &Connection,
    requester: &PrincipalName,
) -> rusqlite::Result<u32> {
    let sql = "SELECT count(*) FROM access_request WHERE state = 'pending' AND requester = ?1";
    connection
        .prepare_cached(sql)?
        .query_row([requester.as_str()], |row| row.get(0))
}

pub(super) fn session(connection: &Connection, id: SessionId) -> rusqlite::Result<Option<Session>> {
    let sql = format!("SELECT {} FROM session WHERE id = ?1", rows::SESSION);
    connection
        .prepare_cached(&sql)?
        .query_row([id.to_string()], rows::session)
        .optional()
}

/// The query of a list, with the parameters that [`list`] binds.
pub(super) fn select(
    columns: &str,
    table: &str,
    owner: &str,
    (order, key): (&str, &str),
    open: Option<&str>,
) -> String {
    let (open, behind) = (open.unwrap_or("true"), behind(table, order, key));
    format!(
        "SELECT {columns} FROM {table} WHERE {open}
           AND (:principal IS NULL OR {owner} = :principal
                OR target IN (SELECT value FROM json_each(:targets)))
           AND (:owner IS NULL OR {owner} = :owner)
           AND (:target IS NULL OR target = :target)
           AND {behind}
         ORDER BY {order} DESC, rowid DESC LIMIT :limit"
    )
}

/// The condition that a row comes behind the one of a [`Place`](super::Place), the newest first.
pub(super) fn behind(table: &str, order: &str, key: &str) -> String {
    format!(
        "(:at IS NULL OR {order} < :at OR ({order} = :at
             AND rowid < (SELECT rowid FROM {table} WHERE {key} = :id)))"
    )
}

pub(super) fn list<T>(
    connection: &Connection,
    sql: &str,
    filter: &Filter,
    read: fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let visible = filter.visible.as_ref();
    let targets: &[TargetName] = visible.map_or(&[], |visible| &visible.targets);
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map(
        named_params! {
            ":principal": visible.map(|visible| visible.principal.as_str()),
            ":targets": rows::to_json(&targets)?,
            ":owner": filter.principal.as_ref().map(PrincipalName::as_str),
            ":target": filter.target.as_ref().map(TargetName::as_str),
            // SQLite takes a negative limit as none.
            ":limit": filter.window.limit.map_or(-1, i64::from),
            ":at": filter.window.after.as_ref().map(|place| place.at),
            ":id": filter.window.after.as_ref().map(|place| place.id.as_str()),
        },
        read,
    )?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn due(connection: &Connection, now: i64) -> rusqlite::Result<Due> {
    let (request, session) = (rows::REQUEST, rows::SESSION);
    let requests =
        format!("SELECT {request} FROM access_request WHERE state = 'pending' AND lapses_at <= ?1");
    let escalations = format!("SELECT {request} FROM access_request WHERE escalates_at <= ?1");
    let sessions = format!("SELECT {session} FROM session WHERE {LIVE} AND expires_at <= ?1");
    let starts = format!(
        "SELECT {session} FROM session
         WHERE state = 'scheduled' AND starts_at <= ?1 AND expires_at > ?1"
    );
    let next = format!(
        "SELECT min(due) FROM (
            SELECT min(lapses_at) AS due FROM access_request
             WHERE state = 'pending' AND lapses_at > ?1
            UNION ALL
            SELECT min(escalates_at) FROM access_request WHERE escalates_at > ?1
            UNION ALL
            SELECT min(starts_at) FROM session WHERE state = 'scheduled' AND starts_at > ?1
            UNION ALL
            SELECT min(expires_at) FROM session WHERE {LIVE} AND expires_at > ?1)"
    );
    let next: Option<i64> = connection
        .prepare_cached(&next)?
        .query_row([now], |row| row.get(0))?;
    Ok(Due {
        requests: all(connection, &requests, now, rows::request)?,
        sessions: all(connection, &sessions, now, rows::session)?,
        starts: all(connection, &starts, now, rows::session)?,
        escalations: all(connection, &escalations, now, rows::request)?,
        next: next.and_then(|at| Timestamp::from_microsecond(at).ok()),
    })
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    now: i64,
    read: fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map([now], read)?.collect()
}
