//! Each record follows the one before it, each segment the segment before.

use super::super::super::{Event, Hash, Head, Record};
use super::super::anchors::is_signed;
use super::super::fault::{Fault, FaultKind, are, records};
use super::super::line::Line;
use super::Walk;

const FORGED: &str = "the file was changed, or put together from others";

impl Walk<'_> {
    /// Checks that a record follows the one before it.
    pub(super) fn link(&mut self, line: &Line<'_>, bytes: &[u8]) -> Result<(), Fault> {
        if self.here.line == 1 {
            return self.begin_segment(line, bytes);
        }
        if let Line::Other(record) = line
            && matches!(record.event, Event::SegmentOpened { .. })
        {
            let what = "a segment begins in the middle of a file";
            let means = "two files were put together";
            let due = self.due();
            return Err(self.here.fault(FaultKind::Opening, due, what, means));
        }
        match self.head {
            Some(head) => self.follow(head, line, bytes),
            None => Ok(()),
        }
    }

    fn follow(&self, head: Head, line: &Line<'_>, bytes: &[u8]) -> Result<(), Fault> {
        let (seq, due) = (line.seq(), head.seq.saturating_add(1));
        let follows = line.follows(&head.hash);
        if seq == due {
            return match follows {
                true => Ok(()),
                false => Err(self.broken(head, line, bytes)),
            };
        }
        let fault = |kind, what: String, means: &str| self.here.fault(kind, due, what, means);
        if follows {
            let what = format!("the record has number {seq} where {due} is due");
            let means = format!("record {due} was changed");
            return Err(fault(FaultKind::Sequence, what, &means));
        }
        if seq > due {
            let missing = records(due, seq - 1);
            let what = format!("{missing} {} missing before this one", are(due, seq - 1));
            let means = "deleted, lost, or moved elsewhere";
            return Err(fault(FaultKind::Missing, what, means).up_to(seq - 1));
        }
        let what = format!("record {seq} is here where {due} is due");
        let means =
            format!("record {seq} was put here a second time, or moved; perhaps others were too");
        Err(fault(FaultKind::Repeated, what, &means))
    }

    /// The record here is not linked to the one before it.
    fn broken(&self, head: Head, line: &Line<'_>, bytes: &[u8]) -> Fault {
        let seq = head.seq;
        let what = format!(
            "record {seq} is not the one that record {} was linked to when it was written",
            seq.saturating_add(1)
        );
        if let Line::Other(record) = line
            && self.vouches(record, bytes)
        {
            let means = format!("record {seq} was changed: the next one is signed");
            return self.place.fault(FaultKind::Chain, seq, what, means);
        }
        let means = format!(
            "record {seq} was changed, or the one after it, or all from there on were replaced"
        );
        let fault = self.place.fault(FaultKind::Chain, seq, what, means);
        fault.up_to(seq.saturating_add(1))
    }

    /// Whether a record is a checkpoint of the log's own key: then it was not changed itself.
    fn vouches(&self, record: &Record, bytes: &[u8]) -> bool {
        let known = |key| self.signatures.keys.iter().any(|it| it.key == key);
        matches!(record.event, Event::Checkpoint { key, .. } if known(key))
            && is_signed(bytes, record) == Some(true)
    }

    /// The first record of a segment.
    fn begin_segment(&mut self, line: &Line<'_>, bytes: &[u8]) -> Result<(), Fault> {
        self.leave_segment();
        let first = self.segment.first;
        let due = self.head.map_or(1, |head| head.seq.saturating_add(1));
        if line.seq() != first {
            return Err(self.misnamed(line));
        }
        if first < due {
            let what = format!("the segment begins with record {first}, which was there already");
            let means = "the file is a copy under another name, or of another log";
            return Err(self.here.fault(FaultKind::Repeated, due, what, means));
        }
        if first > due {
            self.skip(due, line)?;
        } else {
            self.follow(self.head.unwrap_or(Head::START), line, bytes)?;
        }
        self.check_opening(line)
    }

    /// The segment before gets nothing any more.
    fn leave_segment(&mut self) {
        if let (Some(first), Some(last)) = (self.before, self.head) {
            let signed = self.signatures.signed.map(|signed| signed.seq);
            self.stretches.left((first, last.seq), signed);
        }
        self.gaps.segment();
    }

    fn misnamed(&self, line: &Line<'_>) -> Fault {
        let (first, due) = (self.segment.first, self.due());
        let seq = line.seq();
        let what = format!("the file's name says that record {first} is its first, and {seq} is");
        let head = self.head.unwrap_or(Head::START);
        let means = match line.follows(&head.hash) {
            true => format!("record {due} was changed, or the file was renamed"),
            false => {
                "the file was renamed, or swapped with another, or its beginning was cut off".into()
            }
        };
        self.here.fault(FaultKind::Name, due, what, means)
    }

    /// Records up to this segment's first are not there.
    fn skip(&mut self, due: u64, line: &Line<'_>) -> Result<(), Fault> {
        let hash = line.prev().unwrap_or(Hash::NONE);
        let last = Head {
            seq: self.segment.first.saturating_sub(1),
            hash,
        };
        let excused = self.head.is_none() && self.demands.part;
        self.gaps.meet((due, last.seq), hash, &self.here, excused);
        self.report
            .notes
            .extend(self.anchors.pass(last, &self.here)?);
        self.ledger.gap();
        Ok(())
    }

    fn check_opening(&mut self, line: &Line<'_>) -> Result<(), Fault> {
        let seq = line.seq();
        let fault = |what: String, means| self.here.fault(FaultKind::Opening, seq, what, means);
        let (previous, key) = match line {
            Line::Other(record) => match record.event {
                Event::SegmentOpened { previous, key } => (previous, key),
                _ => {
                    return Err(fault(
                        "the segment does not begin with its opening".into(),
                        FORGED,
                    ));
                }
            },
            Line::Statement(_) => {
                return Err(fault(
                    "the segment does not begin with its opening".into(),
                    FORGED,
                ));
            }
        };
        let fits = match previous {
            None => seq == 1,
            Some(it) => Some(it) == self.before || self.gaps.has(it, seq),
        };
        if !fits {
            let says = previous.map_or("there is none".to_owned(), |it| {
                format!("it begins with record {it}")
            });
            return Err(fault(
                format!("of the segment before, this one says that {says}"),
                FORGED,
            ));
        }
        self.signatures.opened(key, seq, &self.here)
    }
}
