//! Notices that people are still to get: an outbox of their own, one row for each channel, filled
//! in the transaction of what they tell.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{Act, Sqlite, StoreError, rows};
use crate::access::{RequestId, SessionId};
use crate::audit::Event;

#[cfg(test)]
mod tests;

/// Letters that one look brings.
const LETTERS: u32 = 50;

/// Of letters that do not wait for an earlier one about the same request to the same recipient.
const FIRST: &str = "NOT EXISTS (SELECT 1 FROM notice_outbox AS earlier
       WHERE earlier.channel = letter.channel AND earlier.recipient = letter.recipient
         AND earlier.request = letter.request AND earlier.number < letter.number)";

/// A notice on its way, by one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// Its place in the outbox.
    pub number: i64,
    /// The same however often it is sent, and no other's.
    pub id: String,
    /// To whom, where the channel has recipients; empty before they are known.
    pub recipient: String,
    /// The request that it is about.
    pub request: RequestId,
    /// What happened, and when.
    pub act: Act,
    /// How often it was tried.
    pub attempts: u32,
    /// What the channel answered to the last letter about the request.
    pub place: Option<String>,
}

/// What a channel has yet to deliver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// When the oldest happened.
    pub oldest: Option<Timestamp>,
    /// When the next is to be tried.
    pub next: Option<Timestamp>,
}

/// The outbox of notices.
#[async_trait]
pub trait Notices: Send + Sync {
    /// From now on each act that people are told of is kept for these channels. What others still
    /// had to deliver is dropped: how much that was.
    async fn set_channels(&self, names: &[String]) -> Result<usize, StoreError>;

    /// Letters of the channel that may be tried at `now`, the oldest first (a bounded number).
    /// Those about one request to one recipient come one at a time, in order.
    async fn letters(&self, channel: &str, now: Timestamp) -> Result<Vec<Letter>, StoreError>;

    /// Replaces a letter by one for each recipient.
    async fn address_letter(&self, letter: i64, recipients: &[String]) -> Result<(), StoreError>;

    /// The letter is done with; a later one about the same request finds this `place`.
    async fn letter_done(&self, letter: i64, place: Option<&str>) -> Result<(), StoreError>;

    /// The letter is given up; what is known of the place stays.
    async fn letter_dropped(&self, letter: i64) -> Result<(), StoreError>;

    /// The letter was tried and is tried again at `until`; so are all of its channel, at the
    /// earliest, if nobody answers there.
    async fn put_off(
        &self,
        letter: i64,
        until: Timestamp,
        whole_channel: bool,
    ) -> Result<(), StoreError>;

    /// The channel answers again: what was put off is tried at `now`.
    async fn hurry(&self, channel: &str, now: Timestamp) -> Result<(), StoreError>;

    /// What the channel has yet to deliver.
    async fn waiting(&self, channel: &str) -> Result<Waiting, StoreError>;
}

/// Keeps the act for each channel, if it is about a request. Which of them people are told of is
/// not known here.
pub(super) fn insert(connection: &Connection, act: &Act) -> Result<(), StoreError> {
    let Some(request) = request_of(connection, &act.event)? else {
        return Ok(());
    };
    let sql = "INSERT INTO notice_outbox (id, channel, recipient, request, at, event, next_at)
         SELECT 'msg_' || lower(hex(randomblob(12))), name, '', :request, :at, :event, :at
         FROM notice_channel ORDER BY name";
    connection.prepare_cached(sql)?.execute(named_params! {
        ":request": request.to_string(),
        ":at": act.at.as_microsecond(),
        ":event": rows::to_json(&act.event)?,
    })?;
    Ok(())
}

/// What an event is about.
enum Subject {
    Request(RequestId),
    Session(SessionId),
}

fn subject(event: &Event) -> Option<Subject> {
    Some(match event {
        Event::RequestSubmitted { request, .. }
        | Event::RequestApproved { request, .. }
        | Event::RequestEscalated { request, .. }
        | Event::RequestStageApproved { request, .. }
        | Event::RequestDenied { request, .. }
        | Event::RequestWithdrawn { request, .. }
        | Event::RequestLapsed { request } => Subject::Request(*request),
        Event::SessionRevoked { session, .. } | Event::SessionExpired { session, .. } => {
            Subject::Session(*session)
        }
        _ => return None,
    })
}

fn request_of(connection: &Connection, event: &Event) -> rusqlite::Result<Option<RequestId>> {
    match subject(event) {
        None => Ok(None),
        Some(Subject::Request(request)) => Ok(Some(request)),
        Some(Subject::Session(session)) => connection
            .prepare_cached("SELECT request FROM session WHERE id = ?1")?
            .query_row([session.to_string()], |row| rows::parsed(row, 0))
            .optional(),
    }
}

fn letter(row: &Row<'_>) -> rusqlite::Result<Letter> {
    Ok(Letter {
        number: row.get(0)?,
        id: row.get(1)?,
        recipient: row.get(2)?,
        request: rows::parsed(row, 3)?,
        act: Act {
            at: rows::time(row, 4)?,
            event: rows::from_json(row, 5)?,
        },
        attempts: row.get(6)?,
        place: row.get(7)?,
    })
}

fn letters(connection: &Connection, channel: &str, now: i64) -> rusqlite::Result<Vec<Letter>> {
    let sql = format!(
        "SELECT number, letter.id, recipient, letter.request, at, event, attempts, place
         FROM notice_outbox AS letter
         LEFT JOIN notice_place USING (channel, request)
         WHERE letter.channel = ?1 AND next_at <= ?2 AND {FIRST}
         ORDER BY number LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement
        .query_map((channel, now, LETTERS), letter)?
        .collect()
}

fn waiting(connection: &Connection, channel: &str) -> rusqlite::Result<Waiting> {
    let sql = format!(
        "SELECT min(at), min(CASE WHEN {FIRST} THEN next_at END)
         FROM notice_outbox AS letter WHERE channel = ?1"
    );
    let time = |at: Option<i64>| at.and_then(|at| Timestamp::from_microsecond(at).ok());
    connection
        .prepare_cached(&sql)?
        .query_row([channel], |row| {
            Ok(Waiting {
                oldest: time(row.get(0)?),
                next: time(row.get(1)?),
            })
        })
}

fn set_channels(connection: &Connection, names: &str) -> rusqlite::Result<usize> {
    connection.execute("DELETE FROM notice_channel", [])?;
    connection.execute(
        "INSERT INTO notice_channel (name) SELECT value FROM json_each(?1)",
        [names],
    )?;
    let others = "channel NOT IN (SELECT name FROM notice_channel)";
    connection.execute(&format!("DELETE FROM notice_place WHERE {others}"), [])?;
    connection.execute(&format!("DELETE FROM notice_outbox WHERE {others}"), [])
}

fn keep_place(connection: &Connection, letter: i64, place: Option<&str>) -> rusqlite::Result<()> {
    let sql = match place {
        Some(_) => {
            "INSERT INTO notice_place (channel, request, place)
             SELECT channel, request, ?2 FROM notice_outbox WHERE number = ?1
             ON CONFLICT DO UPDATE SET place = excluded.place"
        }
        None => {
            "DELETE FROM notice_place WHERE ?2 IS NULL AND (channel, request) IN
             (SELECT channel, request FROM notice_outbox WHERE number = ?1)"
        }
    };
    connection.prepare_cached(sql)?.execute((letter, place))?;
    Ok(())
}

fn delete(connection: &Connection, letter: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM notice_outbox WHERE number = ?1";
    connection.prepare_cached(sql)?.execute([letter])?;
    Ok(())
}

fn address(connection: &Connection, letter: i64, recipients: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO notice_outbox (id, channel, recipient, request, at, event, next_at)
         SELECT 'msg_' || lower(hex(randomblob(12))), channel, value, request, at, event, next_at
         FROM notice_outbox, json_each(?2) WHERE number = ?1 AND recipient = ''";
    connection
        .prepare_cached(sql)?
        .execute((letter, recipients))?;
    delete(connection, letter)
}

fn put_off(
    connection: &Connection,
    letter: i64,
    until: i64,
    whole_channel: bool,
) -> rusqlite::Result<()> {
    let one = "UPDATE notice_outbox SET attempts = attempts + 1, next_at = ?2 WHERE number = ?1";
    connection.prepare_cached(one)?.execute((letter, until))?;
    if whole_channel {
        let all = "UPDATE notice_outbox SET next_at = max(next_at, ?2)
             WHERE channel = (SELECT channel FROM notice_outbox WHERE number = ?1)";
        connection.prepare_cached(all)?.execute((letter, until))?;
    }
    Ok(())
}

#[async_trait]
impl Notices for Sqlite {
    async fn set_channels(&self, names: &[String]) -> Result<usize, StoreError> {
        let names = rows::to_json(&names)?;
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            let dropped = set_channels(&transaction, &names)?;
            transaction.commit()?;
            Ok(dropped)
        })
        .await
    }

    async fn letters(&self, channel: &str, now: Timestamp) -> Result<Vec<Letter>, StoreError> {
        let (channel, now) = (channel.to_owned(), now.as_microsecond());
        self.call(move |connection| Ok(letters(connection, &channel, now)?))
            .await
    }

    async fn address_letter(&self, letter: i64, recipients: &[String]) -> Result<(), StoreError> {
        let recipients = rows::to_json(&recipients)?;
        self.write(move |transaction| Ok(address(transaction, letter, &recipients)?))
            .await
    }

    async fn letter_done(&self, letter: i64, place: Option<&str>) -> Result<(), StoreError> {
        let place = place.map(str::to_owned);
        self.write(move |transaction| {
            keep_place(transaction, letter, place.as_deref())?;
            Ok(delete(transaction, letter)?)
        })
        .await
    }

    async fn letter_dropped(&self, letter: i64) -> Result<(), StoreError> {
        self.write(move |transaction| Ok(delete(transaction, letter)?))
            .await
    }

    async fn put_off(
        &self,
        letter: i64,
        until: Timestamp,
        whole_channel: bool,
    ) -> Result<(), StoreError> {
        let until = until.as_microsecond();
        self.write(move |transaction| Ok(put_off(transaction, letter, until, whole_channel)?))
            .await
    }

    async fn hurry(&self, channel: &str, now: Timestamp) -> Result<(), StoreError> {
        let (channel, now) = (channel.to_owned(), now.as_microsecond());
        self.write(move |transaction| {
            let sql = "UPDATE notice_outbox SET next_at = ?2 WHERE channel = ?1 AND next_at > ?2";
            transaction.prepare_cached(sql)?.execute((channel, now))?;
            Ok(())
        })
        .await
    }

    async fn waiting(&self, channel: &str) -> Result<Waiting, StoreError> {
        let channel = channel.to_owned();
        self.call(move |connection| Ok(waiting(connection, &channel)?))
            .await
    }
}
