//! Shipping, from files to receivers that behave as receivers do.

mod bucket;
mod http;
mod syslog;

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

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}
