//! The extended query protocol as the client sends it: Parse, Bind, Execute.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::time::Instant;

use super::queue::{Expected, Running};
use super::redefine::redefines;
use super::sent::{name, parameters};
use super::{Definition, Fact, Kind, Parameter, Portal, Source, Started, Tracker};
use crate::pg::frontend::{Bind, Parse};

/// Texts up to this many bytes are repeated in each record of their execution; longer ones are
/// recorded once and referred to.
const INLINE: usize = 8 * 1024;

impl Tracker {
    pub(super) fn parse(&mut self, parse: Parse<'_>, now: Instant, facts: &mut Vec<Fact>) {
        self.settle(facts);
        let parse = parse.without_empty_types();
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
                types: parse.types.clone(),
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

    pub(super) fn bind(&mut self, bind: &Bind<'_>, now: Instant, facts: &mut Vec<Fact>) {
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

    pub(super) fn execute(&mut self, portal: &[u8], now: Instant, facts: &mut Vec<Fact>) {
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

    pub(super) fn knows_names(&self) -> bool {
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
}

/// Whether the portal still needs a record of its parameters.
fn set_aside(portal: &Portal) -> bool {
    portal.parameters_in().is_none()
}
