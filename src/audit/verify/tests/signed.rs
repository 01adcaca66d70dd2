//! Checkpoints, and what nobody signed.

use super::*;

#[test]
fn a_log_with_checkpoints_has_the_copy_of_the_last() {
    let mut log = Writer::new();
    log.segment(&[Event::Stopped]);
    let kept = log.head;
    let (last, _) = log.segment(&[Event::Stopped]);
    log.delete(last);
    std::fs::remove_file(log.path().join(HEAD)).unwrap();
    let fault = log.verify().faults.remove(0);
    assert_eq!((fault.kind, fault.seq), (FaultKind::Head, kept.seq + 1));
    let part = Demands {
        part: true,
        ..Demands::default()
    };
    assert_sound(&log.verify_with(&part));
}

#[test]
fn what_the_next_start_signs_of_others_declares_nothing() {
    let mut log = Writer::new();
    log.segment(&[Event::Stopped]);
    let (first, last) = log.segment(&[Event::Stopped]);
    let before = log.segment(&[Event::Stopped]).1;
    log.delete(first);
    // Behind a checkpoint, and the next start takes it over.
    log.write(&deleted(first, last));
    let (_, end) = log.leave();
    log.segment(&[Event::Stopped]);
    let report = log.verify();
    let fault = &report.faults[0];
    assert_eq!((fault.kind, fault.seq), (FaultKind::Missing, first));
    assert!(fault.means.contains("only record"), "{}", fault.means);
    assert_eq!((report.taken_over, report.taken_over_records), (1, 2));
    let named = format!("records {} to {} were not signed", before.seq + 1, end.seq);
    assert!(report.notes.iter().any(|note| note.contains(&named)));
    // hallpass says so itself.
    log.segment(&[deleted(first, last)]);
    assert_sound(&log.verify());
}

#[test]
fn what_a_crash_left_unsigned_is_told_once_and_is_fine() {
    let mut log = Writer::new();
    log.segment(&[Event::Stopped]);
    log.write(&Event::Stopped);
    log.leave();
    log.write(&Event::Stopped);
    log.leave();
    let report = log.verify();
    // The last segment's end is what is not signed yet.
    assert_eq!((report.taken_over, report.taken_over_records), (1, 2));
    log.segment(&[Event::Stopped]);
    let report = log.verify();
    assert_sound(&report);
    assert_eq!((report.taken_over, report.taken_over_records), (1, 4));
    let told: Vec<_> = report
        .notes
        .iter()
        .filter(|it| it.contains("records 4 to 7"))
        .collect();
    assert_eq!(told.len(), 1, "{:?}", report.notes);
}
