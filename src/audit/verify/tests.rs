//! Logs that no hallpass has made here: with deleted records, over crashes, in parts.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::archive::Archive;
use super::super::files::{FileKind, HEAD};
use super::super::source::Directory;
use super::super::testing::seal_all_but_last;
use super::super::{
    Batch, Event, Gap, Hash, Head, Origin, Outcome, Record, SigningKey, StatementKind, reader,
};
use super::line::Line;
use super::{Demands, FaultKind, Report, verify};
use crate::access::{ConnectionId, SessionId};

/// Writes a log as the writer does.
struct Writer {
    folder: tempfile::TempDir,
    key: SigningKey,
    head: Head,
    segment: Option<(u64, Vec<u8>)>,
    previous: Option<u64>,
}

impl Writer {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            key: SigningKey::generate(),
            head: Head::START,
            segment: None,
            previous: None,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn link(&mut self, event: &Event) {
        let (_, lines) = self.segment.as_mut().unwrap();
        Batch::of(Timestamp::UNIX_EPOCH, event).link(&mut self.head, lines);
    }

    fn write(&mut self, event: &Event) {
        if self.segment.is_none() {
            self.segment = Some((self.head.seq + 1, Vec::new()));
            self.link(&Event::SegmentOpened {
                previous: self.previous,
                key: self.key.public(),
            });
        }
        self.link(event);
    }

    /// Goes away as in a crash, or as somebody does who adds to a log: nothing is signed.
    fn leave(&mut self) -> (u64, Head) {
        let (first, lines) = self.segment.take().unwrap();
        std::fs::write(self.path().join(FileKind::Raw.name(first)), lines).unwrap();
        self.previous = Some(first);
        (first, self.head)
    }

    /// Signs, and closes the segment; the number of its first record and its last.
    fn close(&mut self) -> (u64, Head) {
        let (seq, prev) = (self.head.seq + 1, self.head.hash);
        self.write(&Event::Checkpoint {
            key: self.key.public(),
            signature: self.key.sign(seq, &prev, Timestamp::UNIX_EPOCH),
        });
        let (_, lines) = self.segment.as_ref().unwrap();
        let line = lines.split_inclusive(|byte| *byte == b'\n').next_back();
        std::fs::write(self.path().join(HEAD), line.unwrap()).unwrap();
        self.leave()
    }

    /// A segment with these.
    fn segment(&mut self, events: &[Event]) -> (u64, Head) {
        for event in events {
            self.write(event);
        }
        self.close()
    }

    fn delete(&self, first: u64) {
        for kind in [FileKind::Raw, FileKind::Sealed, FileKind::Index] {
            let _ = std::fs::remove_file(self.path().join(kind.name(first)));
        }
    }

    fn verify(&self) -> Report {
        self.verify_with(&Demands {
            keys: vec![self.key.public()],
            ..Demands::default()
        })
    }

    fn verify_with(&self, demands: &Demands) -> Report {
        let source = Box::new(Directory(self.path().to_owned()));
        verify(source, demands, &mut |_| {}).unwrap()
    }
}

fn origin() -> Arc<Origin> {
    Arc::new(Origin::new(
        ConnectionId::from_random(1),
        SessionId::from_random(1),
        "maya".parse().unwrap(),
        "orders-ro".parse().unwrap(),
        // Escaped in JSON.
        "or\"ders".to_owned(),
    ))
}

fn opened() -> Event {
    Event::ConnectionOpened {
        origin: origin(),
        peer: "127.0.0.1:1".to_owned(),
        application_name: "psql".into(),
        startup: Vec::new(),
        tls: None,
    }
}

fn started(statement: u64) -> Event {
    Event::StatementStarted {
        origin: origin(),
        statement,
        kind: StatementKind::Simple,
        name: None,
        portal: None,
        types: Vec::new(),
        sql: Some("select 1".into()),
        prepared: None,
        bound: None,
        parameters: Vec::new(),
        function: None,
        parts: 0,
    }
}

fn finished(statement: u64, outcome: Outcome) -> Event {
    Event::StatementFinished {
        origin: origin(),
        statement,
        outcome,
        results: Vec::new(),
        sqlstate: None,
        rows: 0,
        bytes: 0,
        copies: Vec::new(),
        microseconds: 0,
    }
}

fn closed() -> Event {
    Event::ConnectionClosed {
        origin: origin(),
        reason: "client_closed".to_owned(),
        statements: 0,
        bytes_in: 0,
        bytes_out: 0,
    }
}

fn deleted(first: u64, last: Head) -> Event {
    Event::SegmentsDeleted {
        segments: 1,
        reason: "age".to_owned(),
        gaps: vec![Gap { first, last }],
    }
}

#[track_caller]
fn assert_sound(report: &Report) {
    assert!(report.sound, "{:#?}", report.faults);
}

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

#[test]
fn numbers_that_no_record_has_are_a_fault_and_no_panic() {
    for first in [0, u64::MAX - 1, u64::MAX] {
        let mut log = Writer::new();
        let last = Head {
            seq: first.saturating_sub(1),
            hash: Hash::of(b"other"),
        };
        log.head = last;
        let record = |seq: u64, event: &Event| {
            let mut lines = Vec::new();
            let mut head = Head::START;
            Batch::of(Timestamp::UNIX_EPOCH, event).link(&mut head, &mut lines);
            let line = String::from_utf8(lines).unwrap();
            let line = line.replace("\"seq\":1,", &format!("\"seq\":{seq},"));
            line.replace(&Hash::NONE.to_string(), &last.hash.to_string())
        };
        let opened = Event::SegmentOpened {
            previous: None,
            key: log.key.public(),
        };
        let all: String = [
            record(first, &opened),
            record(u64::MAX, &Event::Stopped),
            record(u64::MAX, &Event::Stopped),
        ]
        .concat();
        std::fs::write(log.path().join(FileKind::Raw.name(first)), all).unwrap();
        for part in [false, true] {
            let report = log.verify_with(&Demands {
                part,
                heads: vec![Head {
                    seq: u64::MAX,
                    hash: Hash::NONE,
                }],
                ..Demands::default()
            });
            assert!(!report.sound, "{first}");
        }
    }
}

#[test]
fn what_is_too_large_to_be_hallpass_s_is_a_fault() {
    let mut log = Writer::new();
    let (first, _) = log.segment(&[Event::Stopped]);
    let head = log.path().join(HEAD);
    let kept = std::fs::read(&head).unwrap();
    std::fs::File::create(&head)
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    assert_eq!(log.verify().faults[0].kind, FaultKind::Head);
    std::fs::write(&head, kept).unwrap();
    // A hole of zeros is a line without an end.
    let raw = log.path().join(FileKind::Raw.name(first));
    let file = std::fs::File::options().write(true).open(raw).unwrap();
    file.set_len(1 << 30).unwrap();
    let report = log.verify();
    let fault = &report.faults[0];
    assert_eq!(
        (fault.kind, fault.seq, fault.line),
        (FaultKind::NotARecord, 4, Some(4))
    );
    assert!(fault.what.contains("larger"), "{}", fault.what);
}

#[test]
fn a_light_look_sees_what_a_whole_reading_does() {
    let mut log = Writer::new();
    log.segment(&[opened(), started(1), finished(1, Outcome::Failed), closed()]);
    let archive = Archive::open(Box::new(Directory(log.path().to_owned()))).unwrap();
    let segment = archive.segments()[0];
    let records: Vec<Record> = reader::segment_records(&archive, &segment)
        .map(Result::unwrap)
        .collect();
    let block = archive.blocks(&segment).next().unwrap().unwrap();
    let mut light = 0;
    for (line, record) in block.lines().zip(&records) {
        let read = Line::read(line).unwrap();
        assert_eq!((read.seq(), read.prev()), (record.seq, Some(record.prev)));
        assert_eq!(read.at(), Some(record.at));
        if let Line::Statement(look) = read {
            light += 1;
            let origin = record.event.origin().unwrap();
            assert_eq!(look.session.parse(), Ok(origin.session));
            assert_eq!(look.database, origin.database);
        }
    }
    assert_eq!(light, 2);
}
