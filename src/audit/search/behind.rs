//! Texts and parameters that are recorded before the statements that refer to them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::holders::Key;
use super::super::reader::ReadError;
use super::super::{Event, Record};
use super::hands::Hands;
use super::keys::{Keys, key_of};
use super::log::Log;
use super::plan::{self, Group};
use crate::access::SessionId;

const HOLDERS: [&[u8]; 5] = [
    b"statement_prepared",
    b"portal_bound",
    b"statement_started",
    b"statement_part",
    b"connection_opened",
];
/// A statement refers to parameters, these to a text: no chain is longer, with one to spare.
const CHAIN: usize = 4;
/// Parts of a message of which the bytes are kept: 64 KiB each.
const PARTS: u64 = 1024;
/// Records that are kept for the next one that refers to them.
const KEPT: usize = 10_000;
/// And bytes of texts among them.
const KEPT_BYTES: usize = 64 << 20;

/// What was found, for other groups that need it, too.
#[derive(Default)]
pub(super) struct Known(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    records: HashMap<Key, Arc<[Record]>>,
    bytes: usize,
}

impl Known {
    fn find(&self, key: &Key) -> Option<Arc<[Record]>> {
        self.0.lock().records.get(key).cloned()
    }

    fn keep(&self, key: Key, records: Vec<Record>) {
        let held: usize = records.iter().map(held).sum();
        let mut kept = self.0.lock();
        if kept.records.len() >= KEPT || kept.bytes + held > KEPT_BYTES {
            *kept = Kept::default();
        }
        kept.bytes += held;
        kept.records.insert(key, records.into());
    }
}

/// The records that `starts`, of `group`, refer to, and those that these refer to.
pub(super) fn holders(
    log: &Log<'_>,
    hands: &mut Hands,
    known: &Known,
    group: &Group,
    starts: &[Record],
) -> Result<Vec<Record>, ReadError> {
    let mut all: Vec<Record> = Vec::new();
    let mut asked: HashMap<Key, SessionId> = HashMap::new();
    let refers = |record: &&Record| !references(record).is_empty();
    let mut referring: Vec<Record> = starts.iter().filter(refers).cloned().collect();
    for _ in 0..CHAIN {
        let mut wanted = Keys::default();
        let mut found = Vec::new();
        for (key, session) in referring.iter().flat_map(references) {
            if asked.insert(key, session).is_some() {
                continue;
            }
            match known.find(&key) {
                Some(records) => found.extend(records.iter().cloned()),
                None => wanted.add(key, session),
            }
        }
        found.extend(search(log, hands, known, group, &wanted)?);
        if found.is_empty() {
            break;
        }
        all.extend(found.iter().cloned());
        referring = found;
    }
    Ok(all)
}

/// The numbers under which what `record` lacks is recorded.
fn references(record: &Record) -> Vec<(Key, SessionId)> {
    let numbers = match &record.event {
        Event::StatementStarted {
            statement,
            prepared,
            bound,
            parts,
            ..
        } => [*prepared, *bound, (*parts > 0).then_some(*statement)],
        Event::PortalBound {
            statement,
            prepared,
            parts,
            ..
        } => [*prepared, None, (*parts > 0).then_some(*statement)],
        Event::StatementPrepared {
            statement, parts, ..
        } => [None, None, (*parts > 0).then_some(*statement)],
        _ => [None; 3],
    };
    let origin = record.event.origin();
    let keys = |origin: &super::super::Origin| {
        let key = |number| ((origin.connection, number), origin.session);
        numbers.into_iter().flatten().map(key).collect()
    };
    origin.map_or_else(Vec::new, keys)
}

/// Looks for `wanted` from the end of `group` back to the beginnings of their connections.
fn search(
    log: &Log<'_>,
    hands: &mut Hands,
    known: &Known,
    group: &Group,
    wanted: &Keys,
) -> Result<Vec<Record>, ReadError> {
    let mut left = wanted.clone();
    let mut found: HashMap<Key, Vec<Record>> = HashMap::new();
    for segment in (0..=group.segment).rev() {
        if left.is_empty() {
            break;
        }
        let layout = log.layout(segment)?;
        let last = group.pieces.last().copied();
        for piece in plan::of_sessions(&layout, &left.sessions())
            .into_iter()
            .rev()
        {
            if segment == group.segment && Some(piece) > last {
                continue;
            }
            if left.is_empty() {
                break;
            }
            let records = left.records_in(hands.spare(log, &layout, piece)?, &HOLDERS);
            for record in records.into_iter().rev() {
                match key_of(&record.event) {
                    Some(key) => found.entry(key).or_default().push(lightened(record)),
                    None => left.remove_connection(&record),
                }
            }
            for (key, records) in &found {
                if is_whole(records) {
                    left.remove(*key);
                }
            }
        }
    }
    for (key, _) in wanted.iter() {
        known.keep(key, found.get(&key).cloned().unwrap_or_default());
    }
    Ok(found.into_values().flatten().collect())
}

/// Whether a record and all of its parts are there; they come from the last to the first.
fn is_whole(records: &[Record]) -> bool {
    let parts = records.iter().find_map(|record| match &record.event {
        Event::StatementPrepared { parts, .. }
        | Event::PortalBound { parts, .. }
        | Event::StatementStarted { parts, .. } => Some(*parts),
        _ => None,
    });
    let first = |record: &Record| matches!(record.event, Event::StatementPart { part: 1, .. });
    parts.is_some_and(|parts| parts == 0 || records.iter().any(first))
}

/// Without the bytes of a part that is too far behind to be put together.
fn lightened(mut record: Record) -> Record {
    if let Event::StatementPart {
        part, data, bytes, ..
    } = &mut record.event
        && *part > PARTS
        && let Some(data) = data.take()
    {
        *bytes = Some(data.0.len() as u64);
    }
    record
}

fn held(record: &Record) -> usize {
    match &record.event {
        Event::StatementPart { data, .. } => data.as_ref().map_or(0, |data| data.0.len()),
        Event::StatementPrepared { sql, .. }
        | Event::PortalBound { sql, .. }
        | Event::StatementStarted { sql, .. } => sql.as_ref().map_or(0, |sql| sql.0.len()),
        _ => 0,
    }
}
