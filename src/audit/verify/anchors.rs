//! Heads that the log must hold: the copy of the last checkpoint beside it, and those that people
//! kept elsewhere.

use std::collections::BTreeMap;
use std::io;

use super::super::archive;
use super::super::files::HEAD;
use super::super::source::Source;
use super::super::{Event, Hash, Head, Record};
use super::fault::{Fault, FaultKind, Place, are, records};

/// Heads that are looked for, by their place.
#[derive(Default)]
pub(super) struct Anchors {
    wanted: BTreeMap<u64, Vec<Anchor>>,
}

struct Anchor {
    hash: Hash,
    /// Who says so.
    name: String,
    /// The record may be one that is still to come.
    ahead: bool,
}

impl Anchors {
    /// Those that were given.
    pub(super) fn given(heads: &[Head]) -> Self {
        let mut anchors = Self::default();
        for head in heads.iter().filter(|head| head.seq > 0) {
            let name = format!("the head {} that was given", head.seq);
            anchors.add(*head, name, false);
        }
        anchors
    }

    fn add(&mut self, head: Head, name: String, ahead: bool) {
        let anchor = Anchor {
            hash: head.hash,
            name,
            ahead,
        };
        self.wanted.entry(head.seq).or_default().push(anchor);
    }

    /// Adds the copy of the last checkpoint; it may be ahead of a log that lags.
    pub(super) fn copy(&mut self, line: &[u8], lags: bool) -> Result<(), Fault> {
        let place = Place {
            file: HEAD.into(),
            line: 1,
        };
        let bad = |what: &str| {
            let means = "HEAD was changed, or is of something else; it says nothing about the log";
            place.fault(FaultKind::Head, 1, what, means)
        };
        let line = line.strip_suffix(b"\n");
        let line = line.ok_or_else(|| bad("HEAD is not one line"))?;
        let record: Record =
            serde_json::from_slice(line).map_err(|_| bad("HEAD is not a record"))?;
        match is_signed(line, &record) {
            Some(true) => {}
            Some(false) => return Err(bad("the signature of the checkpoint in HEAD is wrong")),
            None => return Err(bad("HEAD is not a checkpoint")),
        }
        let head = Head {
            seq: record.seq,
            hash: Hash::of(line),
        };
        self.add(
            head,
            "HEAD, the copy of the last checkpoint,".to_owned(),
            lags,
        );
        Ok(())
    }

    /// Whether the record `seq`, with this hash, is what it must be.
    pub(super) fn check(&mut self, head: Head, place: &Place) -> Result<(), Fault> {
        // Nearly always there is none.
        let Some(wanted) = self.wanted.remove(&head.seq) else {
            return Ok(());
        };
        match wanted.iter().find(|anchor| anchor.hash != head.hash) {
            None => Ok(()),
            Some(anchor) => {
                let what = format!("{} names another record {}", anchor.name, head.seq);
                let means = "the log was replaced, or its end was cut off and others were written in its place";
                Err(place.fault(FaultKind::Head, head.seq, what, means))
            }
        }
    }

    /// Records up to `last`, with this hash, are missing: what is said of them.
    pub(super) fn pass(&mut self, last: Head, place: &Place) -> Result<Vec<String>, Fault> {
        self.check(last, place)?;
        let kept = self.wanted.split_off(&last.seq.saturating_add(1));
        let passed = std::mem::replace(&mut self.wanted, kept);
        let note = |anchor: &Anchor| format!("{} is of a record that is not there", anchor.name);
        Ok(passed.values().flatten().map(note).collect())
    }

    /// After the last record: none may be left, but of what a copy does not have yet. What is to
    /// be said of that.
    pub(super) fn finish(&self, last: u64, place: &Place) -> Result<Option<String>, Fault> {
        let missing = |ahead: bool| {
            let mut left = self.wanted.iter().rev();
            left.find_map(|(seq, anchors)| {
                Some((seq, anchors.iter().find(|it| it.ahead == ahead)?))
            })
        };
        let Some((seq, anchor)) = missing(false) else {
            let note = |(seq, anchor): (&u64, &Anchor)| {
                format!(
                    "{} is of record {seq}: those behind {last} are not here yet, or were deleted",
                    anchor.name
                )
            };
            return Ok(missing(true).map(note));
        };
        let name = &anchor.name;
        let missing = records(last.saturating_add(1), *seq);
        let what = format!("{name} is of record {seq}, and the log ends with record {last}");
        let means = format!(
            "{missing} {} missing: the end of the log was cut off, or lost with the machine's power",
            are(last.saturating_add(1), *seq)
        );
        let fault = place.fault(FaultKind::Missing, last.saturating_add(1), what, means);
        Err(fault.up_to(*seq))
    }
}

/// Whether a checkpoint is signed by the key that it names; `None` if it is none. Its line is what
/// hallpass writes, to the byte: nothing in it is outside what is signed or checked.
pub(super) fn is_signed(line: &[u8], record: &Record) -> Option<bool> {
    let Event::Checkpoint { key, signature } = &record.event else {
        return None;
    };
    let canonical = serde_json::to_vec(record).is_ok_and(|written| written == line);
    Some(canonical && key.signed(signature, record.seq, &record.prev, record.at))
}

/// The copy of the last checkpoint, if there is one. To be read before the segments are listed:
/// then what it names is in them.
pub(super) fn copy(source: &dyn Source) -> io::Result<Option<Vec<u8>>> {
    match archive::head_line(source) {
        // Too large to be one: what is wrong with it is said where it is read.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(Vec::new())),
        read => read,
    }
}
