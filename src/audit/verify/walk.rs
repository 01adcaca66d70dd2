//! The way through a log, record by record.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::archive::{Archive, Stored};
use super::super::files::FileKind;
use super::super::index::Index;
use super::super::{Event, Hash, Head, Record};
use super::anchors::{Anchors, is_signed};
use super::contents::{Contents, difference};
use super::fault::{Fault, FaultKind, Place, are, records};
use super::gaps::Gaps;
use super::ledger::{Ledger, Objection};
use super::line::Line;
use super::reading::{Lines, Piece};
use super::report::{Moment, Report};
use super::signatures::Signatures;
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
    anchors: Anchors,
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
            anchors: Anchors::given(&demands.heads),
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
    pub(super) fn begin(&mut self, copy: Option<&[u8]>) -> Result<(), Stop> {
        match copy {
            Some(line) => {
                if let Err(fault) = self.anchors.copy(line) {
                    self.report.faults.push(fault);
                }
            }
            None if self.demands.part => {}
            None => self.note(
                "there is no HEAD beside the segments: whether the end was cut off, only --head can tell",
            ),
        }
        Ok(())
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
        self.head.map_or(self.segment.first, |head| head.seq + 1)
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

    /// Checks that a record follows the one before it.
    fn link(&mut self, line: &Line<'_>, bytes: &[u8]) -> Result<(), Fault> {
        if self.here.line == 1 {
            return self.begin_segment(line, bytes);
        }
        if let Line::Other(record) = line
            && matches!(record.event, Event::SegmentOpened { .. })
        {
            let what = "a segment begins in the middle of a file";
            let means = "two files were put together";
            let due = self.due();
            return Err(self.here.fault(FaultKind::Opening, due, what, means));
        }
        match self.head {
            Some(head) => self.follow(head, line, bytes),
            None => Ok(()),
        }
    }

    fn follow(&self, head: Head, line: &Line<'_>, bytes: &[u8]) -> Result<(), Fault> {
        let (seq, due) = (line.seq(), head.seq + 1);
        let follows = line.follows(&head.hash);
        if seq == due {
            return match follows {
                true => Ok(()),
                false => Err(self.broken(head, line, bytes)),
            };
        }
        let fault = |kind, what: String, means: &str| self.here.fault(kind, due, what, means);
        if follows {
            let what = format!("the record has number {seq} where {due} is due");
            let means = format!("record {due} was changed");
            return Err(fault(FaultKind::Sequence, what, &means));
        }
        if seq > due {
            let missing = records(due, seq - 1);
            let what = format!("{missing} {} missing before this one", are(due, seq - 1));
            let means = "deleted, lost, or moved elsewhere";
            return Err(fault(FaultKind::Missing, what, means).up_to(seq - 1));
        }
        let what = format!("record {seq} is here where {due} is due");
        let means =
            format!("record {seq} was put here a second time, or moved; perhaps others were too");
        Err(fault(FaultKind::Repeated, what, &means))
    }

    /// The record here is not linked to the one before it.
    fn broken(&self, head: Head, line: &Line<'_>, bytes: &[u8]) -> Fault {
        let seq = head.seq;
        let what = format!(
            "record {seq} is not the one that record {} was linked to when it was written",
            seq + 1
        );
        if let Line::Other(record) = line
            && self.vouches(record, bytes)
        {
            let means = format!("record {seq} was changed: the next one is signed");
            return self.place.fault(FaultKind::Chain, seq, what, means);
        }
        let means = format!(
            "record {seq} was changed, or the one after it, or all from there on were replaced"
        );
        let fault = self.place.fault(FaultKind::Chain, seq, what, means);
        fault.up_to(seq + 1)
    }

    /// Whether a record is a checkpoint of the log's own key: then it was not changed itself.
    fn vouches(&self, record: &Record, bytes: &[u8]) -> bool {
        let known = |key| self.signatures.keys.iter().any(|it| it.key == key);
        matches!(record.event, Event::Checkpoint { key, .. } if known(key))
            && is_signed(bytes, record) == Some(true)
    }

    /// The first record of a segment.
    fn begin_segment(&mut self, line: &Line<'_>, bytes: &[u8]) -> Result<(), Fault> {
        let first = self.segment.first;
        let due = self.head.map_or(1, |head| head.seq + 1);
        if line.seq() != first {
            return Err(self.misnamed(line));
        }
        if first < due {
            let what = format!("the segment begins with record {first}, which was there already");
            let means = "the file is a copy under another name, or of another log";
            return Err(self.here.fault(FaultKind::Repeated, due, what, means));
        }
        if first > due {
            self.skip(due, line)?;
        } else {
            self.follow(self.head.unwrap_or(Head::START), line, bytes)?;
        }
        self.check_opening(line)
    }

    fn misnamed(&self, line: &Line<'_>) -> Fault {
        let (first, due) = (self.segment.first, self.due());
        let seq = line.seq();
        let what = format!("the file's name says that record {first} is its first, and {seq} is");
        let head = self.head.unwrap_or(Head::START);
        let means = match line.follows(&head.hash) {
            true => format!("record {due} was changed, or the file was renamed"),
            false => {
                "the file was renamed, or swapped with another, or its beginning was cut off".into()
            }
        };
        let bad = due.min(first);
        self.here.fault(FaultKind::Name, bad, what, means)
    }

    /// Records up to this segment's first are not there.
    fn skip(&mut self, due: u64, line: &Line<'_>) -> Result<(), Fault> {
        let hash = line.prev().unwrap_or(Hash::NONE);
        let last = Head {
            seq: self.segment.first - 1,
            hash,
        };
        let known = self.demands.heads.contains(&last);
        let excused = self.head.is_none() && (self.demands.part || known);
        self.gaps.meet((due, last.seq), hash, &self.here, excused);
        self.report
            .notes
            .extend(self.anchors.pass(last, &self.here)?);
        self.ledger.gap();
        Ok(())
    }

    fn check_opening(&mut self, line: &Line<'_>) -> Result<(), Fault> {
        let seq = line.seq();
        let fault = |what: String, means| self.here.fault(FaultKind::Opening, seq, what, means);
        let (previous, key) = match line {
            Line::Other(record) => match record.event {
                Event::SegmentOpened { previous, key } => (previous, key),
                _ => {
                    return Err(fault(
                        "the segment does not begin with its opening".into(),
                        FORGED,
                    ));
                }
            },
            Line::Statement(_) => {
                return Err(fault(
                    "the segment does not begin with its opening".into(),
                    FORGED,
                ));
            }
        };
        let fits = match previous {
            None => seq == 1,
            Some(it) => Some(it) == self.before || self.gaps.has(it, seq),
        };
        if !fits {
            let says = previous.map_or("there is none".to_owned(), |it| {
                format!("it begins with record {it}")
            });
            return Err(fault(
                format!("of the segment before, this one says that {says}"),
                FORGED,
            ));
        }
        self.signatures.opened(key, seq, &self.here)
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
        self.gaps.declare(record)?;
        self.signatures.checkpoint(bytes, record, &self.here)
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
        let bytes = match self.archive.source().read(&name) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !self.demands.part {
                    self.note(format!(
                        "{name} is not there: searches read the whole segment"
                    ));
                }
                return Ok(());
            }
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

    /// After the last record, or after one that ended the verification with `fault`.
    pub(super) fn finish(mut self, fault: Option<Fault>) -> io::Result<Report> {
        match fault {
            Some(fault) => self.report.faults.insert(0, fault),
            None => self.check_end()?,
        }
        let order = |fault: &Fault| fault.seq;
        self.report.faults.sort_by_key(order);
        let mut report = self.report;
        report.sound = report.faults.is_empty();
        report.sessions = self.ledger.sessions.len() as u64;
        report.connections = self.ledger.connections;
        report.statements = self.ledger.statements;
        report.unknown_outcomes = self.ledger.unknown;
        report.crashed_connections = self.ledger.crashed;
        for (_, statements) in self.ledger.open.iter() {
            report.open_connections += 1;
            report.open_statements += statements.len() as u64;
        }
        report.checkpoints = self.signatures.checkpoints;
        report.keys = self.signatures.keys;
        report.signed = self.signatures.signed;
        report.unsigned = match (report.signed, report.last) {
            (Some(signed), Some(last)) => last.seq - signed.seq,
            _ => report.records,
        };
        report.deleted = self.gaps.deleted();
        report.head = self.head;
        Ok(report)
    }

    fn check_end(&mut self) -> io::Result<()> {
        let last = self.head.unwrap_or(Head::START).seq;
        let signed = self.signatures.signed.map(|signed| signed.seq);
        let end = self.anchors.finish(last, &self.place).err();
        let mut faults = self.gaps.finish(signed);
        faults.extend(end);
        if !self.demands.keys.is_empty() && signed.is_none() {
            let first = self.report.first.map_or(1, |first| first.seq);
            faults.push(self.unsigned(first, last));
        } else if self.demands.closed && signed != Some(last) {
            faults.push(self.unsigned(signed.unwrap_or(0) + 1, last));
        }
        if self.demands.closed && !self.ledger.open.is_empty() {
            let what = "connections are open after the last record";
            let means = "the log has not come to its end, or its end was cut off";
            faults.push(self.place.fault(FaultKind::Incomplete, last, what, means));
        }
        for fault in faults {
            self.add(fault);
        }
        self.remark()
    }

    fn unsigned(&self, first: u64, last: u64) -> Fault {
        let which = records(first, last);
        let what = format!("{which} {} not signed", are(first, last));
        let means = "anybody who could write to the log may have made or changed them";
        let fault = self.place.fault(FaultKind::Unsigned, first, what, means);
        fault.up_to(last)
    }

    /// What is odd and not wrong.
    fn remark(&mut self) -> io::Result<()> {
        let torn = self.torn.notes(self.archive.source())?;
        self.report.notes.extend(torn);
        if self.steps_back > 0 {
            let times = self.steps_back;
            self.note(format!(
                "the clock was set back by more than a minute, {times} times"
            ));
        }
        if self.ledger.refused > 0 {
            let refused = self.ledger.refused;
            self.note(format!(
                "{refused} statements were refused, because they could not be recorded"
            ));
        }
        if self.signatures.keys.len() > 1 {
            let keys: Vec<String> = self
                .signatures
                .keys
                .iter()
                .map(|it| format!("{} from record {} on", it.key, it.since))
                .collect();
            self.note(format!("more than one key signed: {}", keys.join(", ")));
        }
        Ok(())
    }
}

const FORGED: &str = "the file was changed, or put together from others";
