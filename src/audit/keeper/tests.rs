//! The keeper over a real folder and a real recorder: what goes, what stays, and what the log says.

use std::fs;

use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::super::source::Directory;
use super::super::verify::{Demands, verify};
use super::super::{Flow, Origin, Record, Settings, SigningKey, reader};
use super::*;
use crate::access::{ConnectionId, RequestId};

const HOUR: Duration = Duration::from_secs(3600);

/// A log whose every write is a segment of its own, one a minute, and its keeper.
struct Log {
    dir: TempDir,
    clock: Clock,
    metrics: Arc<Metrics>,
    key: Arc<SigningKey>,
    held: Held,
    recorder: Recorder,
    writer: JoinHandle<()>,
}

impl Log {
    fn new() -> Self {
        let key = Arc::new(SigningKey::generate());
        let clock = Clock::manual(Timestamp::from_second(1_000_000).unwrap());
        Self::start(tempfile::tempdir().unwrap(), clock, key)
    }

    fn start(dir: TempDir, clock: Clock, key: Arc<SigningKey>) -> Self {
        let metrics = Arc::new(Metrics::new());
        let settings = Settings {
            segment_bytes: 1,
            key: Arc::clone(&key),
            ..Settings::new(dir.path().to_owned(), SigningKey::generate())
        };
        let started = Recorder::start(&settings, clock.clone(), Arc::clone(&metrics));
        let (recorder, writer) = started.unwrap();
        Self {
            dir,
            clock,
            metrics,
            key,
            held: Held::default(),
            recorder,
            writer,
        }
    }

    /// Another hallpass on the same folder.
    async fn restart(self) -> Self {
        let Self {
            dir,
            clock,
            key,
            recorder,
            writer,
            ..
        } = self;
        drop(recorder);
        writer.await.unwrap();
        Self::start(dir, clock, key)
    }

    /// A segment with a record of a session.
    async fn segment(&self, session: u64) {
        let event = Event::SessionExpired {
            session: SessionId::from_random(session),
            principal: "maya".parse().unwrap(),
            target: "orders-ro".parse().unwrap(),
        };
        self.recorder.record(&event).await.unwrap();
        self.pass(Duration::from_secs(60));
    }

    async fn segments(&self, sessions: std::ops::Range<u64>) {
        for session in sessions {
            self.segment(session).await;
        }
    }

    fn pass(&self, time: Duration) {
        self.clock.set(self.clock.now() + time);
    }

    async fn hold(&self, session: u64) {
        let (request, at) = (RequestId::from_random(session), self.clock.now());
        let mut held = self.held.lock().await;
        held.insert(SessionId::from_random(session), Asked { request, at });
    }

    async fn release(&self, session: u64) {
        let mut held = self.held.lock().await;
        held.remove(&SessionId::from_random(session));
    }

    fn keeper(&self, keep: Option<Duration>, keep_bytes: Option<u64>) -> Keeping {
        let keeper = Keeper {
            folder: self.dir.path().to_owned(),
            retention: Retention { keep, keep_bytes },
            held: self.held.clone(),
            recorder: self.recorder.clone(),
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        let known = Arc::new(Mutex::new(Knowledge::new(
            self.dir.path(),
            self.recorder.key(),
        )));
        Keeping { keeper, known }
    }

    fn records(&self) -> Vec<Record> {
        let records = reader::records(self.dir.path()).unwrap();
        records.map(Result::unwrap).collect()
    }

    /// The sessions that the log has something of, in order.
    fn sessions(&self) -> Vec<u64> {
        let names: Vec<SessionId> = (0..100).map(SessionId::from_random).collect();
        let of = |record: &Record| {
            let session = record.event.about().session?;
            (0..100).zip(&names).find(|(_, name)| **name == session)
        };
        self.records()
            .iter()
            .filter_map(of)
            .map(|it| it.0)
            .collect()
    }

    /// What the log lacks, with what the records behind it are linked to.
    fn missing(&self) -> Vec<Gap> {
        let (mut gaps, mut due) = (Vec::new(), 1);
        for record in self.records() {
            if record.seq > due {
                let (seq, hash) = (record.seq - 1, record.prev);
                let last = Head { seq, hash };
                gaps.push(Gap { first: due, last });
            }
            due = record.seq + 1;
        }
        gaps
    }

    /// What it said of that last; `None` if nothing.
    fn declared(&self) -> Option<(String, Vec<Gap>)> {
        let said = |record: Record| match record.event {
            Event::SegmentsDeleted { reason, gaps, .. } => Some((reason, gaps)),
            _ => None,
        };
        self.records().into_iter().rev().find_map(said)
    }

    fn deletions(&self) -> usize {
        let said = |record: &Record| matches!(record.event, Event::SegmentsDeleted { .. });
        self.records().into_iter().filter(said).count()
    }
}

struct Keeping {
    keeper: Keeper,
    known: Arc<Mutex<Knowledge>>,
}

impl Keeping {
    /// After which the log is sound, whatever is not there.
    async fn round(&self) {
        self.keeper.round(&self.known).await.unwrap();
        let source = Box::new(Directory(self.keeper.folder.clone()));
        let report = verify(source, &Demands::default(), &mut |_| {}).unwrap();
        assert!(report.sound, "{:#?}", report.faults);
    }

    /// Up to the record of a deletion, and no further.
    async fn crash_before_deleting(&self) {
        seal::seal_complete(&self.keeper.folder, self.keeper.recorder.flow()).unwrap();
        self.keeper.look(&self.known).await.unwrap();
        let held = self.keeper.held.lock().await.clone();
        let deletion = self.keeper.plan(&self.known, held).await.unwrap();
        self.keeper.record(&deletion.unwrap()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_segment_is_sealed_once_it_is_old_though_nothing_follows() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path().to_owned(), SigningKey::generate());
    let (clock, metrics) = (Clock::system(), Arc::new(Metrics::new()));
    let (recorder, _writer) = Recorder::start(&settings, clock, metrics).unwrap();
    recorder.record(&Event::Stopped).await.unwrap();
    let sealed = |flow: &Flow| seal::seal_complete(dir.path(), flow).unwrap().sealed;
    assert!(sealed(recorder.flow()).is_empty(), "it is written");
    tokio::time::sleep(settings.segment_age + Duration::from_secs(1)).await;
    assert_eq!(sealed(recorder.flow()), [1]);
    assert!(dir.path().join(FileKind::Index.name(1)).exists());
    // What comes then goes on behind it.
    recorder.record(&Event::Stopped).await.unwrap();
    let records = reader::records(dir.path()).unwrap().map(Result::unwrap);
    let sequences: Vec<u64> = records.map(|it| it.seq).collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5]);
    assert!(sealed(recorder.flow()).is_empty(), "it is written");
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_goes_and_the_log_says_so_first() {
    let log = Log::new();
    log.segments(0..6).await;
    let keeping = log.keeper(Some(HOUR), None);
    keeping.round().await;
    assert_eq!(log.sessions(), [0, 1, 2, 3, 4, 5], "nothing is old");

    // The records of 0 to 2 are older than an hour.
    log.pass(HOUR - Duration::from_secs(6 * 60 - 150));
    keeping.round().await;
    assert_eq!(log.sessions(), [3, 4, 5]);
    let (reason, gaps) = log.declared().unwrap();
    assert_eq!((reason.as_str(), gaps.len()), ("age", 1));
    assert_eq!((gaps[0].first, gaps.clone()), (1, log.missing()));
    let records = log.records();
    let said = records
        .iter()
        .position(|it| matches!(it.event, Event::SegmentsDeleted { .. }));
    let behind = &records[said.unwrap() + 1].event;
    assert!(
        matches!(behind, Event::Checkpoint { .. }),
        "and it is signed"
    );

    keeping.round().await;
    assert_eq!(log.deletions(), 1, "once is enough");
    let metrics = String::from_utf8(log.metrics.encode()).unwrap();
    let line = r#"hallpass_audit_segments_deleted_total{reason="age"} 3"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn what_is_too_much_goes_the_oldest_first() {
    let log = Log::new();
    log.segments(0..6).await;
    log.keeper(None, None).round().await;
    let mut inventory = Inventory::new(log.dir.path().to_owned());
    inventory.refresh().unwrap();
    let sizes: Vec<u64> = inventory.segments().map(|it| it.bytes).collect();
    assert_eq!(sizes.len(), 6, "the last one is complete, too");

    let enough = sizes.iter().sum();
    log.keeper(None, Some(enough)).round().await;
    assert_eq!(log.sessions(), [0, 1, 2, 3, 4, 5]);
    log.keeper(None, Some(enough - sizes[0] - 1)).round().await;
    assert_eq!(log.sessions(), [2, 3, 4, 5]);
    let (reason, gaps) = log.declared().unwrap();
    assert_eq!((reason.as_str(), gaps), ("size", log.missing()));
    // The newest sealed one stays, however little is to be kept: it says what is open. Here it has
    // the record of the deletion.
    log.keeper(None, Some(1)).round().await;
    assert_eq!(log.sessions(), [] as [u64; 0]);
    assert_eq!(log.deletions(), 2);
    assert_eq!(log.declared().unwrap().1, log.missing());
}

#[tokio::test]
async fn a_held_session_stays_an_island_until_it_is_released() {
    let log = Log::new();
    log.segments(0..8).await;
    log.hold(2).await;
    log.hold(5).await;
    let keeping = log.keeper(Some(HOUR), None);
    log.pass(2 * HOUR);
    keeping.round().await;
    let (_, gaps) = log.declared().unwrap();
    // 7 is the newest that is sealed.
    assert_eq!(log.sessions(), [2, 5, 7]);
    assert_eq!((gaps.len(), gaps), (3, log.missing()));

    log.release(2).await;
    keeping.round().await;
    let (_, gaps) = log.declared().unwrap();
    assert_eq!(log.sessions(), [5]);
    assert_eq!((gaps.len(), gaps), (2, log.missing()));

    // The earlier records of deletions go too, in time; the last one has it all.
    log.segments(10..12).await;
    log.pass(2 * HOUR);
    keeping.round().await;
    assert_eq!(log.sessions(), [5, 11]);
    assert_eq!(log.deletions(), 1);
    assert_eq!(log.declared().unwrap().1, log.missing());
}

#[tokio::test]
async fn the_request_of_a_held_session_stays_with_it() {
    let log = Log::new();
    log.segment(0).await;
    let asked = Event::RequestWithdrawn {
        request: RequestId::from_random(5),
        by: "maya".parse().unwrap(),
    };
    log.recorder.record(&asked).await.unwrap();
    log.segments(1..8).await;
    log.hold(5).await;
    log.pass(2 * HOUR);
    log.keeper(Some(HOUR), None).round().await;
    assert_eq!(log.sessions(), [5, 7]);
    assert!(log.records().iter().any(|record| record.event == asked));
}

#[tokio::test]
async fn what_is_not_shipped_yet_stays() {
    let log = Log::new();
    log.segments(0..6).await;
    log.pass(2 * HOUR);
    let shipped = 6;
    log.recorder.flow().need(shipped + 1);
    let keeping = log.keeper(Some(HOUR), None);
    keeping.round().await;
    assert_eq!(log.missing()[0].last.seq, shipped);
    log.recorder.flow().need(shipped + 3);
    keeping.round().await;
    assert_eq!(log.missing()[0].last.seq, shipped, "half a segment is none");
}

#[tokio::test]
async fn nothing_is_deleted_that_cannot_be_recorded() {
    let log = Log::new();
    log.segments(0..4).await;
    log.pass(2 * HOUR);
    log.writer.abort();
    let keeping = log.keeper(Some(HOUR), None);
    let failed = keeping.keeper.round(&keeping.known).await;
    assert!(matches!(failed, Err(Disorder::Unrecorded)));
    assert_eq!(log.sessions(), [0, 1, 2, 3]);
}

#[tokio::test]
async fn what_a_crash_kept_from_being_deleted_is_deleted_by_the_next() {
    let log = Log::new();
    log.segments(0..6).await;
    log.hold(1).await;
    let keeping = log.keeper(Some(HOUR), None);
    log.pass(2 * HOUR);
    keeping.round().await;
    log.release(1).await;
    keeping.crash_before_deleting().await;
    drop(keeping);
    assert_eq!(log.sessions(), [1, 5]);

    let log = log.restart().await;
    log.keeper(Some(HOUR), None).round().await;
    assert_eq!(log.sessions(), [] as [u64; 0]);
    let (_, gaps) = log.declared().unwrap();
    assert_eq!((gaps.len(), gaps), (1, log.missing()));
}

#[tokio::test]
async fn what_a_crash_kept_and_is_held_now_is_no_gap_any_more() {
    let log = Log::new();
    log.segments(0..6).await;
    let keeping = log.keeper(Some(HOUR), None);
    log.pass(2 * HOUR);
    keeping.round().await;
    log.segments(10..16).await;
    log.pass(2 * HOUR);
    keeping.crash_before_deleting().await;
    drop(keeping);

    let log = log.restart().await;
    log.hold(12).await;
    log.keeper(Some(HOUR), None).round().await;
    assert!(log.sessions().contains(&12));
    let (_, gaps) = log.declared().unwrap();
    assert_eq!((gaps.len(), gaps), (2, log.missing()));
}

#[tokio::test]
async fn what_somebody_took_away_is_never_called_deleted() {
    let log = Log::new();
    log.segments(0..6).await;
    let keeping = log.keeper(Some(HOUR), None);
    keeping.round().await;
    let theirs = keeping.known.lock().inventory.segments().nth(2).copied();
    let theirs = theirs.unwrap();
    for kind in [FileKind::Sealed, FileKind::Index] {
        fs::remove_file(log.dir.path().join(kind.name(theirs.first))).unwrap();
    }
    log.pass(2 * HOUR);
    keeping.keeper.round(&keeping.known).await.unwrap();
    let (_, gaps) = log.declared().unwrap();
    let named = |seq| {
        gaps.iter()
            .any(|gap| (gap.first..=gap.last.seq).contains(&seq))
    };
    let taken: BTreeSet<bool> = (theirs.first..=theirs.last.seq).map(named).collect();
    assert_eq!(taken, [false].into());
    assert!(named(theirs.first - 1) && named(theirs.last.seq + 1));
}

#[tokio::test]
async fn what_was_open_in_deleted_segments_is_closed_after_a_crash_all_the_same() {
    let log = Log::new();
    let origin = Arc::new(Origin::new(
        ConnectionId::from_random(1),
        SessionId::from_random(0),
        "maya".parse().unwrap(),
        "orders-ro".parse().unwrap(),
        "orders".into(),
    ));
    let opened = Event::ConnectionOpened {
        origin: Arc::clone(&origin),
        peer: "192.0.2.1:50000".into(),
        application_name: "psql".into(),
        startup: Vec::new(),
        tls: None,
    };
    log.recorder.record(&opened).await.unwrap();
    log.segments(1..5).await;
    log.pass(2 * HOUR);
    log.keeper(Some(HOUR), None).round().await;
    assert_eq!(log.sessions(), [4]);

    let log = log.restart().await;
    log.segment(6).await;
    let closed = |record: &Record| matches!(&record.event, Event::ConnectionClosed { origin: it, .. } if *it == origin);
    assert!(log.records().iter().any(closed));
}

#[tokio::test]
async fn a_segment_that_cannot_be_sealed_is_counted_and_holds_up_no_other() {
    let log = Log::new();
    log.segments(0..3).await;
    let damaged = log.dir.path().join(FileKind::Raw.name(4));
    let lines = fs::read(&damaged).unwrap();
    fs::write(&damaged, [&lines[..], b"{}\n"].concat()).unwrap();
    let keeping = log.keeper(None, None);
    let unsealed = |count: u64| {
        let metrics = String::from_utf8(log.metrics.encode()).unwrap();
        let line = format!("hallpass_audit_unsealed_segments {count}\n");
        assert!(metrics.contains(&line), "{metrics}");
    };
    for _ in 0..2 {
        let failed = keeping.keeper.round(&keeping.known).await;
        assert!(matches!(failed, Err(Disorder::Sealing(1))));
        unsealed(1);
    }
    assert_eq!(keeping.known.lock().inventory.segments().count(), 2);
    assert_eq!(keeping.known.lock().unsealable, [4].into());
    fs::write(&damaged, lines).unwrap();
    keeping.round().await;
    unsealed(0);
    assert!(keeping.known.lock().unsealable.is_empty());
}

#[tokio::test]
async fn an_index_without_its_segment_is_cleared_away() {
    let log = Log::new();
    log.segments(0..4).await;
    let keeping = log.keeper(Some(HOUR), None);
    keeping.round().await;
    let first = keeping
        .known
        .lock()
        .inventory
        .segments()
        .next()
        .unwrap()
        .first;
    fs::remove_file(log.dir.path().join(FileKind::Sealed.name(first))).unwrap();
    keeping.keeper.round(&keeping.known).await.unwrap();
    assert!(!log.dir.path().join(FileKind::Index.name(first)).exists());
    let metrics = String::from_utf8(log.metrics.encode()).unwrap();
    let oldest = "hallpass_audit_oldest_record_timestamp_seconds 1000060\n";
    assert!(metrics.contains(oldest), "{metrics}");
}

#[tokio::test]
async fn sealing_waits_while_the_log_is_busy_unless_it_is_shipped() {
    let log = Log::new();
    let keeping = log.keeper(None, None);
    let sealed = || keeping.known.lock().inventory.segments().count();
    let make_many = async || {
        let mut batch = log.recorder.batch();
        for _ in 0..=BUSY {
            batch.push(&Event::Stopped);
        }
        log.recorder.commit(batch).await.unwrap();
        log.segment(1).await;
    };
    keeping.round().await;
    make_many().await;
    keeping.keeper.round(&keeping.known).await.unwrap();
    assert_eq!(sealed(), 0, "it is busy");
    keeping.keeper.round(&keeping.known).await.unwrap();
    assert_eq!(sealed(), 2, "it is quiet");
    make_many().await;
    log.recorder.flow().need(1);
    keeping.keeper.round(&keeping.known).await.unwrap();
    assert_eq!(sealed(), 4, "somebody waits for sealed segments");
}
