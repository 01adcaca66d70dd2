//! Records that are not there: deleted, as a later record says, or missing.

use super::super::{Event, Gap, Hash, Record};
use super::fault::{Fault, FaultKind, Place, are, records};
use super::report::Deleted;

/// Gaps that were met, and who says what of them.
#[derive(Default)]
pub(super) struct Gaps {
    met: Vec<Met>,
}

struct Met {
    first: u64,
    last: u64,
    /// What the record behind it says of the last one's hash.
    hash: Hash,
    /// The record behind it.
    place: Place,
    /// The record that says that it was deleted.
    declared: Option<u64>,
    /// Whether nobody has to.
    excused: bool,
}

impl Gaps {
    /// Records up to `last`, with this hash, are not there. `excused`: they need not be.
    pub(super) fn meet(
        &mut self,
        (first, last): (u64, u64),
        hash: Hash,
        place: &Place,
        excused: bool,
    ) {
        self.met.push(Met {
            first,
            last,
            hash,
            place: place.clone(),
            declared: None,
            excused,
        });
    }

    /// Whether `segment` is among the records that are missing right before `next`.
    pub(super) fn has(&self, segment: u64, next: u64) -> bool {
        let last = self.met.last();
        last.is_some_and(|it| it.last + 1 == next && (it.first..=it.last).contains(&segment))
    }

    /// A record says what was deleted.
    pub(super) fn declare(&mut self, record: &Record) -> Result<(), Fault> {
        let Event::SegmentsDeleted { gaps, .. } = &record.event else {
            return Ok(());
        };
        for met in &mut self.met {
            for gap in gaps {
                met.compare(gap, record.seq)?;
            }
        }
        Ok(())
    }

    /// At the end: a gap that nobody declared, or only in a record that is not signed.
    pub(super) fn finish(&self, signed: Option<u64>) -> Vec<Fault> {
        let faults = self.met.iter().filter_map(|met| met.objection(signed));
        faults.collect()
    }

    /// What is not there and need not be.
    pub(super) fn deleted(&self) -> Vec<Deleted> {
        let deleted = |met: &Met| Deleted {
            first: met.first,
            last: met.last,
            declared: met.declared,
        };
        let fine = |met: &&Met| met.excused || met.declared.is_some();
        self.met.iter().filter(fine).map(deleted).collect()
    }
}

impl Met {
    fn compare(&mut self, gap: &Gap, declared: u64) -> Result<(), Fault> {
        let within = gap.first <= self.first && self.last <= gap.last.seq;
        if !within {
            return Ok(());
        }
        if gap.last.seq == self.last && gap.last.hash != self.hash {
            let what = format!(
                "record {declared} says that {} were deleted, but this one does not go on behind them",
                records(self.first, self.last)
            );
            let means = "what is behind the deleted records was replaced, or is of another log";
            return Err(self
                .place
                .fault(FaultKind::Chain, self.last + 1, what, means));
        }
        self.declared.get_or_insert(declared);
        Ok(())
    }

    fn objection(&self, signed: Option<u64>) -> Option<Fault> {
        let (first, last) = (self.first, self.last);
        let missing = records(first, last);
        let means = match self.declared {
            _ if self.excused => return None,
            Some(declared) if signed.is_some_and(|signed| declared < signed) => return None,
            Some(declared) => format!(
                "only record {declared} says that they were deleted, and it is not signed; if hallpass runs and has just deleted them, it will be in a moment"
            ),
            None => {
                "they were deleted or lost; had hallpass deleted them, a later record would say so"
                    .to_owned()
            }
        };
        let what = format!("{missing} {} missing before this one", are(first, last));
        let fault = self.place.fault(FaultKind::Missing, first, what, means);
        Some(fault.up_to(last))
    }
}
