//! The way through a log, record by record.

mod end;
mod links;

use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::archive::{self, Archive, Stored};
use super::super::files::FileKind;
use super::super::index::Index;
use super::super::{Hash, Head};
use super::anchors::Anchors;
use super::contents::{Contents, difference};
use super::fault::{Fault, FaultKind, Place};
use super::gaps::Gaps;
use super::ledger::{Ledger, Objection};
use super::line::Line;
use super::reading::{Lines, Piece};
use super::report::{Moment, Report};
use super::signatures::Signatures;
use super::stretches::Stretches;
use super::torn::Torn;
use super::{Demands, Progress};

/// Faults that are kept beyond which nobody reads.
const MANY: usize = 1000;
/// Clocks of batches differ a little; a step back above this is worth a word. In seconds.
const STEP_BACK: i64 = 60;

/// Why a verification does not go on.
pub(super) enum Stop {
    /// The chain is broken.
    Fault(Box<Fault>),
    /// The log cannot be read.
    Io(io::Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A verification under way.
pub(super) struct Walk<'a> {
    archive: &'a Archive,
    demands: &'a Demands,
    /// The last record; none before the first.
    head: Option<Head>,
    /// Where that is.
    place: Place,
    /// The segment that is read.
    segment: Stored,
    /// Where its next record is.
    here: Place,
    /// The segment before it that has records.
    before: Option<u64>,
    contents: Contents,
    ledger: Ledger,
    signatures: Signatures,
    gaps: Gaps,
    stretches: Stretches,
    anchors: Anchors,
    /// Whether the copy of the last checkpoint is there.
    has_copy: bool,
    torn: Torn,
    /// Records with a time long before that of the record before them.
    steps_back: u64,
    report: Report,
    done: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(archive: &'a Archive, demands: &'a Demands) -> Self {
        let segment = Stored {
            first: 0,
            kind: FileKind::Raw,
        };
        Self {
            archive,
            demands,
            head: None,
            place: Place::default(),
            segment,
            here: Place::default(),
            before: None,
            contents: Contents::new(0),
            ledger: Ledger::default(),
            signatures: Signatures::new(&demands.keys),
            gaps: Gaps::default(),
            stretches: Stretches::default(),
            anchors: Anchors::given(&demands.heads),
            has_copy: false,
            torn: Torn::default(),
            steps_back: 0,
            report: Report {
                log: archive.source().name(),
                keys_given: !demands.keys.is_empty(),
                ..Report::default()
            },
            done: 0,
        }
    }

    /// Takes the copy of the last checkpoint.
    pub(super) fn begin(&mut self, copy: Option<&[u8]>) {
        self.has_copy = copy.is_some();
        if let Some(line) = copy
            && let Err(fault) = self.anchors.copy(line, self.archive.source().lags())
        {
            self.report.faults.push(fault);
        }
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            segments: self.done,
            of: self.archive.segments().len(),
            bytes: self.report.bytes,
        }
    }

    pub(super) fn piece(&mut self, piece: Piece) -> Result<(), Stop> {
        match piece {
            Piece::Segment(segment) => self.open(segment),
            Piece::Lines(lines) => self.lines(&lines)?,
            Piece::Endless(what) => {
                self.here.line += 1;
                return Err(self.no_record(&what).into());
            }
            Piece::Damaged(what) => return Err(self.damaged(&what).into()),
            Piece::End => self.close()?,
        }
        Ok(())
    }

    fn open(&mut self, segment: Stored) {
        self.segment = segment;
        self.here = Place {
            file: segment.file().into(),
            line: 0,
        };
        self.contents = Contents::new(segment.first);
    }

    fn lines(&mut self, lines: &Lines) -> Result<(), Stop> {
        self.report.bytes += lines.block.bytes.len() as u64;
        let each = lines.block.lines().zip(&lines.hashes);
        for (number, (line, hash)) in each.enumerate() {
            self.here.line += 1;
            let read = Line::read(line).map_err(|why| self.no_record(&why))?;
            if read.seq() == u64::MAX {
                return Err(self.no_record("no record has this number").into());
            }
            let at = read
                .at()
                .ok_or_else(|| self.no_record("its time is none"))?;
            if number == 0 {
                self.contents.frame(lines, read.seq(), at);
            }
            self.link(&read, line)?;
            self.arrive(read.seq(), *hash, at)?;
            self.take(&read, line)?;
        }
        match lines.block.is_whole() {
            true => Ok(()),
            false => self.unfinished(),
        }
    }

    /// The number that the next record must have.
    fn due(&self) -> u64 {
        self.head
            .map_or(self.segment.first, |head| head.seq.saturating_add(1))
    }

    fn no_record(&self, why: &str) -> Fault {
        let due = self.due();
        let what = format!("the line is not a record: {why}");
        let means = format!("record {due} was changed");
        self.here.fault(FaultKind::NotARecord, due, what, means)
    }

    fn damaged(&self, what: &str) -> Fault {
        let due = self.due();
        let what = format!("the file does not decompress: {what}");
        let means =
            format!("the file was changed or cut; what it holds from record {due} on is lost");
        self.here.fault(FaultKind::Damaged, due, what, means)
    }

    /// A line without an end: at the end of the last segment one is being written, or was cut.
    fn unfinished(&mut self) -> Result<(), Stop> {
        let last = self.archive.segments().last();
        let is_last = last.is_some_and(|last| last.first == self.segment.first);
        if is_last && self.segment.kind == FileKind::Raw {
            self.note("the last line has no end: it is being written, or a crash cut it; the next start sets it aside");
            return Ok(());
        }
        let place = Place {
            line: self.here.line + 1,
            ..self.here.clone()
        };
        let due = self.due();
        let what = "the segment's last line has no end";
        let means = format!("record {due} was cut, and perhaps others behind it");
        Err(place.fault(FaultKind::Torn, due, what, means).into())
    }

    /// A record is linked to what comes before.
    fn arrive(&mut self, seq: u64, hash: Hash, at: Timestamp) -> Result<(), Fault> {
        let head = Head { seq, hash };
        let moment = Moment { seq, at };
        if let Some(last) = self.report.last {
            let back = last.at.as_second() - at.as_second();
            self.steps_back += u64::from(back > STEP_BACK);
        }
        self.report.first.get_or_insert(moment);
        self.report.last = Some(moment);
        self.report.records += 1;
        self.head = Some(head);
        if !Arc::ptr_eq(&self.place.file, &self.here.file) {
            self.place.file = Arc::clone(&self.here.file);
        }
        self.place.line = self.here.line;
        self.anchors.check(head, &self.here)
    }

    /// Takes what a record says.
    fn take(&mut self, line: &Line<'_>, bytes: &[u8]) -> Result<(), Fault> {
        let record = match line {
            Line::Statement(look) => {
                match self.ledger.statement(look) {
                    Ok(origin) => {
                        if self.contents.connection(origin) {
                            let session = origin.session;
                            self.ledger.sessions.insert(session);
                        }
                    }
                    Err(objection) => self.object(look.seq, objection),
                }
                return Ok(());
            }
            Line::Other(record) => record,
        };
        let about = record.event.about();
        self.ledger.sessions.extend(about.session);
        self.contents.about(&about);
        self.torn.note(&record.event);
        if let Err(objection) = self.ledger.event(&record.event) {
            self.object(record.seq, objection);
        }
        self.gaps.claim(record);
        match self.signatures.checkpoint(bytes, record, &self.here)? {
            true => self.gaps.sign(),
            false => Ok(()),
        }
    }

    fn object(&mut self, seq: u64, (what, means): Objection) {
        let fault = self.here.fault(FaultKind::Incomplete, seq, what, means);
        self.add(fault);
    }

    fn add(&mut self, fault: Fault) {
        if self.report.faults.len() < MANY {
            self.report.faults.push(fault);
        }
    }

    fn note(&mut self, note: impl Into<String>) {
        self.report.notes.push(note.into());
    }

    /// The segment has ended.
    fn close(&mut self) -> Result<(), Stop> {
        self.done += 1;
        if self.here.line == 0 {
            return match self.segment.kind {
                FileKind::Sealed => Err(self.damaged("there is nothing in it").into()),
                // Begun before a crash, and then nothing came into it.
                _ => Ok(()),
            };
        }
        self.report.segments += 1;
        self.before = Some(self.segment.first);
        if self.segment.kind == FileKind::Sealed {
            self.check_index()?;
        }
        Ok(())
    }

    fn check_index(&mut self) -> io::Result<()> {
        let name = FileKind::Index.name(self.segment.first);
        let read = archive::read_index(self.archive.source(), self.segment.first);
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !self.demands.part {
                    self.note(format!(
                        "{name} is not there: searches read the whole segment"
                    ));
                }
                return Ok(());
            }
            // Too large to be one.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Vec::new(),
            Err(error) => return Err(error),
        };
        let place = Place {
            file: name.into(),
            line: 0,
        };
        let means = "searches that rely on it may miss records; the records themselves are judged by themselves";
        let first = self.segment.first;
        let fault = |what: &str| place.fault(FaultKind::Index, first, what, means);
        let fault = match Index::parse(&bytes) {
            Ok(found) => self.compare(&found, &bytes).map(|what| {
                let what = format!("the index is not that of its segment: it differs in {what}");
                fault(&what)
            }),
            Err(_) => Some(fault("the file is not an index")),
        };
        if let Some(fault) = fault {
            self.add(fault);
        }
        Ok(())
    }

    /// What is wrong with an index.
    fn compare(&mut self, found: &Index, bytes: &[u8]) -> Option<&'static str> {
        self.ledger.adopt(&found.open);
        let contents = std::mem::replace(&mut self.contents, Contents::new(0));
        let (head, last) = (self.head?, self.report.last?);
        let made = contents.finish(head, last.at, self.ledger.open.clone());
        if *found != made {
            return Some(difference(found, &made));
        }
        let written = serde_json::to_vec(&made).ok()?;
        let same = bytes.strip_suffix(b"\n") == Some(&written[..]);
        (!same).then_some("how it is written")
    }
}
