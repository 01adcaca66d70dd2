//! What the client sends: how far it may be forwarded, and what must be recorded first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::time::Instant;

use super::parts::Long;
use super::queue::{Expected, Running};
use super::redefine::redefines;
use super::{
    Definition, Fact, Kind, Outcome, Parameter, Portal, Source, Started, Tracker, Violation, WHOLE,
};
use crate::pg::frame::{self, HEADER};
use crate::pg::frontend::{self, Bind, FunctionCall, Parse, Subject, Value};

/// Texts up to this many bytes are repeated in each record of their execution; longer ones are
/// recorded once and referred to.
const INLINE: usize = 8 * 1024;
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
    Bytes::copy_from_slice(name.get(..NAME).unwrap_or(name))
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
    fn settle(&mut self, facts: &mut Vec<Fact>) {
        self.settle_parsed(facts);
        self.settle_bound(facts);
    }

    fn settle_parsed(&mut self, facts: &mut Vec<Fact>) {
        if let Some(definition) = self.parsed.take() {
            let statement = self.number();
            let source = Source {
                sql: definition.sql.clone(),
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

    fn settle_bound(&mut self, facts: &mut Vec<Fact>) {
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

    fn parse(&mut self, parse: Parse<'_>, now: Instant, facts: &mut Vec<Fact>) {
        self.settle(facts);
        let name = name(parse.name);
        let held = name.len() + parse.sql.len() + 4 * parse.types.len();
        let lease = (parse.sql.len() <= INLINE)
            .then(|| self.statement_budget.lease(held))
            .flatten();
        let sql = Bytes::copy_from_slice(parse.sql);
        let redefines = redefines(&sql);
        if lease.is_some() {
            self.parsed = Some(self.define(Definition {
                name,
                sql: Some(sql),
                types: parse.types,
                sent: now,
                redefines,
                recorded: AtomicU64::new(0),
                lease,
            }));
        } else {
            // Too much to keep: record it now, and keep where that is.
            let statement = self.number();
            let source = Source {
                sql: Some(sql),
                prepared: None,
                name: name.clone(),
            };
            facts.push(Fact::Prepared {
                statement,
                source,
                parts: 0,
            });
            self.define_recorded(name, parse.types, redefines, statement, now);
        }
    }

    /// Defines a text that is recorded under `statement` and not kept.
    pub(super) fn define_recorded(
        &mut self,
        name: Bytes,
        types: Vec<u32>,
        redefines: bool,
        statement: u64,
        now: Instant,
    ) {
        let lease = self.statement_budget.lease(name.len() + 4 * types.len());
        let types = if lease.is_some() { types } else { Vec::new() };
        self.define(Definition {
            name,
            sql: None,
            types,
            sent: now,
            redefines,
            recorded: AtomicU64::new(statement),
            lease,
        });
    }

    fn define(&mut self, definition: Definition) -> Arc<Definition> {
        let definition = Arc::new(definition);
        let kept = definition.lease.is_some().then(|| Arc::clone(&definition));
        self.statements.propose(&definition.name, self.group, kept);
        self.expect(Expected::Parse(Arc::clone(&definition)));
        definition
    }

    fn bind(&mut self, bind: &Bind<'_>, now: Instant, facts: &mut Vec<Fact>) {
        self.settle_bound(facts);
        let statement = name(bind.statement);
        let definition = self.statements.resolve(&statement, self.group);
        let types = definition.as_ref().map_or(&[][..], |it| &it.types);
        let parameters = parameters(&bind.parameters, types);
        let portal = name(bind.portal);
        let held = portal.len() + parameters.iter().map(Parameter::held).sum::<usize>();
        let portal = Portal {
            name: portal,
            statement,
            definition,
            parameters,
            sent: now,
            recorded: AtomicU64::new(0),
            executed: AtomicU64::new(0),
            lease: self.portal_budget.lease(held),
        };
        self.open_portal(portal, facts);
    }

    /// Opens a portal whose parameters are recorded under `statement` and not kept.
    pub(super) fn bind_recorded(
        &mut self,
        portal: Bytes,
        source: (Bytes, Option<Arc<Definition>>),
        statement: u64,
        now: Instant,
        facts: &mut Vec<Fact>,
    ) {
        let portal = Portal {
            lease: self.portal_budget.lease(portal.len()),
            name: portal,
            statement: source.0,
            definition: source.1,
            parameters: Vec::new(),
            sent: now,
            recorded: AtomicU64::new(statement),
            executed: AtomicU64::new(0),
        };
        self.open_portal(portal, facts);
    }

    fn open_portal(&mut self, portal: Portal, facts: &mut Vec<Fact>) {
        let mut portal = Arc::new(portal);
        if portal.lease.is_none() {
            // Too much to keep: record it now, and let the queue hold its name alone.
            self.settle_parsed(facts);
            self.bound = Some(Arc::clone(&portal));
            self.settle_bound(facts);
            if let Some(portal) = Arc::get_mut(&mut portal) {
                portal.parameters = Vec::new();
            }
        } else if set_aside(&portal) {
            self.bound = Some(Arc::clone(&portal));
        }
        let kept = portal.lease.is_some().then(|| Arc::clone(&portal));
        self.portals.propose(&portal.name, self.group, kept);
        self.expect(Expected::Bind(portal));
    }

    fn execute(&mut self, portal: &[u8], now: Instant, facts: &mut Vec<Fact>) {
        let portal_name = name(portal);
        let portal = self.portals.resolve(&portal_name, self.group);
        self.settle_others(portal.as_ref(), facts);
        let redefines = portal.as_ref().is_none_or(|portal| portal.redefines());
        self.begin(redefines && self.knows_names());
        let statement = self.number();
        let source = portal.as_ref().map(|portal| portal.source());
        let mut started = Started::new(statement, Kind::Extended, source.unwrap_or_default());
        if let Some(portal) = &portal {
            started.bound = portal.parameters_in();
            if started.bound.is_none() {
                started.parameters.clone_from(&portal.parameters);
            } else {
                // The record that `bound` names has the text.
                started.source.sql = None;
            }
            portal.executed.fetch_max(statement, Ordering::Relaxed);
        }
        started.portal = portal_name;
        facts.push(Fact::Started(started));
        let running = Running::new(statement, now);
        self.expect(Expected::Execute(running));
    }

    fn knows_names(&self) -> bool {
        self.statements.has_named() || self.portals.has_named()
    }

    /// Records what was parsed or bound in this breath, unless it is what is executed now: then
    /// the record of the execution holds it.
    fn settle_others(&mut self, executed: Option<&Arc<Portal>>, facts: &mut Vec<Fact>) {
        let same_text = |parsed: &Arc<Definition>| {
            executed
                .and_then(|portal| portal.definition.as_ref())
                .is_some_and(|definition| Arc::ptr_eq(definition, parsed))
        };
        if self.parsed.as_ref().is_some_and(same_text) {
            self.parsed = None;
        }
        if let (Some(bound), Some(executed)) = (&self.bound, executed)
            && Arc::ptr_eq(bound, executed)
        {
            self.bound = None;
        }
        self.settle(facts);
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
    fn begin(&mut self, redefines: bool) {
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
            Self::Part { data, .. } => 2 * data.len(),
            Self::Results { .. } | Self::Finished(_) | Self::CommitFailed { .. } => 0,
        }
    }
}

/// Whether the portal still needs a record of its parameters.
fn set_aside(portal: &Portal) -> bool {
    portal.parameters_in().is_none()
}

fn parameters(values: &[Value<'_>], types: &[u32]) -> Vec<Parameter> {
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
