//! Segments that were deleted, and those that are missing.

use super::*;

#[test]
fn deleted_segments_are_fine_if_a_signed_record_says_so() {
    let mut log = Writer::new();
    let (first, _) = log.segment(&[opened(), started(1)]);
    let (second, last) = log.segment(&[finished(1, Outcome::Completed), started(2)]);
    log.segment(&[finished(2, Outcome::Completed), started(3)]);
    log.segment(&[finished(3, Outcome::Completed), closed(), deleted(1, last)]);
    log.segment(&[Event::Stopped]);
    seal_all_but_last(log.path());
    assert_sound(&log.verify());
    log.delete(first);
    log.delete(second);
    let report = log.verify();
    assert_sound(&report);
    assert_eq!(report.deleted.len(), 1);
    assert_eq!(report.deleted[0].last, last.seq);
}

#[test]
fn deleted_segments_nobody_speaks_of_are_missing() {
    let mut log = Writer::new();
    let (first, _) = log.segment(&[Event::Stopped]);
    let (second, last) = log.segment(&[Event::Stopped]);
    log.segment(&[Event::Stopped]);
    log.delete(second);
    let fault = log.verify().faults.remove(0);
    assert_eq!(
        (fault.kind, fault.seq, fault.last),
        (FaultKind::Missing, second, last.seq)
    );
    log.delete(first);
    let fault = log.verify().faults.remove(0);
    assert_eq!(
        (fault.kind, fault.seq, fault.last),
        (FaultKind::Missing, 1, last.seq)
    );
    // A part of a log need not have its beginning. That it was there once does not excuse a whole.
    let known = Demands {
        heads: vec![last],
        ..Demands::default()
    };
    let fault = log.verify_with(&known).faults.remove(0);
    assert_eq!((fault.kind, fault.seq), (FaultKind::Missing, 1));
    let part = Demands {
        part: true,
        ..Demands::default()
    };
    assert_sound(&log.verify_with(&part));
    let known = Demands {
        part: true,
        ..known
    };
    assert_sound(&log.verify_with(&known));
}

#[test]
fn what_says_that_records_were_deleted_has_to_be_signed_and_to_fit() {
    let mut log = Writer::new();
    let (first, last) = log.segment(&[Event::Stopped]);
    log.segment(&[Event::Stopped]);
    let kept = log.head;
    log.delete(first);
    // Added by somebody without the key.
    log.write(&deleted(1, last));
    let (name, lines) = log.segment.take().unwrap();
    std::fs::write(log.path().join(FileKind::Raw.name(name)), lines).unwrap();
    let fault = log.verify().faults.remove(0);
    assert_eq!(
        (fault.kind, fault.seq),
        (FaultKind::Missing, 1),
        "{fault:?}"
    );
    // Signed, and of another log.
    log.head = kept;
    let other = Head {
        hash: Hash::of(b"other"),
        ..last
    };
    log.segment(&[deleted(1, other)]);
    let fault = log.verify().faults.remove(0);
    assert_eq!((fault.kind, fault.seq), (FaultKind::Chain, last.seq + 1));
}

#[test]
fn connections_from_before_missing_records_go_on_once() {
    let mut log = Writer::new();
    let (first, last) = log.segment(&[opened(), started(1), started(2)]);
    log.segment(&[finished(1, Outcome::Completed), started(3)]);
    log.segment(&[closed(), deleted(1, last)]);
    log.segment(&[Event::Stopped]);
    seal_all_but_last(log.path());
    log.delete(first);
    // What was open, the index of the segment behind says; so this is found: 2 and 3 are open.
    let fault = log.verify().faults.remove(0);
    assert_eq!(fault.kind, FaultKind::Incomplete);
    assert!(fault.what.contains("2 of its statements"), "{}", fault.what);
}
