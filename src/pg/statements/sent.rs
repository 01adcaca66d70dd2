//! What the client sends: how far it may be forwarded, and what must be recorded first.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::time::Instant;

use super::parts::Long;
use super::queue::{Expected, Running};
use super::redefine::redefines;
use super::{Fact, Kind, Outcome, Parameter, Source, Started, Tracker, Violation, WHOLE};
use crate::pg::frame::{self, HEADER};
use crate::pg::frontend::{self, FunctionCall, Subject, Value};

/// PostgreSQL keeps this many bytes of a name (`NAMEDATALEN - 1`): two names that begin alike are
/// one to it, so they are one here.
const NAME: usize = 63;
/// Messages that may wait for the Sync that ends a skipped group.
const MAX_SKIPPED: usize = 1024;
/// Bytes of facts that one breath may make: what small messages refer to is repeated in each, so
/// a few of them can weigh much.
const MAX_WEIGHT: usize = 256 * 1024;

/// Where the client's stream stands.
#[derive(Debug, Default)]
pub(super) enum Outgoing {
    /// Between two messages.
    #[default]
    Boundary,
    /// In the middle of a CopyData.
    Copy { left: u64 },
    /// In the middle of a message that is recorded in parts.
    Long(Box<Long>),
}

/// A name as PostgreSQL keeps it.
pub(super) fn name(name: &[u8]) -> Bytes {
    match name {
        [] => Bytes::new(),
        name => Bytes::copy_from_slice(name.get(..NAME).unwrap_or(name)),
    }
}

impl Tracker {
    /// Reads what the client sent, from where the last call stopped. Returns how many bytes may be
    /// forwarded once `facts` are recorded. Of the rest nothing may: it is not there whole yet, it
    /// comes behind a goodbye, it is a [`Tracker::violation`], or `facts` weigh enough already and
    /// it is to be read in another call.
    pub fn sent(&mut self, bytes: &[u8], now: Instant, facts: &mut Vec<Fact>) -> usize {
        let (mut taken, mut weighed, mut weight) = (0, facts.len(), 0);
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty())
            && !self.terminated
            && weight < MAX_WEIGHT
        {
            match self.step(rest, now, facts) {
                Ok(0) => break,
                Ok(step) => taken += step,
                Err(violation) => {
                    self.violation = Some(violation);
                    break;
                }
            }
            weight += facts.iter().skip(weighed).map(Fact::weight).sum::<usize>();
            weighed = facts.len();
        }
        self.settle(facts);
        if self.skipping && self.queue.replies() > MAX_SKIPPED {
            self.skip(facts);
        }
        taken
    }

    /// Takes the next message, or a piece of one. 0: it is not there yet.
    fn step(
        &mut self,
        rest: &[u8],
        now: Instant,
        facts: &mut Vec<Fact>,
    ) -> Result<usize, Violation> {
        if let Some(violation) = self.violation {
            return Err(violation);
        }
        match std::mem::take(&mut self.outgoing) {
            Outgoing::Boundary => self.message(rest, now, facts),
            Outgoing::Copy { left } => Ok(self.copy_data(rest, left)),
            Outgoing::Long(long) => Ok(self.long(long, rest, now, facts)),
        }
    }

    /// Records what was parsed or bound in this breath and not executed.
    pub(super) fn settle(&mut self, facts: &mut Vec<Fact>) {
        self.settle_parsed(facts);
        self.settle_bound(facts);
    }

    pub(super) fn settle_parsed(&mut self, facts: &mut Vec<Fact>) {
        if let Some(definition) = self.parsed.take() {
            let statement = self.number();
            let source = Source {
                sql: definition.sql.clone(),
                types: definition.types.clone(),
                prepared: None,
                name: definition.name.clone(),
            };
            definition.recorded.store(statement, Ordering::Relaxed);
            facts.push(Fact::Prepared {
                statement,
                source,
                parts: 0,
            });
        }
    }

    pub(super) fn settle_bound(&mut self, facts: &mut Vec<Fact>) {
        if let Some(portal) = self.bound.take() {
            let statement = self.number();
            let fact = Fact::Bound {
                statement,
                source: portal.source(),
                portal: portal.name.clone(),
                parameters: portal.parameters.clone(),
                parts: 0,
            };
            portal.recorded.store(statement, Ordering::Relaxed);
            facts.push(fact);
        }
    }

    /// Takes one message, or the head of one that is not kept whole. 0: it is not there yet.
    fn message(
        &mut self,
        rest: &[u8],
        now: Instant,
        facts: &mut Vec<Fact>,
    ) -> Result<usize, Violation> {
        let Some(header) = frame::frontend_header(rest)? else {
            return Ok(0);
        };
        if header.tag == b'd' {
            if !self.stale_copy {
                self.sent_copy.get_or_insert_default();
            }
            self.begin_copy_data(header.body);
            return Ok(HEADER);
        }
        let len = usize::try_from(header.body).unwrap_or(usize::MAX);
        if len > WHOLE {
            return self.begin_long(header, rest);
        }
        let Some(body) = rest.get(HEADER..HEADER + len) else {
            return Ok(0);
        };
        self.whole(header.tag, body, now, facts)?;
        Ok(HEADER + len)
    }

    fn whole(
        &mut self,
        tag: u8,
        body: &[u8],
        now: Instant,
        facts: &mut Vec<Fact>,
    ) -> Result<(), Violation> {
        let malformed = |_| Violation::Malformed(tag);
        if !matches!(tag, b'c' | b'f') {
            self.stale_copy = false;
        }
        match tag {
            b'Q' => self.query(frontend::query(body).map_err(malformed)?, now, facts),
            b'P' => self.parse(frontend::parse(body).map_err(malformed)?, now, facts),
            b'B' => self.bind(&frontend::bind(body).map_err(malformed)?, now, facts),
            b'E' => self.execute(frontend::execute(body).map_err(malformed)?, now, facts),
            b'F' => {
                let call = frontend::function_call(body).map_err(malformed)?;
                self.function_call(&call, now, facts);
            }
            b'D' => {
                frontend::subject(body).map_err(malformed)?;
                self.expect(Expected::Describe);
            }
            b'C' => self.close(frontend::subject(body).map_err(malformed)?),
            b'S' if body.is_empty() => self.sync(),
            b'X' if body.is_empty() => self.terminated = true,
            b'H' if body.is_empty() => {}
            b'c' if body.is_empty() => self.copy_end(),
            b'f' => self.copy_end(),
            tag => return Err(Violation::Malformed(tag)),
        }
        Ok(())
    }

    /// Queues what a message should produce.
    pub(super) fn expect(&mut self, expected: Expected) {
        self.queue.push(expected);
    }

    /// Nothing that waits will be answered: the upstream ignores it up to the next Sync.
    fn skip(&mut self, facts: &mut Vec<Fact>) {
        while let Some(expected) = self.queue.pop() {
            self.undone(&expected, Outcome::Skipped, facts);
        }
    }

    fn query(&mut self, sql: &[u8], now: Instant, facts: &mut Vec<Fact>) {
        let statement = self.number();
        let sql = Some(Bytes::copy_from_slice(sql));
        self.start_query(statement, sql, 0, now, facts);
    }

    pub(super) fn start_query(
        &mut self,
        statement: u64,
        sql: Option<Bytes>,
        parts: u64,
        now: Instant,
        facts: &mut Vec<Fact>,
    ) {
        self.settle(facts);
        self.begin(self.knows_names() && sql.as_ref().is_none_or(|sql| redefines(sql)));
        let source = Source {
            sql,
            ..Source::default()
        };
        let mut started = Started::new(statement, Kind::Simple, source);
        started.parts = parts;
        facts.push(Fact::Started(started));
        let running = Running::new(statement, now);
        self.expect(Expected::Simple(running));
        self.group += 1;
    }

    fn function_call(&mut self, call: &FunctionCall<'_>, now: Instant, facts: &mut Vec<Fact>) {
        let statement = self.number();
        let arguments = parameters(&call.arguments, &[]);
        self.start_function_call(statement, call.function, arguments, 0, now, facts);
    }

    pub(super) fn start_function_call(
        &mut self,
        statement: u64,
        function: u32,
        arguments: Vec<Parameter>,
        parts: u64,
        now: Instant,
        facts: &mut Vec<Fact>,
    ) {
        self.settle(facts);
        self.begin(false);
        let mut started = Started::new(statement, Kind::FunctionCall, Source::default());
        started.function = Some(function);
        started.parameters = arguments;
        started.parts = parts;
        facts.push(Fact::Started(started));
        let running = Running::new(statement, now);
        self.expect(Expected::FunctionCall(running));
        self.group += 1;
    }

    fn close(&mut self, subject: Subject<'_>) {
        let expected = match subject {
            Subject::Statement(statement) => {
                let statement = name(statement);
                self.statements.propose(&statement, self.group, None);
                Expected::CloseStatement(statement)
            }
            Subject::Portal(portal) => {
                let portal = name(portal);
                self.portals.propose(&portal, self.group, None);
                Expected::ClosePortal(portal)
            }
        };
        self.expect(expected);
    }

    fn sync(&mut self) {
        self.queue.push(Expected::Sync);
        self.group += 1;
    }

    fn begin_copy_data(&mut self, len: u64) {
        if len > 0 {
            self.outgoing = Outgoing::Copy { left: len };
        }
    }

    fn copy_data(&mut self, rest: &[u8], left: u64) -> usize {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        let data = rest.get(..take).unwrap_or(rest);
        if let Some(copy) = &mut self.sent_copy {
            copy.update(data);
        }
        self.begin_copy_data(left - data.len() as u64);
        data.len()
    }

    /// CopyDone or CopyFail.
    fn copy_end(&mut self) {
        let copied = self.sent_copy.take().unwrap_or_default();
        if !self.stale_copy {
            self.queue.push(Expected::CopyEnd(copied.finish(true)));
        }
    }

    /// A statement begins: CopyData before it was nobody's, and its text may change what names
    /// stand for.
    pub(super) fn begin(&mut self, redefines: bool) {
        self.sent_copy = None;
        if redefines {
            self.statements.forget_named();
            self.portals.forget_named();
        }
    }
}

impl Fact {
    /// About how many bytes its record takes.
    fn weight(&self) -> usize {
        // A character that JSON escapes takes six.
        let text = |source: &Source| 6 * source.sql.as_ref().map_or(0, Bytes::len);
        let values = |all: &[Parameter]| 2 * all.iter().map(Parameter::held).sum::<usize>();
        256 + match self {
            Self::Prepared { source, .. } => text(source),
            Self::Bound {
                source, parameters, ..
            } => text(source) + values(parameters),
            Self::Started(it) => text(&it.source) + values(&it.parameters),
            Self::Part(it) => 2 * it.data.len(),
            Self::Results { .. } | Self::Finished(_) | Self::CommitFailed { .. } => 0,
        }
    }
}

pub(super) fn parameters(values: &[Value<'_>], types: &[u32]) -> Vec<Parameter> {
    let oid = |i: usize| types.get(i).copied().unwrap_or(0);
    values
        .iter()
        .enumerate()
        .map(|(i, value)| match value {
            Value::Null => Parameter::Null,
            Value::Text(text) => Parameter::Text(Bytes::copy_from_slice(text)),
            Value::Binary(bytes) => Parameter::Binary(oid(i), Bytes::copy_from_slice(bytes)),
        })
        .collect()
}
