//! What is in the folder: the one who looks after it looks every second, and reads each file once.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fs;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Deserialize;

use super::archive::{Archive, Blocks, Stored};
use super::files::FileKind;
use super::index::Index;
use super::reader;
use super::source::Directory;
use super::{Head, Record};
use crate::access::{RequestId, SessionId};

/// The segments of a folder.
#[derive(Debug)]
pub(super) struct Inventory {
    folder: PathBuf,
    /// The sealed ones by the sequence of their first records.
    sealed: BTreeMap<u64, Sealed>,
    /// The sessions that they have records of, as far as somebody asked.
    sessions: BTreeMap<u64, BTreeSet<SessionId>>,
    /// Whether they have the record of a request, as far as somebody asked.
    requests: BTreeMap<(u64, RequestId), bool>,
    /// Bytes of the others.
    raw_bytes: u64,
    /// When the first record of the oldest one was made, and which that is.
    oldest: Option<(u64, Timestamp)>,
}

/// A sealed segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealed {
    /// The sequence of its first record.
    pub(super) first: u64,
    /// Its last record.
    pub(super) last: Head,
    /// When its first record was made.
    pub(super) first_at: Timestamp,
    /// When its last record was made.
    pub(super) last_at: Timestamp,
    /// Bytes of its files.
    pub(super) bytes: u64,
}

/// The files of each segment, by the sequence of its first record.
type Files = BTreeMap<u64, BTreeSet<FileKind>>;

/// What of an index says it.
#[derive(Deserialize)]
struct Brief {
    last: Head,
    first_at: Timestamp,
    last_at: Timestamp,
}

impl Inventory {
    /// Of this folder; nothing is known yet.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            sealed: BTreeMap::new(),
            sessions: BTreeMap::new(),
            requests: BTreeMap::new(),
            raw_bytes: 0,
            oldest: None,
        }
    }

    /// Looks what is there now. Removes the indexes of segments that are gone.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn refresh(&mut self) -> io::Result<()> {
        let mut files = self.files()?;
        for (first, _) in files.extract_if(.., |_, kinds| !has_lines(kinds)) {
            fs::remove_file(self.path(FileKind::Index, first))?;
        }
        self.sealed.retain(|first, _| files.contains_key(first));
        self.sessions.retain(|first, _| files.contains_key(first));
        self.requests
            .retain(|(first, _), _| files.contains_key(first));
        self.raw_bytes = 0;
        for (&first, kinds) in &files {
            if kinds.contains(&FileKind::Raw) {
                self.raw_bytes += self.size(FileKind::Raw, first)?;
            } else if !self.sealed.contains_key(&first) {
                let segment = self.read(first)?;
                self.sealed.insert(first, segment);
            }
        }
        self.find_oldest(&files)
    }

    /// The sealed segments, the oldest first.
    pub(super) fn segments(&self) -> impl Iterator<Item = &Sealed> {
        self.sealed.values()
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        let sealed: u64 = self.segments().map(|segment| segment.bytes).sum();
        sealed + self.raw_bytes
    }

    /// When the oldest record was made.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.oldest.map(|(_, at)| at)
    }

    /// Whether records are missing before or between the sealed segments.
    pub(super) fn has_gaps(&self) -> bool {
        let mut due = 1;
        self.segments().any(|segment| {
            let gap = segment.first != due;
            due = segment.last.seq + 1;
            gap
        })
    }

    /// The sessions that a sealed segment has records of.
    ///
    /// # Errors
    /// If its index cannot be read.
    pub(super) fn sessions(&mut self, first: u64) -> io::Result<&BTreeSet<SessionId>> {
        let path = self.path(FileKind::Index, first);
        match self.sessions.entry(first) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let sessions = Index::load(&path)?.sessions.into_keys();
                Ok(unknown.insert(sessions.collect()))
            }
        }
    }

    /// Whether a sealed segment names a request: read whole, once, for indexes do not say it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn has_request(&mut self, first: u64, request: RequestId) -> io::Result<bool> {
        if let Some(known) = self.requests.get(&(first, request)) {
            return Ok(*known);
        }
        let kind = FileKind::Sealed;
        let has = names(
            self.archive()?.blocks(&Stored { first, kind }),
            &request.to_string(),
        )?;
        self.requests.insert((first, request), has);
        Ok(has)
    }

    /// The first record of a sealed segment.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn first_record(&self, first: u64) -> io::Result<Record> {
        self.first_of(FileKind::Sealed, first)?
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The folder's segments, to be read.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub(super) fn archive(&self) -> io::Result<Archive> {
        Archive::open(Box::new(Directory(self.folder.clone())))
    }

    /// The path of a segment's file.
    fn path(&self, kind: FileKind, first: u64) -> PathBuf {
        self.folder.join(kind.name(first))
    }

    fn files(&self) -> io::Result<Files> {
        let mut files = Files::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            if let Some((first, kind)) = name.to_str().and_then(FileKind::parse) {
                files.entry(first).or_default().insert(kind);
            }
        }
        Ok(files)
    }

    fn read(&self, first: u64) -> io::Result<Sealed> {
        let index = fs::read(self.path(FileKind::Index, first))?;
        let brief: Brief = serde_json::from_slice(&index)?;
        Ok(Sealed {
            first,
            last: brief.last,
            first_at: brief.first_at,
            last_at: brief.last_at,
            bytes: self.size(FileKind::Sealed, first)? + index.len() as u64,
        })
    }

    fn size(&self, kind: FileKind, first: u64) -> io::Result<u64> {
        Ok(fs::metadata(self.path(kind, first))?.len())
    }

    fn find_oldest(&mut self, files: &Files) -> io::Result<()> {
        let Some((&first, _)) = files.first_key_value() else {
            self.oldest = None;
            return Ok(());
        };
        if self.oldest.is_some_and(|(known, _)| known == first) {
            return Ok(());
        }
        self.oldest = match self.sealed.get(&first) {
            Some(segment) => Some((first, segment.first_at)),
            None => self
                .first_of(FileKind::Raw, first)?
                .map(|it| (first, it.at)),
        };
        Ok(())
    }

    fn first_of(&self, kind: FileKind, first: u64) -> io::Result<Option<Record>> {
        let segment = Stored { first, kind };
        let record = reader::segment_records(&self.archive()?, &segment).next();
        record.transpose().map_err(io::Error::other)
    }
}

/// Whether there is more of a segment than its index.
fn has_lines(kinds: &BTreeSet<FileKind>) -> bool {
    kinds.iter().any(|kind| *kind != FileKind::Index)
}

/// Whether one of the lines has the text.
fn names(blocks: Blocks, text: &str) -> io::Result<bool> {
    for block in blocks {
        if memchr::memmem::find(&block?.bytes, text.as_bytes()).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
