//! Logs that no hallpass has made here: with deleted records, over crashes, in parts.

mod deleted;
mod ends;
mod signed;

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
