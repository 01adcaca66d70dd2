//! A bucket.

use super::*;

fn local_bucket(folder: &std::path::Path) -> BucketSettings {
    BucketSettings {
        url: format!("file://{}", folder.display()),
        options: Vec::new(),
        lock: None,
    }
}

#[tokio::test]
async fn sealed_segments_get_into_the_bucket_as_they_are_and_once() {
    let mut log = Log::new();
    let there = tempfile::tempdir().unwrap();
    let mut settings = log.settings();
    settings.bucket = Some(local_bucket(&there.path().join("audit")));
    for _ in 0..3 {
        log.write(50);
        log.seal();
    }
    log.write(7);
    fs::write(log.folder.path().join(HEAD), "head\n").unwrap();
    let running = log.start(&settings);
    let at = |name: &str| there.path().join("audit").join(name);
    let live = at("HEAD.live");
    until("the head is there", || live.exists()).await;
    // It is of no segment that is there: no verifier would find it in them.
    assert!(!at(HEAD).exists());
    for first in [1, 51, 101] {
        for kind in [FileKind::Sealed, FileKind::Index] {
            let name = kind.name(first);
            let here = fs::read(log.folder.path().join(&name)).unwrap();
            assert_eq!(fs::read(at(&name)).unwrap(), here);
        }
    }
    assert!(!at(&FileKind::Raw.name(151)).exists());
    until("the open segment is what it lacks", || {
        log.flow.needed() == 151
    })
    .await;
    assert_eq!(
        running.metric("hallpass_audit_ship_lag_segments{destination=\"bucket\"}"),
        0.0
    );
    assert!(running.metric("hallpass_audit_ship_lag_seconds{destination=\"bucket\"}") > 0.0);
    running.stop().await;

    // A restart goes on; without its mark it finds out that all is there.
    log.seal();
    fs::remove_dir_all(log.folder.path().join("ship")).unwrap();
    let running = log.start(&settings);
    until("the last one is there", || {
        at(&FileKind::Index.name(151)).exists()
    })
    .await;
    running.stop().await;
    assert_eq!(running.metric("hallpass_audit_ship_failures_total{"), 0.0);
}

#[tokio::test]
async fn nothing_in_the_bucket_is_overwritten_and_what_is_behind_waits() {
    let mut log = Log::new();
    let there = tempfile::tempdir().unwrap();
    let mut settings = log.settings();
    settings.bucket = Some(local_bucket(there.path()));
    log.write(50);
    log.seal();
    log.write(50);
    log.seal();
    let other = there.path().join(FileKind::Sealed.name(1));
    fs::write(&other, "somebody else's").unwrap();
    let running = log.start(&settings);
    let conflicts =
        "hallpass_audit_ship_failures_total{destination=\"bucket\",reason=\"conflict\"}";
    until("it is counted", || running.metric(conflicts) >= 2.0).await;
    assert_eq!(fs::read_to_string(&other).unwrap(), "somebody else's");
    assert!(!there.path().join(FileKind::Sealed.name(51)).exists());
    // The way out is to move it away.
    fs::remove_file(&other).unwrap();
    let last = there.path().join(FileKind::Index.name(51));
    until("all are there", || last.exists()).await;
    running.stop().await;
}

#[tokio::test]
async fn another_log_is_shipped_whatever_the_bucket_has_of_the_one_before() {
    let mut log = Log::new();
    let there = tempfile::tempdir().unwrap();
    let mut settings = log.settings();
    settings.bucket = Some(local_bucket(there.path()));
    let url = format!("file://{}", there.path().display());
    let mark = Mark::new(&settings.marks, BUCKET, &url);
    let hash = Hash::of(b"another");
    mark.save(Head { seq: 41, hash }).unwrap();
    for _ in 0..2 {
        log.write(20);
        log.seal();
    }
    log.write(7);
    let running = log.start(&settings);
    assert!(running.metric("hallpass_audit_ship_lag_segments{destination=\"bucket\"}") > 0.0);
    let last = there.path().join(FileKind::Index.name(21));
    until("all are there", || last.exists()).await;
    assert!(there.path().join(FileKind::Sealed.name(1)).exists());
    running.stop().await;

    // Its own mark is believed, also when what it names was deleted as retention does.
    let before = mark.load().unwrap().unwrap();
    assert_eq!(before.seq, 40);
    fs::remove_file(log.folder.path().join(FileKind::Sealed.name(21))).unwrap();
    assert_eq!(mark.resume(log.folder.path(), 48).unwrap(), 41);
}
