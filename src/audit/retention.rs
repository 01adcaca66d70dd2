//! Which segments are to go: the oldest, as the configuration asks, and none that somebody wants.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Asked;
use super::inventory::{Inventory, Sealed};
use crate::access::SessionId;

/// How far the time of a request may be from that of the records around its own, which comes late
/// if the log cannot be written then.
const SLACK: SignedDuration = SignedDuration::from_hours(1);

/// How long the log is kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retention {
    /// How long a segment is kept after its last record; `None`: for good.
    pub keep: Option<Duration>,
    /// Bytes that the sealed segments may take up that nobody holds; `None`: any number.
    pub keep_bytes: Option<u64>,
}

/// Why segments go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// They are old.
    Age,
    /// They are too much.
    Size,
}

impl Reason {
    /// As the log and the metrics call it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Size => "size",
        }
    }
}

/// Who still wants what.
pub(super) struct Wanted<'a> {
    /// Sessions that are held.
    pub(super) held: &'a HashMap<SessionId, Asked>,
    /// This record and all after it are still to be shipped.
    pub(super) needed: u64,
}

impl Retention {
    /// Whether anything is ever to go.
    pub(super) fn is_for_good(&self) -> bool {
        self.keep.is_none() && self.keep_bytes.is_none()
    }

    /// The segments that are to go now, the oldest first, and why; none if none is.
    ///
    /// # Errors
    /// If an index cannot be read.
    pub(super) fn due(
        &self,
        inventory: &mut Inventory,
        wanted: &Wanted<'_>,
        now: Timestamp,
    ) -> io::Result<Option<(Reason, Vec<Sealed>)>> {
        let old = self.old(inventory, wanted, now)?;
        if !old.is_empty() {
            return Ok(Some((Reason::Age, old)));
        }
        let excess = self.excess(inventory, wanted)?;
        Ok((!excess.is_empty()).then_some((Reason::Size, excess)))
    }

    fn old(
        &self,
        inventory: &mut Inventory,
        wanted: &Wanted<'_>,
        now: Timestamp,
    ) -> io::Result<Vec<Sealed>> {
        let keep = self
            .keep
            .and_then(|keep| SignedDuration::try_from(keep).ok());
        let Some(before) = keep.and_then(|keep| now.checked_sub(keep).ok()) else {
            return Ok(Vec::new());
        };
        let old = candidates(inventory, wanted).into_iter();
        let old = old.filter(|segment| segment.last_at < before);
        unheld(old.collect(), inventory, wanted)
    }

    fn excess(&self, inventory: &mut Inventory, wanted: &Wanted<'_>) -> io::Result<Vec<Sealed>> {
        let Some(keep_bytes) = self.keep_bytes else {
            return Ok(Vec::new());
        };
        // Without those that are held, if it comes to that.
        let bytes = |segments: &[Sealed]| segments.iter().map(|it| it.bytes).sum::<u64>();
        let all: Vec<Sealed> = inventory.segments().copied().collect();
        if bytes(&all) <= keep_bytes {
            return Ok(Vec::new());
        }
        let mut left = bytes(&unheld(all, inventory, wanted)?);
        let mut excess = unheld(candidates(inventory, wanted), inventory, wanted)?;
        let enough = excess.iter().position(|segment| {
            let enough = left <= keep_bytes;
            left = left.saturating_sub(segment.bytes);
            enough
        });
        excess.truncate(enough.unwrap_or(excess.len()));
        Ok(excess)
    }
}

/// What may go at all: what is shipped; and not the newest, whose index says what is open.
fn candidates(inventory: &Inventory, wanted: &Wanted<'_>) -> Vec<Sealed> {
    let mut segments: Vec<Sealed> = inventory.segments().copied().collect();
    segments.pop();
    segments.retain(|segment| segment.last.seq < wanted.needed);
    segments
}

fn unheld(
    segments: Vec<Sealed>,
    inventory: &mut Inventory,
    wanted: &Wanted<'_>,
) -> io::Result<Vec<Sealed>> {
    let mut unheld = Vec::new();
    for segment in segments {
        if !is_held(&segment, inventory, wanted)? {
            unheld.push(segment);
        }
    }
    Ok(unheld)
}

/// Whether a segment has records of a session that is held, or that of its request.
fn is_held(segment: &Sealed, inventory: &mut Inventory, wanted: &Wanted<'_>) -> io::Result<bool> {
    if wanted.held.is_empty() {
        return Ok(false);
    }
    let sessions = inventory.sessions(segment.first)?;
    if wanted.held.keys().any(|session| sessions.contains(session)) {
        return Ok(true);
    }
    let near = |asked: &&Asked| {
        asked.at.duration_until(segment.last_at) > -SLACK
            && segment.first_at.duration_until(asked.at) > -SLACK
    };
    for asked in wanted.held.values().filter(near) {
        if inventory.has_request(segment.first, asked.request)? {
            return Ok(true);
        }
    }
    Ok(false)
}
