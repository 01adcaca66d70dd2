//! What the upstream answers, and what became of which statement.

use bytes::Bytes;

use super::queue::{Expected, Running};
use super::{CopyHash, Fact, Finished, Lost, Outcome, Tally, Tracker, set};
use crate::pg::frame::{self, FrameError, HEADER};
use crate::pg::reader::Reader;

/// Of messages that are looked into, this much is: the fields that matter come first.
const PREFIX: usize = 1024;
/// Command tags that one fact holds.
const MAX_TAGS: usize = 64;

/// Where the upstream's stream stands.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// The beginning of a header that was cut.
    header: Vec<u8>,
    tag: u8,
    /// Bytes of the current message that are still to come.
    left: u64,
    /// The beginning of a message that was cut, if it is one that is looked into.
    prefix: Vec<u8>,
    tally: Tally,
    /// A COPY to the client.
    copy_out: Option<CopyHash>,
    /// A COPY from the client.
    copy_in: bool,
    /// The last statement that completed, for a commit that fails after it.
    completed: u64,
}

impl Incoming {
    pub(super) fn at_boundary(&self) -> bool {
        self.left == 0 && self.header.is_empty()
    }
}

/// Messages whose body says something about a statement.
fn is_looked_into(tag: u8) -> bool {
    matches!(tag, b'C' | b'E' | b'Z')
}

impl Tracker {
    /// Reads what the upstream answered. Returns the end of the last whole message in `bytes`, if
    /// one ends there: where something of ours may be put in.
    ///
    /// # Errors
    /// [`Lost`]: the stream cannot be followed any further.
    pub fn received(&mut self, bytes: &[u8], facts: &mut Vec<Fact>) -> Result<Option<usize>, Lost> {
        let mut boundary = None;
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            at += if self.incoming.left == 0 {
                self.reply_header(rest)
                    .map_err(|error| Lost { at, error })?
            } else {
                self.reply_body(rest)
            };
            if self.incoming.at_boundary() {
                self.reply_end(facts);
                boundary = Some(at);
            }
        }
        Ok(boundary)
    }

    fn reply_header(&mut self, rest: &[u8]) -> Result<usize, FrameError> {
        let incoming = &mut self.incoming;
        let have = incoming.header.len();
        let header = if have == 0
            && let Some(header) = frame::header(rest)?
        {
            header
        } else {
            let missing = rest.get(..HEADER - have).unwrap_or(rest);
            incoming.header.extend_from_slice(missing);
            match frame::header(&incoming.header)? {
                Some(header) => header,
                None => return Ok(missing.len()),
            }
        };
        incoming.header.clear();
        incoming.tag = header.tag;
        incoming.left = header.body;
        incoming.prefix.clear();
        incoming.tally.bytes += header.body + HEADER as u64;
        self.reply_begin();
        Ok(HEADER - have)
    }

    fn reply_begin(&mut self) {
        match self.incoming.tag {
            b'D' => self.incoming.tally.rows += 1,
            b'H' | b'W' => self.incoming.copy_out = Some(CopyHash::default()),
            _ => {}
        }
    }

    fn reply_body(&mut self, rest: &[u8]) -> usize {
        let incoming = &mut self.incoming;
        let take = usize::try_from(incoming.left)
            .unwrap_or(usize::MAX)
            .min(rest.len());
        let data = rest.get(..take).unwrap_or(rest);
        incoming.left -= data.len() as u64;
        if is_looked_into(incoming.tag) {
            let room = PREFIX.saturating_sub(incoming.prefix.len());
            incoming
                .prefix
                .extend_from_slice(data.get(..room).unwrap_or(data));
        } else if incoming.tag == b'd'
            && let Some(copy) = &mut incoming.copy_out
        {
            copy.update(data);
        }
        data.len()
    }

    fn reply_end(&mut self, facts: &mut Vec<Fact>) {
        let prefix = std::mem::take(&mut self.incoming.prefix);
        if self.skipping || self.doubt {
            self.resolve_doubt(facts);
        }
        match self.incoming.tag {
            b'1' => self.parse_complete(facts),
            b'2' => self.bind_complete(facts),
            b'3' => self.close_complete(),
            b'T' | b'n' => _ = self.queue.pop_if(|it| matches!(it, Expected::Describe)),
            b'C' => self.command_complete(&prefix, facts),
            b'I' => self.executed(Outcome::Completed, facts),
            b's' => self.executed(Outcome::Suspended, facts),
            b'G' => self.incoming.copy_in = true,
            b'E' => self.error(sqlstate(&prefix), facts),
            b'Z' => self.ready(prefix.first().copied(), facts),
            _ => {}
        }
        // Keeps its room for the next message.
        self.incoming.prefix = prefix;
        self.incoming.prefix.clear();
    }

    /// After a COPY that failed, which of the client's Syncs the upstream has ignored is known by
    /// what it answers next: a Sync that another reply overtakes was one of them.
    fn resolve_doubt(&mut self, facts: &mut Vec<Fact>) {
        if !is_answer(self.incoming.tag) {
            return;
        }
        self.skipping = false;
        if !self.doubt {
            return;
        }
        while let Some(front) = self.queue.front() {
            if answers(self.incoming.tag, front) {
                break;
            }
            if let Some(overtaken) = self.queue.pop() {
                self.undone(&overtaken, Outcome::Unknown, facts);
            }
            // What was in doubt may have been run: no name is sure.
            self.statements.forget_named();
            self.statements.forget_unnamed();
            self.portals.forget_confirmed();
        }
        self.doubt = !self.queue.is_empty();
    }

    fn parse_complete(&mut self, facts: &mut Vec<Fact>) {
        if let Some(Expected::Parse(definition)) =
            self.queue.pop_if(|it| matches!(it, Expected::Parse(_)))
        {
            self.statements.confirm(&definition.name);
            if let Some(statement) = set(&definition.recorded) {
                self.finish(
                    Running::new(statement, definition.sent),
                    Outcome::Completed,
                    facts,
                );
            }
        }
    }

    fn bind_complete(&mut self, facts: &mut Vec<Fact>) {
        if let Some(Expected::Bind(portal)) =
            self.queue.pop_if(|it| matches!(it, Expected::Bind(_)))
        {
            self.portals.confirm(&portal.name);
            if let Some(statement) = set(&portal.recorded) {
                self.finish(
                    Running::new(statement, portal.sent),
                    Outcome::Completed,
                    facts,
                );
            }
        }
    }

    fn close_complete(&mut self) {
        let closed = self
            .queue
            .pop_if(|it| matches!(it, Expected::CloseStatement(_) | Expected::ClosePortal(_)));
        match closed {
            Some(Expected::CloseStatement(name)) => self.statements.confirm(&name),
            Some(Expected::ClosePortal(name)) => self.portals.confirm(&name),
            _ => {}
        }
    }

    fn command_complete(&mut self, body: &[u8], facts: &mut Vec<Fact>) {
        let tag = body.split(|&byte| byte == 0).next().unwrap_or(body);
        match tag {
            // SQL has changed what names stand for.
            b"PREPARE" | b"DEALLOCATE" | b"DEALLOCATE ALL" => self.statements.forget_named(),
            b"DECLARE CURSOR" | b"CLOSE CURSOR" | b"CLOSE CURSOR ALL" => {
                self.portals.forget_named();
            }
            b"DISCARD ALL" => {
                self.statements.forget_named();
                self.portals.forget_named();
            }
            _ => {}
        }
        self.end_copies(true);
        let simple = match self.queue.front() {
            Some(Expected::Simple(running)) => Some(running.statement),
            Some(Expected::Execute(_)) => None,
            // Nobody asked for it.
            _ => return,
        };
        let tally = &mut self.incoming.tally;
        tally.tags.push(Bytes::copy_from_slice(tag));
        let Some(statement) = simple else {
            return self.executed(Outcome::Completed, facts);
        };
        if tally.tags.len() >= MAX_TAGS {
            facts.push(Fact::Results {
                statement,
                tags: std::mem::take(&mut tally.tags),
                copies: std::mem::take(&mut tally.copies),
            });
        }
    }

    /// The COPY that has just ended, if one has, goes into the tally.
    fn end_copies(&mut self, well: bool) {
        let incoming = &mut self.incoming;
        let out = incoming.copy_out.take().map(|copy| copy.finish(false));
        if std::mem::take(&mut incoming.copy_in) {
            let copied = self.queue.end_copy_in(well);
            // The upstream gave up before the client was done: the rest of its data is ignored.
            self.stale_copy = copied.is_none();
            let unfinished = || self.sent_copy.take().map(|copy| copy.finish(true));
            incoming.tally.copies.extend(copied.or_else(unfinished));
            self.doubt |= !well;
        }
        if self.queue.front().is_some() {
            incoming.tally.copies.extend(out);
        }
    }

    fn executed(&mut self, outcome: Outcome, facts: &mut Vec<Fact>) {
        if let Some(Expected::Execute(running)) =
            self.queue.pop_if(|it| matches!(it, Expected::Execute(_)))
        {
            self.incoming.completed = running.statement;
            self.finish(running, outcome, facts);
        }
    }

    fn error(&mut self, sqlstate: [u8; 5], facts: &mut Vec<Fact>) {
        self.end_copies(false);
        match self.queue.front() {
            Some(Expected::Simple(_) | Expected::FunctionCall(_)) => {
                self.incoming.tally.sqlstate = Some(sqlstate);
            }
            Some(Expected::Sync) => facts.push(Fact::CommitFailed {
                statement: self.incoming.completed,
                sqlstate,
            }),
            Some(_) => self.fail_group(sqlstate, facts),
            None => {}
        }
    }

    /// An error in the extended protocol: the upstream skips everything up to the next Sync. The
    /// first of what is skipped that has a record of its own bears the error.
    fn fail_group(&mut self, sqlstate: [u8; 5], facts: &mut Vec<Fact>) {
        self.incoming.tally.sqlstate = Some(sqlstate);
        let mut outcome = Outcome::Failed;
        while let Some(expected) = self.queue.pop_if(|it| !matches!(it, Expected::Sync)) {
            if self.undone(&expected, outcome, facts) {
                outcome = Outcome::Skipped;
            }
        }
        self.incoming.tally = Tally::default();
        self.skipping = self.queue.is_empty();
    }

    /// What was asked for was not done. Whether it had a record, which is finished now.
    pub(super) fn undone(
        &mut self,
        expected: &Expected,
        outcome: Outcome,
        facts: &mut Vec<Fact>,
    ) -> bool {
        let running = match expected {
            Expected::Parse(definition) => {
                self.statements.reject(&definition.name);
                if outcome == Outcome::Failed && definition.name.is_empty() {
                    // PostgreSQL drops the unnamed statement before it parses the new one.
                    self.statements.forget_unnamed();
                }
                set(&definition.recorded).map(|number| Running::new(number, definition.sent))
            }
            Expected::Bind(portal) => {
                self.portals.reject(&portal.name);
                set(&portal.recorded).map(|number| Running::new(number, portal.sent))
            }
            Expected::CloseStatement(name) => {
                self.statements.reject(name);
                None
            }
            Expected::ClosePortal(name) => {
                self.portals.reject(name);
                None
            }
            Expected::Execute(running)
            | Expected::Simple(running)
            | Expected::FunctionCall(running) => Some(*running),
            Expected::Describe | Expected::Sync | Expected::CopyEnd(_) => None,
        };
        if let Some(running) = running {
            self.finish(running, outcome, facts);
        }
        running.is_some()
    }

    fn ready(&mut self, status: Option<u8>, facts: &mut Vec<Fact>) {
        while let Some(expected) = self.queue.pop() {
            match expected {
                Expected::Sync => break,
                Expected::Simple(running) | Expected::FunctionCall(running) => {
                    let failed = self.incoming.tally.sqlstate.is_some();
                    let outcome = if failed {
                        Outcome::Failed
                    } else {
                        Outcome::Completed
                    };
                    self.incoming.completed = running.statement;
                    self.finish(running, outcome, facts);
                    self.statements.forget_unnamed();
                    break;
                }
                skipped if self.skipping => _ = self.undone(&skipped, Outcome::Skipped, facts),
                // The upstream never answered it, against the protocol.
                unanswered => _ = self.undone(&unanswered, Outcome::Unknown, facts),
            }
        }
        self.skipping = false;
        self.doubt &= !self.queue.is_empty();
        self.incoming.tally = Tally::default();
        if status == Some(b'I') {
            // No transaction, so no portal.
            self.portals.forget_confirmed();
        }
    }

    fn finish(&mut self, running: Running, outcome: Outcome, facts: &mut Vec<Fact>) {
        let tally = match outcome {
            Outcome::Skipped => Tally::default(),
            _ => std::mem::take(&mut self.incoming.tally),
        };
        facts.push(Fact::Finished(Finished {
            statement: running.statement,
            outcome,
            started: running.started,
            tally,
        }));
    }
}

/// Messages that answer a request, unlike notices and notifications, and unlike ReadyForQuery,
/// which ends whatever is skipped.
fn is_answer(tag: u8) -> bool {
    matches!(
        tag,
        b'1' | b'2'
            | b'3'
            | b't'
            | b'T'
            | b'n'
            | b'D'
            | b'C'
            | b'I'
            | b's'
            | b'G'
            | b'H'
            | b'W'
            | b'V'
            | b'E'
    )
}

/// Whether a message with this tag may answer that request.
fn answers(tag: u8, request: &Expected) -> bool {
    match request {
        Expected::Parse(_) => matches!(tag, b'1' | b'E'),
        Expected::Bind(_) => matches!(tag, b'2' | b'E'),
        Expected::Describe => matches!(tag, b't' | b'T' | b'n' | b'E'),
        Expected::CloseStatement(_) | Expected::ClosePortal(_) => matches!(tag, b'3' | b'E'),
        Expected::Execute(_) => {
            matches!(tag, b'D' | b'C' | b'I' | b's' | b'G' | b'H' | b'W' | b'E')
        }
        Expected::Simple(_) => !matches!(tag, b'1' | b'2' | b'3' | b't' | b'n' | b's' | b'V'),
        Expected::FunctionCall(_) => matches!(tag, b'V' | b'E'),
        Expected::Sync | Expected::CopyEnd(_) => false,
    }
}

/// The code of an ErrorResponse; `XX000` (internal error) if it has none.
fn sqlstate(fields: &[u8]) -> [u8; 5] {
    let mut reader = Reader::new(fields);
    while let Ok(tag) = reader.u8() {
        let Ok(value) = reader.cstr() else { break };
        if tag == b'C'
            && let Ok(code) = value.try_into()
        {
            return code;
        }
    }
    *b"XX000"
}
