//! Shipping, from files to receivers that behave as receivers do.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use parking_lot::Mutex;
use rand::RngExt;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::*;
use crate::audit::files::{FileKind, HEAD};
use crate::audit::{Hash, Head};
use crate::secret::Secret;

/// A log that grows, as the recorder leaves it.
struct Log {
    folder: TempDir,
    flow: Arc<Flow>,
    lines: String,
    segment: u64,
    next: u64,
    head: Head,
}

impl Log {
    fn new() -> Self {
        let flow = Arc::new(Flow::default());
        flow.advance(1);
        Self {
            folder: tempfile::tempdir().unwrap(),
            flow,
            lines: String::new(),
            segment: 1,
            next: 1,
            head: Head::START,
        }
    }

    fn write(&mut self, records: u64) {
        let path = self.folder.path().join(FileKind::Raw.name(self.segment));
        let mut text = fs::read_to_string(&path).unwrap_or_default();
        for seq in self.next..self.next + records {
            let sql = "x".repeat(usize::try_from(seq % 97).unwrap());
            let prev = self.head.hash;
            let line = format!(
                "{{\"v\":1,\"seq\":{seq},\"prev\":\"{prev}\",\"at\":\"2026-11-22T09:04:45Z\",\"type\":\"stopped\",\"sql\":\"{sql}\"}}\n"
            );
            self.head = self.head.followed_by(line.trim_end().as_bytes());
            text += &line;
            self.lines += &line;
        }
        fs::write(path, text).unwrap();
        self.next += records;
        self.flow.advance(self.next);
    }

    /// Closes the segment that is being written, and seals it.
    fn seal(&mut self) {
        let file = |kind: FileKind| self.folder.path().join(kind.name(self.segment));
        let raw = file(FileKind::Raw);
        let sealed = zstd::encode_all(&*fs::read(&raw).unwrap(), 3).unwrap();
        fs::write(file(FileKind::Sealed), sealed).unwrap();
        let index = format!("{{\"first\":{}}}\n", self.segment);
        fs::write(file(FileKind::Index), index).unwrap();
        fs::remove_file(raw).unwrap();
        self.segment = self.next;
    }

    fn settings(&self) -> Settings {
        Settings {
            folder: self.folder.path().to_owned(),
            marks: self.folder.path().join("ship"),
            bucket: None,
            feeds: Vec::new(),
            local_limit: None,
        }
    }

    fn start(&self, settings: &Settings) -> Running {
        let metrics = Arc::new(Metrics::new());
        let shipping = Shipping::open(settings, &self.flow, &Clock::system(), &metrics).unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        shipping.spawn(&tasks, &stop);
        Running {
            tasks,
            stop,
            metrics,
        }
    }
}

/// Shipping under way; dropped, it is as if hallpass were killed.
struct Running {
    tasks: TaskTracker,
    stop: CancellationToken,
    metrics: Arc<Metrics>,
}

impl Running {
    async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn metric(&self, name: &str) -> f64 {
        let text = String::from_utf8(self.metrics.encode()).unwrap();
        let value = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
        text.lines().find_map(value).unwrap_or(0.0)
    }
}

async fn until(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !look() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What arrived: each record's line by its sequence. Two lines for one sequence must be equal.
#[derive(Default)]
struct Arrived {
    lines: BTreeMap<u64, String>,
    twice: u64,
}

impl Arrived {
    fn take(&mut self, line: &str) {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let seq = record["seq"].as_u64().unwrap();
        if let Some(before) = self.lines.insert(seq, format!("{line}\n")) {
            assert_eq!(before, format!("{line}\n"));
            self.twice += 1;
        }
    }

    fn text(&self) -> String {
        self.lines.values().cloned().collect()
    }
}

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

/// An HTTP receiver that takes a request or not.
#[derive(Default)]
struct Endpoint {
    arrived: Arrived,
    keys: Vec<String>,
    headers: HeaderMap,
    /// The status of every so many-th request, by a throw of dice.
    mood: Option<StatusCode>,
    most: usize,
    /// The largest body that was taken.
    largest: usize,
}

async fn take(
    State(endpoint): State<Arc<Mutex<Endpoint>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let mut endpoint = endpoint.lock();
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    endpoint.keys.push(key);
    if body.len() > endpoint.most {
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    endpoint.largest = endpoint.largest.max(body.len());
    let dice = rand::rng().random_range(0..4);
    if let (Some(status), 0) = (endpoint.mood, dice) {
        return status;
    }
    let mut text = String::new();
    match headers.get("content-encoding") {
        Some(_) => {
            let mut decoder = flate2::read::GzDecoder::new(&*body);
            decoder.read_to_string(&mut text).unwrap();
        }
        None => text = String::from_utf8(body.to_vec()).unwrap(),
    }
    text.lines().for_each(|line| endpoint.arrived.take(line));
    endpoint.headers = headers;
    // Taken, and yet the answer is an error: then they come twice.
    match (endpoint.mood, dice) {
        (Some(status), 1) => status,
        _ => StatusCode::NO_CONTENT,
    }
}

async fn serve(endpoint: &Arc<Mutex<Endpoint>>, at: SocketAddr) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/ingest", post(take))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(Arc::clone(endpoint));
    let stop = CancellationToken::new();
    let until = stop.clone();
    tokio::spawn(async move {
        let serve = axum::serve(listener, router);
        tokio::select! {
            served = serve => served.unwrap(),
            () = until.cancelled() => {},
        }
    });
    (address, stop)
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn endpoint(most: usize, mood: Option<StatusCode>) -> Arc<Mutex<Endpoint>> {
    Arc::new(Mutex::new(Endpoint {
        most,
        mood,
        ..Endpoint::default()
    }))
}

fn no_tls() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(
        builder
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth(),
    )
}

fn http_feed(address: SocketAddr, gzip: bool) -> FeedSettings {
    let url = format!("http://{address}/ingest");
    FeedSettings {
        name: "siem".into(),
        url: url.clone(),
        required: true,
        protocol: Protocol::Http(HttpSettings {
            url: url.parse().unwrap(),
            token: Some(Secret::new("s3cret")),
            headers: vec![("x-tenant".parse().unwrap(), Secret::new("a"))],
            gzip,
            tls: no_tls(),
        }),
    }
}

#[tokio::test]
async fn an_endpoint_gets_every_record_whatever_it_answers() {
    for gzip in [false, true] {
        let endpoint = endpoint(1 << 20, Some(StatusCode::SERVICE_UNAVAILABLE));
        let (address, _stop) = serve(&endpoint, any()).await;
        let mut log = Log::new();
        let mut settings = log.settings();
        settings.feeds = vec![http_feed(address, gzip)];
        let mut running = log.start(&settings);
        for round in 0..12 {
            log.write(1 + round * 7);
            if round % 3 == 2 {
                log.seal();
            }
            if round % 4 == 3 {
                // As if it were killed: whatever is under way is torn.
                running.stop.cancel();
                running = log.start(&settings);
            }
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        let all = || endpoint.lock().arrived.text() == log.lines;
        until("all records are there", all).await;
        running.stop().await;
        let endpoint = endpoint.lock();
        assert_eq!(endpoint.headers["authorization"], "Bearer s3cret");
        assert_eq!(endpoint.headers["x-tenant"], "a");
        let range = endpoint.headers["hallpass-records"].to_str().unwrap();
        let key = endpoint.headers["idempotency-key"].to_str().unwrap();
        assert!(key.starts_with(&format!("\"{range}-")), "{range} {key}");
    }
}

#[tokio::test]
async fn what_was_refused_is_sent_again_under_the_same_key() {
    let endpoint = endpoint(1 << 20, Some(StatusCode::TOO_MANY_REQUESTS));
    let (address, _stop) = serve(&endpoint, any()).await;
    let mut log = Log::new();
    let mut settings = log.settings();
    settings.feeds = vec![http_feed(address, false)];
    log.write(10);
    let mut rounds = 0;
    // Until the dice have fallen for a refusal at least once.
    while endpoint.lock().keys.len() <= rounds {
        let running = log.start(&settings);
        until("all are there", || {
            endpoint.lock().arrived.text() == log.lines
        })
        .await;
        running.stop().await;
        rounds += 1;
        log.write(10);
    }
    let keys = endpoint.lock().keys.clone();
    assert!(keys.windows(2).any(|pair| pair[0] == pair[1]), "{keys:?}");
}

#[tokio::test]
async fn an_endpoint_that_takes_little_gets_little_at_a_time() {
    let endpoint = endpoint(2000, None);
    let (address, _stop) = serve(&endpoint, any()).await;
    let mut log = Log::new();
    let mut settings = log.settings();
    settings.feeds = vec![http_feed(address, false)];
    log.write(200);
    let running = log.start(&settings);
    until("all are there", || {
        endpoint.lock().arrived.text() == log.lines
    })
    .await;
    running.stop().await;
    assert!(endpoint.lock().keys.len() > 10);
}

#[tokio::test]
async fn after_a_413_more_is_sent_at_a_time_again() {
    let endpoint = endpoint(2000, None);
    let (address, _stop) = serve(&endpoint, any()).await;
    let mut log = Log::new();
    let mut settings = log.settings();
    settings.feeds = vec![http_feed(address, false)];
    log.write(100);
    let running = log.start(&settings);
    until("all are there", || {
        endpoint.lock().arrived.text() == log.lines
    })
    .await;
    endpoint.lock().most = 1 << 20;
    log.write(3000);
    until("the others too", || {
        endpoint.lock().arrived.text() == log.lines
    })
    .await;
    running.stop().await;
    assert!(endpoint.lock().largest > 10_000);
}

#[tokio::test]
async fn a_record_that_is_too_large_is_tried_until_it_is_taken_and_none_is_left_out() {
    let endpoint = endpoint(100, None);
    let (address, _stop) = serve(&endpoint, any()).await;
    let mut log = Log::new();
    let mut settings = log.settings();
    settings.feeds = vec![http_feed(address, false)];
    log.write(5);
    let running = log.start(&settings);
    let refused = "hallpass_audit_ship_failures_total{destination=\"siem\",reason=\"too_large\"}";
    until("it is tried again", || running.metric(refused) >= 6.0).await;
    assert!(endpoint.lock().arrived.lines.is_empty());
    assert_eq!(log.flow.needed(), 1);
    endpoint.lock().most = 1 << 20;
    until("all are there", || {
        endpoint.lock().arrived.text() == log.lines
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_was_away_misses_nothing_and_too_much_is_too_much() {
    let endpoint = endpoint(1 << 20, None);
    let (address, stop) = serve(&endpoint, any()).await;
    let mut log = Log::new();
    let mut settings = log.settings();
    settings.feeds = vec![http_feed(address, false)];
    settings.local_limit = Some(4000);
    let running = log.start(&settings);
    log.write(10);
    until("it gets records", || {
        endpoint.lock().arrived.text() == log.lines
    })
    .await;
    stop.cancel();
    log.write(10);
    until("it fails", || {
        running.metric(
            "hallpass_audit_ship_failures_total{destination=\"siem\",reason=\"unreachable\"}",
        ) > 0.0
    })
    .await;
    assert!(!log.flow.is_withheld());
    log.write(50);
    until("no more is taken", || log.flow.is_withheld()).await;
    assert_eq!(running.metric("hallpass_audit_withheld"), 1.0);
    assert!(log.flow.needed() <= 11);

    let (_, _stop) = serve(&endpoint, address).await;
    until("it has all", || endpoint.lock().arrived.text() == log.lines).await;
    until("records are taken again", || !log.flow.is_withheld()).await;
    running.stop().await;
    assert_eq!(running.metric("hallpass_audit_withheld"), 0.0);
}

#[tokio::test]
async fn records_that_are_gone_are_told_and_the_rest_is_sent() {
    let endpoint = endpoint(1 << 20, None);
    let (address, _stop) = serve(&endpoint, any()).await;
    let mut log = Log::new();
    let mut settings = log.settings();
    settings.feeds = vec![http_feed(address, false)];
    log.write(10);
    let running = log.start(&settings);
    until("it gets records", || {
        endpoint.lock().arrived.text() == log.lines
    })
    .await;
    running.stop().await;
    log.write(10);
    log.seal();
    log.write(5);
    fs::remove_file(log.folder.path().join(FileKind::Sealed.name(1))).unwrap();
    let running = log.start(&settings);
    until("the rest arrives", || {
        endpoint.lock().arrived.lines.contains_key(&25)
    })
    .await;
    running.stop().await;
    let missing = "hallpass_audit_ship_failures_total{destination=\"siem\",reason=\"missing\"}";
    assert_eq!(running.metric(missing), 1.0);
}

/// A syslog receiver by TCP; it hangs up after so many bytes, if at all.
async fn syslog(arrived: Arc<Mutex<Arrived>>, patience: Option<usize>) -> SocketAddr {
    let listener = TcpListener::bind(any()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut patience = patience;
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            let limit = patience.take().unwrap_or(usize::MAX);
            while read.len() < limit && socket.read_buf(&mut read).await.unwrap_or(0) > 0 {
                read = understand(read, &arrived);
            }
        }
    });
    address
}

/// Takes the whole messages; what is left.
fn understand(mut read: Vec<u8>, arrived: &Mutex<Arrived>) -> Vec<u8> {
    loop {
        let Some(space) = memchr::memchr(b' ', &read) else {
            return read;
        };
        let length: usize = std::str::from_utf8(&read[..space])
            .unwrap()
            .parse()
            .unwrap();
        if read.len() < space + 1 + length {
            return read;
        }
        let rest = read.split_off(space + 1 + length);
        let message = String::from_utf8(read[space + 1..].to_vec()).unwrap();
        let (header, line) = message.split_once("\"] ").unwrap();
        assert!(header.starts_with("<134>1 2026-11-22T09:04:45"), "{header}");
        arrived.lock().take(line);
        read = rest;
    }
}

fn syslog_feed(address: SocketAddr) -> FeedSettings {
    FeedSettings {
        name: "logs".into(),
        url: format!("syslog+tcp://{address}"),
        required: false,
        protocol: Protocol::Syslog(SyslogSettings {
            host: address.ip().to_string(),
            port: address.port(),
            tls: None,
            facility: 16,
        }),
    }
}

#[tokio::test]
async fn syslog_sends_again_what_a_broken_connection_may_have_swallowed() {
    let arrived = Arc::new(Mutex::new(Arrived::default()));
    // It reads a little, with much more in its buffers, and hangs up.
    let address = syslog(Arc::clone(&arrived), Some(5000)).await;
    let mut log = Log::new();
    let mut settings = log.settings();
    settings.feeds = vec![syslog_feed(address)];
    log.write(300);
    log.seal();
    log.write(30);
    let running = log.start(&settings);
    until("all are there", || arrived.lock().text() == log.lines).await;
    log.write(30);
    until("the new ones too", || arrived.lock().text() == log.lines).await;
    running.stop().await;

    // It said goodbye and was heard: nothing is sent twice after the restart.
    let twice = arrived.lock().twice;
    log.write(10);
    let running = log.start(&settings);
    until("the newest too", || arrived.lock().text() == log.lines).await;
    running.stop().await;
    assert_eq!(arrived.lock().twice, twice);
}

#[tokio::test]
async fn another_log_in_the_same_place_is_sent_from_its_beginning() {
    // Longer than this one, or shorter, or as long; and none that names no record at all.
    for seq in [1000, 4, 10] {
        let arrived = Arc::new(Mutex::new(Arrived::default()));
        let address = syslog(Arc::clone(&arrived), None).await;
        let mut log = Log::new();
        let mut settings = log.settings();
        settings.feeds = vec![syslog_feed(address)];
        let mark = Mark::new(&settings.marks, "logs", &format!("syslog+tcp://{address}"));
        let hash = Hash::of(b"another");
        mark.save(Head { seq, hash }).unwrap();
        log.write(10);
        let running = log.start(&settings);
        until("all are there", || arrived.lock().text() == log.lines).await;
        running.stop().await;
        assert_eq!(mark.load().unwrap(), Some(log.head));
    }
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
