//! What is to be said after the last record.

use std::io;

use super::super::super::Head;
use super::super::super::files::HEAD;
use super::super::anchors;
use super::super::fault::{Fault, FaultKind, Place, are, records};
use super::super::report::Report;
use super::Walk;

impl Walk<'_> {
    /// After the last record, or after one that ended the verification with `fault`.
    pub(in super::super) fn finish(mut self, fault: Option<Fault>) -> io::Result<Report> {
        match fault {
            Some(fault) => self.report.faults.insert(0, fault),
            None => self.check_end()?,
        }
        // An index is no record: what is wrong with records comes first.
        let order = |fault: &Fault| (!fault.kind.is_of_records(), fault.seq);
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
            (Some(signed), Some(last)) => last.seq.saturating_sub(signed.seq),
            _ => report.records,
        };
        report.deleted = self.gaps.deleted();
        report.taken_over = self.stretches.count;
        report.taken_over_records = self.stretches.records;
        report.notes.extend(self.stretches.notes());
        report.head = self.head;
        Ok(report)
    }

    fn check_end(&mut self) -> io::Result<()> {
        let last = self.head.unwrap_or(Head::START).seq;
        let signed = self.signatures.signed.map(|signed| signed.seq);
        let mut faults = self.gaps.finish();
        match self.anchors.finish(last, &self.place) {
            Ok(note) => self.report.notes.extend(note),
            Err(fault) => faults.push(fault),
        }
        if !self.demands.keys.is_empty() && signed.is_none() {
            let first = self.report.first.map_or(1, |first| first.seq);
            faults.push(self.unsigned(first, last));
        } else if self.demands.closed && signed != Some(last) {
            faults.push(self.unsigned(signed.unwrap_or(0).saturating_add(1), last));
        }
        if self.demands.closed && !self.ledger.open.is_empty() {
            let what = "connections are open after the last record";
            let means = "the log has not come to its end, or its end was cut off";
            faults.push(self.place.fault(FaultKind::Incomplete, last, what, means));
        }
        faults.extend(self.check_copy(last)?);
        for fault in faults {
            self.add(fault);
        }
        self.remark()
    }

    /// Where there are checkpoints there is a copy of the last: who cuts the end off must not get
    /// away with taking that, too.
    fn check_copy(&mut self, last: u64) -> io::Result<Option<Fault>> {
        if self.has_copy || self.demands.part {
            return Ok(None);
        }
        let source = self.archive.source();
        // A copy elsewhere gets it last; a new log has had its first checkpoint just now.
        if source.lags() || self.signatures.checkpoints == 0 || anchors::copy(source)?.is_some() {
            self.note(
                "there is no HEAD beside the segments: whether the end was cut off, only --head can tell",
            );
            return Ok(None);
        }
        let place = Place {
            file: HEAD.into(),
            line: 0,
        };
        let what = "there is no HEAD beside the segments, and the log has checkpoints";
        let means = "HEAD was removed, perhaps with the end of the log, or could not be written (then hallpass's log says so)";
        let seq = last.saturating_add(1);
        Ok(Some(place.fault(FaultKind::Head, seq, what, means)))
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
