//! What the recorder does on disks that fail, at any operation and in any way.

use std::collections::BTreeMap;
use std::io;

use parking_lot::{Condvar, Mutex};
use proptest::prelude::*;

use super::super::segment::{Medium, Segment};
use super::super::{Hash, Record};
use super::*;

const MIB: usize = 1024 * 1024;

/// How an operation of the disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing was done.
    Clean,
    /// A write did half of it.
    Half,
}

/// A disk: what the kernel has of each file, and what stable storage has.
#[derive(Default)]
struct Disk {
    kernel: BTreeMap<u64, Vec<u8>>,
    stable: BTreeMap<u64, Vec<u8>>,
    /// Files whose last sync failed.
    failed_sync: Vec<u64>,
    operations: usize,
    /// No write returns.
    hangs: bool,
    /// It takes no write at all.
    is_full: bool,
    /// Bytes of the largest write that it did not take.
    refused: usize,
    faults: BTreeMap<usize, Fault>,
}

impl Disk {
    fn next(&mut self) -> Option<Fault> {
        self.operations += 1;
        self.faults.get(&self.operations).copied()
    }
}

fn refused() -> io::Error {
    io::Error::other("input/output error")
}

#[derive(Clone, Default)]
struct Volatile(Arc<Mutex<Disk>>, Arc<Condvar>);

impl Volatile {
    fn hang(&self, hangs: bool) {
        self.0.lock().hangs = hangs;
        self.1.notify_all();
    }
}

impl Volume for Volatile {
    fn create(&self, first: u64) -> io::Result<Segment> {
        let mut disk = self.0.lock();
        if disk.next().is_some() {
            return Err(refused());
        }
        disk.failed_sync.retain(|file| *file != first);
        disk.kernel.entry(first).or_default();
        disk.stable.entry(first).or_default();
        let medium = OnDisk(self.clone(), first);
        Ok(Segment::new(Box::new(medium)))
    }

    fn replace_head(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// A file on it.
struct OnDisk(Volatile, u64);

impl Medium for OnDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.0.lock();
        self.0.1.wait_while(&mut disk, |disk| disk.hangs);
        assert!(
            !disk.failed_sync.contains(&self.1),
            "a file is trusted again"
        );
        let full = disk.is_full.then_some(Fault::Clean);
        let fault = full.or_else(|| disk.next());
        if fault.is_some() {
            disk.refused = disk.refused.max(bytes.len());
        }
        let written = match fault {
            None => bytes,
            Some(Fault::Clean) => &[],
            Some(Fault::Half) => &bytes[..bytes.len() / 2],
        };
        let file = disk.kernel.get_mut(&self.1).unwrap();
        file.extend_from_slice(written);
        fault.map_or(Ok(()), |_| Err(refused()))
    }

    fn sync(&mut self) -> io::Result<()> {
        let disk = &mut *self.0.0.lock();
        match disk.next() {
            None => {
                let stable = disk.stable.get_mut(&self.1).unwrap();
                stable.clone_from(&disk.kernel[&self.1]);
                Ok(())
            }
            Some(_) => {
                // Linux tells once; what a second sync says of this file is worth nothing.
                disk.failed_sync.push(self.1);
                Err(refused())
            }
        }
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        let disk = &mut *self.0.0.lock();
        if disk.next().is_some() {
            return Err(refused());
        }
        let len = usize::try_from(len).unwrap();
        disk.kernel.get_mut(&self.1).unwrap().truncate(len);
        let stable = disk.stable.get_mut(&self.1).unwrap();
        stable.truncate(len);
        Ok(())
    }
}

/// The records on a disk, checked to be one chain without a gap or a piece of a line.
fn chain(files: &BTreeMap<u64, Vec<u8>>) -> Vec<Record> {
    let mut head = Head::START;
    let mut records: Vec<Record> = Vec::new();
    let mut before = None;
    for (first, bytes) in files {
        let opening = records.len();
        assert!(
            bytes.is_empty() || *first == head.seq + 1,
            "{first} after {head}"
        );
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").expect("whole lines");
            let record: Record = serde_json::from_slice(line).unwrap();
            assert_eq!((record.seq, record.prev), (head.seq + 1, head.hash));
            head.seq += 1;
            head.hash = Hash::of(line);
            records.push(record);
        }
        if let Some(opened) = records.get(opening) {
            let Event::SegmentOpened { previous, .. } = opened.event else {
                panic!("a segment begins with its opening: {opened:?}");
            };
            assert_eq!(previous, before);
            before = Some(*first);
        }
    }
    records
}

/// A fact that can be told from others.
fn fact(number: u64) -> Event {
    Event::Started {
        version: number.to_string(),
        files: Vec::new(),
    }
}

fn facts(records: &[Record]) -> Vec<u64> {
    let number = |record: &Record| match &record.event {
        Event::Started { version, .. } => version.parse().ok(),
        _ => None,
    };
    records.iter().filter_map(number).collect()
}

fn start(disk: &Volatile, durability: Durability) -> (Recorder, JoinHandle<()>) {
    let settings = Settings {
        durability,
        segment_bytes: 2000,
        checkpoint_records: 3,
        ..Settings::new(PathBuf::new(), SigningKey::generate())
    };
    start_with(disk, &settings)
}

fn start_with(disk: &Volatile, settings: &Settings) -> (Recorder, JoinHandle<()>) {
    Recorder::over(
        Arc::new(disk.clone()),
        (Head::START, None),
        Batch::new(jiff::Timestamp::UNIX_EPOCH),
        settings,
        Clock::system(),
        Arc::new(Metrics::new()),
    )
}

/// Records `count` facts on a disk with these faults, and returns those that were promised.
async fn record(disk: &Volatile, durability: Durability, count: u64) -> Vec<u64> {
    let (recorder, writer) = start(disk, durability);
    let mut promised = Vec::new();
    for number in 0..count {
        if recorder.record(&fact(number)).await.is_ok() {
            promised.push(number);
        }
    }
    drop(recorder);
    writer.await.unwrap();
    promised
}

fn faults() -> impl Strategy<Value = BTreeMap<usize, Fault>> {
    let fault = prop_oneof![Just(Fault::Clean), Just(Fault::Half)];
    prop::collection::btree_map(1usize..50, fault, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_was_promised_is_there_and_what_was_refused_is_not(
        faults in faults(), fsync in any::<bool>()
    ) {
        let disk = Volatile::default();
        disk.0.lock().faults = faults;
        let durability = if fsync { Durability::Fsync } else { Durability::Write };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let promised = runtime.block_on(record(&disk, durability, 60));
        let disk = disk.0.lock();
        let kept = if fsync { &disk.stable } else { &disk.kernel };
        prop_assert_eq!(facts(&chain(kept)), promised);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_comes_in_one_turn_of_the_runtime_goes_with_one_write() {
    let disk = Volatile::default();
    let settings = Settings::new(PathBuf::new(), SigningKey::generate());
    let (recorder, _writer) = start_with(&disk, &settings);
    recorder.record(&fact(0)).await.unwrap();
    let before = disk.0.lock().operations;
    // From a task, so that all of them are ready before the first one runs.
    let theirs = recorder.clone();
    let all = tokio::spawn(async move {
        let record = |number| {
            let recorder = theirs.clone();
            tokio::spawn(async move { recorder.record(&fact(number)).await })
        };
        futures_util::future::join_all((1..=16).map(record)).await
    });
    assert!(all.await.unwrap().into_iter().all(|it| it.unwrap().is_ok()));
    assert_eq!(disk.0.lock().operations - before, 1);
    assert_eq!(facts(&chain(&disk.0.lock().kernel)).len(), 17);
}

#[tokio::test]
async fn a_fault_at_each_operation_is_survived() {
    for durability in [Durability::Write, Durability::Fsync] {
        for at in 1..=60 {
            for fault in [Fault::Clean, Fault::Half] {
                let disk = Volatile::default();
                disk.0.lock().faults = [(at, fault)].into();
                let promised = record(&disk, durability, 15).await;
                assert!(promised.len() >= 14, "one fault refuses one at most: {at}");
                let disk = disk.0.lock();
                let kept = match durability {
                    Durability::Fsync => &disk.stable,
                    Durability::Write => &disk.kernel,
                };
                let records = chain(kept);
                assert_eq!(facts(&records), promised);
                let failures = records
                    .iter()
                    .filter(|it| matches!(it.event, Event::RecordingFailed { .. }));
                assert_eq!(
                    failures.count(),
                    15 - promised.len(),
                    "the failure is on record"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_not_tried_with_all_that_is_owed_to_it() {
    let disk = Volatile::default();
    let (recorder, writer) = start(&disk, Durability::Write);
    disk.0.lock().is_full = true;
    let long = Event::Started {
        version: "x".repeat(MIB / 2),
        files: Vec::new(),
    };
    for _ in 0..20 {
        let mut batch = recorder.batch();
        batch.push(&long);
        recorder.note(&batch).await.unwrap();
        assert!(recorder.record(&fact(0)).await.is_err());
    }
    let refused = disk.0.lock().refused;
    assert!(refused > MIB && refused < 2 * MIB, "{refused}");
    disk.0.lock().is_full = false;
    recorder.record(&fact(1)).await.unwrap();
    drop(recorder);
    writer.await.unwrap();
    let records = chain(&disk.0.lock().kernel);
    assert_eq!(records.iter().filter(|it| it.event == long).count(), 20);
    assert_eq!(facts(&records), [1]);
}

#[tokio::test]
async fn outcomes_of_what_happened_while_the_disk_hung_are_made_when_it_goes_on() {
    let disk = Volatile::default();
    let settings = Settings {
        durability: Durability::Fsync,
        timeout: Duration::from_millis(200),
        ..Settings::new(PathBuf::new(), SigningKey::generate())
    };
    let (recorder, writer) = start_with(&disk, &settings);
    recorder.record(&fact(0)).await.unwrap();
    disk.hang(true);
    assert!(recorder.record(&fact(1)).await.is_err());
    // As many as many connections can have that end at once, and no more than fits.
    for number in 2..10_000 {
        let mut batch = recorder.batch();
        batch.push(&fact(number));
        recorder.note(&batch).await.unwrap();
    }
    let long = Event::Started {
        version: "x".repeat(24 * MIB),
        files: Vec::new(),
    };
    let mut long_ones = 0;
    loop {
        let mut batch = recorder.batch();
        batch.push(&long);
        if recorder.note(&batch).await.is_err() {
            break;
        }
        long_ones += 1;
    }
    assert!(
        (1..3).contains(&long_ones),
        "memory is bounded: {long_ones}"
    );
    disk.hang(false);
    drop(recorder);
    writer.await.unwrap();
    // What was being written when it hung is made; it was refused, and nothing is forwarded.
    let expected: Vec<u64> = (0..10_000).collect();
    assert_eq!(facts(&chain(&disk.0.lock().stable)), expected);
}

#[tokio::test]
async fn what_is_recorded_for_good_is_signed_and_survives_a_loss_of_power() {
    let disk = Volatile::default();
    let (recorder, _writer) = start(&disk, Durability::Write);
    recorder.record(&fact(1)).await.unwrap();
    assert!(chain(&disk.0.lock().stable).is_empty());
    recorder.record_for_good(&fact(2)).await.unwrap();
    let stable = chain(&disk.0.lock().stable);
    assert_eq!(facts(&stable), [1, 2]);
    let last = &stable.last().unwrap().event;
    assert!(matches!(last, Event::Checkpoint { .. }), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_for_long_is_tried_once_a_second() {
    let disk = Volatile::default();
    let settings = Settings {
        checkpoint_interval: Duration::from_secs(10),
        ..Settings::new(PathBuf::new(), SigningKey::generate())
    };
    let (recorder, _writer) = start_with(&disk, &settings);
    recorder.record(&fact(1)).await.unwrap();
    disk.0.lock().is_full = true;
    assert!(recorder.record(&fact(2)).await.is_err());
    let before = disk.0.lock().operations;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let tried = disk.0.lock().operations - before;
    assert!((50..=130).contains(&tried), "in a minute: {tried}");
}
