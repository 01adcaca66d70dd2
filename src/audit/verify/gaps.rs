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
    /// A record that says that it was deleted, and that may be anybody's.
    claimed: Option<Claim>,
    /// The record that says so, and that was signed by the run that wrote it.
    declared: Option<u64>,
    /// Whether nobody has to.
    excused: bool,
}

/// What a record says of a gap, before that is signed.
#[derive(Clone, Copy)]
struct Claim {
    /// The record.
    by: u64,
    /// Whether what is behind the gap goes on behind what it names.
    fits: bool,
    /// Whether a checkpoint in the same segment can still come.
    is_open: bool,
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
            claimed: None,
            declared: None,
            excused,
        });
    }

    /// Whether `segment` is among the records that are missing right before `next`.
    pub(super) fn has(&self, segment: u64, next: u64) -> bool {
        let last = self.met.last();
        last.is_some_and(|it| {
            it.last.saturating_add(1) == next && (it.first..=it.last).contains(&segment)
        })
    }

    /// A record says what was deleted. Whoever may write to the folder can have put it there,
    /// until it is [`signed`](Self::sign).
    pub(super) fn claim(&mut self, record: &Record) {
        let Event::SegmentsDeleted { gaps, .. } = &record.event else {
            return;
        };
        for met in &mut self.met {
            for gap in gaps {
                met.compare(gap, record.seq);
            }
        }
    }

    /// A checkpoint: what this segment says of gaps is hallpass's own word.
    pub(super) fn sign(&mut self) -> Result<(), Fault> {
        self.met.iter_mut().try_for_each(Met::sign)
    }

    /// Another segment begins. It may be that of another run, which signs what it finds: what was
    /// not signed in the one before never counts.
    pub(super) fn segment(&mut self) {
        let claims = self.met.iter_mut().filter_map(|met| met.claimed.as_mut());
        claims.for_each(|claim| claim.is_open = false);
    }

    /// At the end: a gap that nobody declared, or only in a record that is not signed.
    pub(super) fn finish(&self) -> Vec<Fault> {
        self.met.iter().filter_map(Met::objection).collect()
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
    fn compare(&mut self, gap: &Gap, by: u64) {
        let within = gap.first <= self.first && self.last <= gap.last.seq;
        if !within {
            return;
        }
        let fits = gap.last.seq != self.last || gap.last.hash == self.hash;
        match &mut self.claimed {
            Some(claim) if claim.is_open => claim.fits &= fits,
            claimed => {
                *claimed = Some(Claim {
                    by,
                    fits,
                    is_open: true,
                });
            }
        }
    }

    fn sign(&mut self) -> Result<(), Fault> {
        let Some(claim) = self.claimed.filter(|claim| claim.is_open) else {
            return Ok(());
        };
        if !claim.fits {
            let what = format!(
                "record {} says that {} were deleted, but this one does not go on behind them",
                claim.by,
                records(self.first, self.last)
            );
            let means = "what is behind the deleted records was replaced, or is of another log";
            let seq = self.last.saturating_add(1);
            return Err(self.place.fault(FaultKind::Chain, seq, what, means));
        }
        self.claimed = None;
        self.declared.get_or_insert(claim.by);
        Ok(())
    }

    fn objection(&self) -> Option<Fault> {
        if self.excused || self.declared.is_some() {
            return None;
        }
        let (first, last) = (self.first, self.last);
        let missing = records(first, last);
        let means = match self.claimed {
            Some(Claim {
                by, is_open: true, ..
            }) => format!(
                "only record {by} says that they were deleted, and it is not signed; if hallpass runs and has just deleted them, it will be in a moment"
            ),
            Some(Claim { by, .. }) => format!(
                "only record {by} says that they were deleted, and it was not signed when hallpass started next: somebody who may write to the folder can have put it there; hallpass deletes only when such a record is signed"
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
