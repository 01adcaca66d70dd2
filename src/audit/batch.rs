//! Records that are committed together, serialised by whoever brings them.

use jiff::Timestamp;

use super::chain::Head;
use super::{Event, VERSION, encode};

/// Bytes that hold the usual batch, one statement's start or end.
const USUAL: usize = 512;

/// Records that are committed together.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Bodies, each `"at":..,"type":..}` and a line end: [`Batch::link`] puts the rest before.
    bodies: Vec<u8>,
    records: u64,
    at: Timestamp,
    is_for_good: bool,
}

impl Batch {
    /// An empty batch of facts observed at `at`.
    pub fn new(at: Timestamp) -> Self {
        Self {
            bodies: Vec::with_capacity(USUAL),
            records: 0,
            at,
            is_for_good: false,
        }
    }

    /// A batch of one fact.
    pub(super) fn of(at: Timestamp, event: &Event) -> Self {
        let mut batch = Self::new(at);
        batch.push(event);
        batch
    }

    /// Adds a fact.
    pub fn push(&mut self, event: &Event) {
        encode::body(self.at, event, &mut self.bodies);
        self.bodies.push(b'\n');
        self.records += 1;
    }

    /// The same, but that it counts as made only when it is signed and stable storage has it.
    #[must_use]
    pub(super) fn for_good(self) -> Self {
        Self {
            is_for_good: true,
            ..self
        }
    }

    /// Whether it is to be signed, and stable storage is to have it.
    pub(super) fn is_for_good(&self) -> bool {
        self.is_for_good
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// How many were added.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Makes it an empty one of facts observed at `at`; its room stays, within reason.
    pub fn begin_anew(&mut self, at: Timestamp) {
        self.bodies.clear();
        self.bodies.shrink_to(2 * USUAL);
        self.records = 0;
        self.at = at;
    }

    /// The bodies of its records.
    pub(super) fn bodies(&self) -> &[u8] {
        &self.bodies
    }

    /// Bodies that were taken from a batch.
    pub(super) fn again(bodies: &[u8]) -> Self {
        Self {
            bodies: bodies.to_vec(),
            records: memchr::memchr_iter(b'\n', bodies).count() as u64,
            at: Timestamp::UNIX_EPOCH,
            is_for_good: false,
        }
    }

    /// Bytes that it holds.
    pub(super) fn len(&self) -> usize {
        self.bodies.len()
    }

    /// Appends the records to `lines`, each with its place in the chain, and moves `head` behind
    /// them.
    pub(super) fn link(&self, head: &mut Head, lines: &mut Vec<u8>) {
        link(&self.bodies, head, lines);
    }
}

/// Appends records to `lines`, each with its place in the chain, and moves `head` behind them.
pub(super) fn link(mut bodies: &[u8], head: &mut Head, lines: &mut Vec<u8>) {
    while let Some(end) = memchr::memchr(b'\n', bodies) {
        let (body, rest) = bodies.split_at(end + 1);
        bodies = rest;
        let start = lines.len();
        lines.extend_from_slice(b"{\"v\":");
        encode::decimal(u64::from(VERSION), lines);
        lines.extend_from_slice(b",\"seq\":");
        encode::decimal(head.seq + 1, lines);
        lines.extend_from_slice(b",\"prev\":\"");
        lines.extend_from_slice(&head.hash.digits());
        lines.extend_from_slice(b"\",");
        lines.extend_from_slice(body);
        *head = head.followed_by(&lines[start..lines.len() - 1]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Hash, Record};
    use super::*;

    #[test]
    fn linked_records_are_read_back_with_their_places() {
        let mut batch = Batch::of(Timestamp::UNIX_EPOCH, &Event::Stopped);
        batch.push(&Event::Stopped);
        let mut head = Head {
            seq: 99,
            hash: Hash::of(b"x"),
        };
        let mut lines = Vec::new();
        batch.link(&mut head, &mut lines);
        let lines: Vec<&[u8]> = lines.trim_ascii_end().split(|b| *b == b'\n').collect();
        let records: Vec<Record> = lines
            .iter()
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!((records[0].seq, records[1].seq), (100, 101));
        assert_eq!(records[0].prev, Hash::of(b"x"));
        assert_eq!(records[1].prev, Hash::of(lines[0]));
        assert_eq!(head.hash, Hash::of(lines[1]));
        assert_eq!(serde_json::to_vec(&records[0]).unwrap(), lines[0]);
    }
}
