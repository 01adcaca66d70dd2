//! How statements, connections and files end.

use super::*;

#[test]
fn what_ends_twice_or_after_the_end_is_found() {
    let outcome = |statement| finished(statement, Outcome::Completed);
    for (events, bad) in [
        (vec![opened(), outcome(1), closed()], 3),
        (
            vec![opened(), started(1), outcome(1), outcome(1), closed()],
            5,
        ),
        (vec![opened(), started(1), started(1)], 4),
        (vec![opened(), opened()], 3),
        (vec![opened(), started(1), closed()], 4),
        (vec![opened(), closed(), started(1)], 4),
        (vec![closed()], 2),
    ] {
        let mut log = Writer::new();
        log.segment(&events);
        let report = log.verify();
        let fault = report
            .faults
            .first()
            .unwrap_or_else(|| panic!("{events:?}"));
        assert_eq!(
            (fault.kind, fault.seq),
            (FaultKind::Incomplete, bad),
            "{fault:?}"
        );
    }
}

#[test]
fn a_statement_that_was_refused_for_want_of_a_record_is_a_note() {
    let mut log = Writer::new();
    log.segment(&[opened(), finished(1, Outcome::Unknown), closed()]);
    let report = log.verify();
    assert_sound(&report);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("1 statements were refused"))
    );
}

#[test]
fn what_is_open_is_told_and_wrong_only_where_the_log_is_over() {
    let mut log = Writer::new();
    log.segment(&[opened(), started(1)]);
    let report = log.verify();
    assert_sound(&report);
    assert_eq!((report.open_connections, report.open_statements), (1, 1));
    let over = Demands {
        closed: true,
        ..Demands::default()
    };
    let report = log.verify_with(&over);
    assert_eq!(report.faults[0].kind, FaultKind::Incomplete);
}

#[test]
fn a_last_line_that_is_being_written_is_a_note() {
    let mut log = Writer::new();
    let (first, _) = log.segment(&[Event::Stopped]);
    let path = log.path().join(FileKind::Raw.name(first));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(b"{\"v\":1,\"seq\"");
    std::fs::write(&path, bytes).unwrap();
    let report = log.verify();
    assert_sound(&report);
    assert!(report.notes.iter().any(|note| note.contains("no end")));
}

#[test]
fn what_was_set_aside_is_looked_at() {
    let mut log = Writer::new();
    let torn = Event::SegmentTorn {
        file: "00000000000000000009.torn".to_owned(),
        bytes: 3,
        sha256: crate::secret::hex(&crate::secret::sha256(b"{\"v")),
    };
    log.segment(&[torn]);
    let notes = |log: &Writer| log.verify().notes.join("\n");
    assert!(notes(&log).contains("is not there"));
    std::fs::write(log.path().join("00000000000000000009.torn"), "{\"v").unwrap();
    assert!(!notes(&log).contains(".torn"), "{}", notes(&log));
    std::fs::write(log.path().join("00000000000000000009.torn"), "{\"w").unwrap();
    assert!(notes(&log).contains("was changed"));
}

#[test]
fn what_is_said_to_be_set_aside_elsewhere_is_a_note() {
    for file in [".", "x/y.torn", "HEAD", "directory.torn"] {
        let mut log = Writer::new();
        std::fs::create_dir(log.path().join("directory.torn")).unwrap();
        log.segment(&[Event::SegmentTorn {
            file: file.to_owned(),
            bytes: 3,
            sha256: String::new(),
        }]);
        let report = log.verify();
        assert_sound(&report);
        let said = |note: &String| note.contains("set aside") && note.contains(file);
        assert!(report.notes.iter().any(said), "{:?}", report.notes);
    }
}
