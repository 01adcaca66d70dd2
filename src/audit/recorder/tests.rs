//! What the recorder does on a disk that works.

use std::path::Path;

use super::super::{Record, reader};
use super::*;

fn start(settings: &Settings) -> (Recorder, JoinHandle<()>) {
    Recorder::start(settings, Clock::system(), Arc::new(Metrics::new())).unwrap()
}

fn settings(folder: &Path) -> Settings {
    Settings::new(folder.to_owned(), SigningKey::generate())
}

fn records(folder: &Path) -> Vec<Record> {
    reader::records(folder)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

/// Checks that every record is linked to the one before, and every checkpoint is signed.
fn check(records: &[Record], key: &SigningKey) {
    let mut head = Head::START;
    for record in records {
        assert_eq!((record.seq, record.prev), (head.seq + 1, head.hash));
        if let Event::Checkpoint { signature, .. } = &record.event {
            let signed = key
                .public()
                .signed(signature, record.seq, &record.prev, record.at);
            assert!(signed, "{record:?}");
        }
        head = head.followed_by(&serde_json::to_vec(record).unwrap());
    }
}

fn kinds(records: &[Record]) -> Vec<String> {
    let kind = |record: &Record| {
        let value = serde_json::to_value(record).unwrap();
        value["type"].as_str().unwrap().to_owned()
    };
    records.iter().map(kind).collect()
}

#[tokio::test]
async fn what_is_recorded_is_in_the_file_when_record_returns() {
    for durability in [Durability::Write, Durability::Fsync] {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            durability,
            ..settings(dir.path())
        };
        let (recorder, _writer) = start(&settings);
        recorder.record(&Event::Stopped).await.unwrap();
        assert_eq!(kinds(&records(dir.path())), ["segment_opened", "stopped"]);
    }
}

#[tokio::test]
async fn the_chain_goes_on_across_segments_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        segment_bytes: 1200,
        ..settings(dir.path())
    };
    for _ in 0..3 {
        let (recorder, writer) = start(&settings);
        for _ in 0..5 {
            let mut batch = recorder.batch();
            batch.push(&Event::Stopped);
            batch.push(&Event::Stopped);
            recorder.commit(batch).await.unwrap();
        }
        drop(recorder);
        writer.await.unwrap();
    }
    let records = records(dir.path());
    check(&records, &settings.key);
    let kinds = kinds(&records);
    let count = |kind| kinds.iter().filter(|it| *it == kind).count();
    assert_eq!(count("stopped"), 30);
    assert!(count("segment_opened") > 3, "{kinds:?}");
    assert_eq!(kinds.last().unwrap(), "checkpoint", "a good end is signed");
}

#[tokio::test]
async fn every_segment_is_opened_by_a_link_and_closed_by_a_signature() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        segment_bytes: 1,
        ..settings(dir.path())
    };
    let (recorder, _writer) = start(&settings);
    for _ in 0..3 {
        recorder.record(&Event::Stopped).await.unwrap();
    }
    let records = records(dir.path());
    check(&records, &settings.key);
    let segment = ["segment_opened", "stopped", "checkpoint"];
    assert_eq!(kinds(&records), [segment, segment, segment].concat());
    let previous = |record: &Record| match record.event {
        Event::SegmentOpened { previous, .. } => previous,
        _ => unreachable!(),
    };
    assert_eq!(
        [0, 3, 6].map(|i| previous(&records[i])),
        [None, Some(1), Some(4)]
    );
    let copy = std::fs::read(dir.path().join("HEAD")).unwrap();
    assert_eq!(serde_json::from_slice::<Record>(&copy).unwrap(), records[8]);
}

#[tokio::test(start_paused = true)]
async fn records_are_signed_after_so_many_and_after_so_long() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        checkpoint_records: 4,
        ..settings(dir.path())
    };
    let (recorder, _writer) = start(&settings);
    for _ in 0..4 {
        recorder.record(&Event::Stopped).await.unwrap();
    }
    let many = [
        "segment_opened",
        "stopped",
        "stopped",
        "stopped",
        "checkpoint",
        "stopped",
    ];
    assert_eq!(kinds(&records(dir.path())), many);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(kinds(&records(dir.path())), many);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(kinds(&records(dir.path())).last().unwrap(), "checkpoint");
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(records(dir.path()).len(), many.len() + 1, "once is enough");
}

#[tokio::test]
async fn the_end_is_recorded_also_while_records_are_withheld() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, _writer) = start(&settings(dir.path()));
    recorder.flow().withhold(true);
    let refused = recorder.record(&Event::Stopped).await;
    assert_eq!(refused, Err(Unavailable::Unshipped));
    recorder.stopped().await.unwrap();
    assert_eq!(kinds(&records(dir.path())), ["segment_opened", "stopped"]);
}

#[tokio::test]
async fn a_fact_nobody_waits_for_is_written_too() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = start(&settings(dir.path()));
    let mut batch = recorder.batch();
    batch.push(&Event::Stopped);
    recorder.note(&batch).await.unwrap();
    drop(recorder);
    writer.await.unwrap();
    let kinds = kinds(&records(dir.path()));
    assert_eq!(kinds, ["segment_opened", "stopped", "checkpoint"]);
}
