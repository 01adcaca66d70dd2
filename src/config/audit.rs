//! `[audit]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check::{Check, Section};
use super::raw::RawAudit;
use super::values::{self, Parsed};
use super::{Feed, Ship, feeds, ship};

/// Segments smaller than this would be more files than audit.
const MIN_SEGMENT: u64 = 4 * 1024;
const DURABILITY: [(&str, Durability); 2] =
    [("write", Durability::Write), ("fsync", Durability::Fsync)];

/// `[audit]`: the record of what was done.
#[derive(Debug, Clone)]
pub struct Audit {
    /// `folder`: the folder of segments. Relative to `data_dir`; default `audit`.
    pub folder: PathBuf,
    /// `durability`: when a record counts as made. Default `write`.
    pub durability: Durability,
    /// `key_file`: the Ed25519 key that signs checkpoints, made at the first start. Relative to
    /// `data_dir`; default `audit.key`.
    pub key_file: PathBuf,
    /// `segment_size`: bytes after which a segment is closed and the next begins. Default 64MiB.
    pub segment_bytes: u64,
    /// `segment_age`: how old a segment gets before it is closed. Default 1h.
    pub segment_age: Duration,
    /// `checkpoint_records`: how many records may be unsigned. Default 10000.
    pub checkpoint_records: u64,
    /// `checkpoint_interval`: how long a record may be unsigned. Default 10s.
    pub checkpoint_interval: Duration,
    /// `timeout`: how long a record may take; then its statement is refused. Default 5s.
    pub timeout: Duration,
    /// `[audit.ship]`: where sealed segments go. Default: nowhere.
    pub ship: Option<Ship>,
    /// `[audit.feeds.NAME]`: who gets every record as it is made. Default: nobody.
    pub feeds: Vec<Feed>,
    /// `local_limit`: bytes that may exist on this machine and not yet in the bucket, or not yet at
    /// a required feed; beyond that statements are refused. Default: none.
    pub local_limit: Option<u64>,
    /// `keep`: how long a segment is kept after its last record. Default: for good.
    pub keep: Option<Duration>,
    /// `keep_size`: bytes that sealed segments may take up, the oldest going first. Default: any.
    pub keep_bytes: Option<u64>,
}

/// `durability`: when a record counts as made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When the kernel has it: it survives a crash of hallpass, not a loss of power.
    Write,
    /// When stable storage has it.
    Fsync,
}

pub(super) fn audit(check: &mut Check<'_>, raw: &RawAudit, data_dir: &Path) -> Audit {
    let mut section = Section::new(check, "audit", 0..0);
    let segment = |text: &str| match values::size(text)? {
        bytes if bytes < MIN_SEGMENT => Err(format!("`{text}` is too small: at least 4KiB")),
        bytes => Ok(bytes),
    };
    let duration = |section: &mut Section<'_, '_>, key, field, seconds| {
        let duration = section.optional(key, field, values::positive_duration);
        duration.unwrap_or(Duration::from_secs(seconds))
    };
    let folder = section.optional("folder", &raw.folder, values::text);
    let key_file = section.optional("key_file", &raw.key_file, values::text);
    let segment_bytes = section
        .optional("segment_size", &raw.segment_size, segment)
        .unwrap_or(64 << 20);
    Audit {
        folder: data_dir.join(folder.as_deref().unwrap_or("audit")),
        durability: section
            .optional("durability", &raw.durability, values::choice(&DURABILITY))
            .unwrap_or(Durability::Write),
        key_file: data_dir.join(key_file.as_deref().unwrap_or("audit.key")),
        segment_bytes,
        segment_age: duration(&mut section, "segment_age", &raw.segment_age, 3600),
        checkpoint_records: section
            .optional("checkpoint_records", &raw.checkpoint_records, values::count)
            .map_or(10_000, u64::from),
        checkpoint_interval: duration(
            &mut section,
            "checkpoint_interval",
            &raw.checkpoint_interval,
            10,
        ),
        timeout: duration(&mut section, "timeout", &raw.timeout, 5),
        local_limit: feeds::local_limit(&mut section, raw, segment_bytes),
        ship: ship::ship(section.check, &raw.ship),
        feeds: feeds::feeds(section.check, &raw.feeds),
        keep: section.optional("keep", &raw.keep, values::long_duration),
        keep_bytes: section.optional("keep_size", &raw.keep_size, |text: &str| {
            keep_size(text, segment_bytes)
        }),
    }
}

/// With less, all but the segment that is being written could be gone at any time.
fn keep_size(text: &str, segment_bytes: u64) -> Parsed<u64> {
    match values::size(text)? {
        bytes if bytes < segment_bytes => {
            Err(format!("`{text}` is too small: at least segment_size"))
        }
        bytes => Ok(bytes),
    }
}
