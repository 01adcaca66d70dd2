//! Completeness: each connection that was opened is closed once, each statement that was begun has
//! one outcome, and the parts of a long one are all there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::super::open::{CRASHED, Open};
use super::super::{Event, Origin, Outcome, Text};
use super::line::Look;
use crate::access::{ConnectionId, SessionId};
use crate::secret::hex;

/// What is wrong: what was found, and what it means.
pub(super) type Objection = (String, &'static str);

const FORGED: &str = "records of it were left out, or put in, before they were signed";

/// What goes on, and how much there was.
#[derive(Default)]
pub(super) struct Ledger {
    /// What is open.
    pub(super) open: Open,
    /// Whether records are missing before: what they opened or closed is not known.
    blind: bool,
    /// Connections that were open when records are missing, as far as they are heard of.
    carried: HashSet<ConnectionId>,
    /// Those that were closed, while it matters.
    closed: HashSet<ConnectionId>,
    /// Messages of which parts have come.
    parts: HashMap<ConnectionId, Parts>,
    pub(super) sessions: HashSet<SessionId>,
    pub(super) connections: u64,
    pub(super) statements: u64,
    pub(super) unknown: u64,
    pub(super) crashed: u64,
    /// Outcomes of statements without a record: they were refused, the disk being full.
    pub(super) refused: u64,
}

/// The parts so far of a message.
struct Parts {
    statement: u64,
    message: String,
    count: u64,
    hash: Sha256,
}

impl Ledger {
    /// Records are missing here.
    pub(super) fn gap(&mut self) {
        self.open = Open::default();
        self.blind = true;
        self.carried.clear();
        self.closed.clear();
        self.parts.clear();
    }

    /// At the end of a segment behind missing records, its index says what was open: taken over if
    /// it can be so.
    pub(super) fn adopt(&mut self, open: &Open) {
        if self.blind && self.open.is_within(open) {
            self.carried
                .extend(open.iter().map(|(it, _)| it.connection));
            self.open = open.clone();
            self.blind = false;
        }
    }

    /// Takes note of a statement's record; whose connection it is.
    pub(super) fn statement(&mut self, look: &Look<'_>) -> Result<&Origin, Objection> {
        let connection: ConnectionId = look.connection.parse().map_err(bad_name)?;
        self.known(&connection, || origin(look))?;
        let statement = look.statement;
        match look.kind {
            "statement_finished" => {
                self.finished(
                    &connection,
                    statement,
                    look.outcome == Some(Outcome::Unknown.label()),
                )?;
            }
            "statement_started" | "statement_prepared" | "portal_bound" => {
                self.statements += u64::from(look.kind == "statement_started");
                if !self.open.begun(&connection, statement) {
                    let what = format!("statement {statement} of {connection} is begun again");
                    return Err((what, FORGED));
                }
                self.whole(&connection, statement, look.parts)?;
            }
            _ => {}
        }
        let origin = self.open.origin(&connection);
        let origin = origin.filter(|origin| is_of(origin, look));
        origin.ok_or_else(|| {
            let what = format!("a record of {connection} names another session or database");
            (what, FORGED)
        })
    }

    /// Takes note of any other record.
    pub(super) fn event(&mut self, event: &Event) -> Result<(), Objection> {
        match event {
            Event::ConnectionOpened { origin, .. } => self.opened(origin),
            Event::ConnectionClosed { origin, reason, .. } => self.closed(origin, reason),
            Event::StatementPart { origin, .. } => {
                self.known(&origin.connection, || Some(Arc::clone(origin)))?;
                self.part(&origin.connection, event)
            }
            // It comes from elsewhere, perhaps too late.
            Event::CancelRequested { .. } => Ok(()),
            _ => match event.origin() {
                Some(origin) => self.known(&origin.connection, || Some(Arc::new(origin.clone()))),
                None => Ok(()),
            },
        }
    }

    fn opened(&mut self, origin: &Arc<Origin>) -> Result<(), Objection> {
        self.connections += 1;
        let id = &origin.connection;
        if self.closed.contains(id) || !self.open.opened(origin) {
            return Err((format!("{id} is opened again"), FORGED));
        }
        Ok(())
    }

    fn closed(&mut self, origin: &Arc<Origin>, reason: &str) -> Result<(), Objection> {
        let id = &origin.connection;
        self.known(id, || Some(Arc::clone(origin)))?;
        self.crashed += u64::from(reason == CRASHED);
        self.parts.remove(id);
        if self.blind {
            self.closed.insert(*id);
        }
        let left = self.open.closed(id).unwrap_or_default();
        match left.first() {
            Some(first) => {
                let what = format!(
                    "{id} is closed, and {} of its statements have no outcome, the first of them {first}",
                    left.len()
                );
                Err((
                    what,
                    "their outcomes were left out before they were signed, or the disk failed for so long that they were lost",
                ))
            }
            None => Ok(()),
        }
    }

    fn finished(
        &mut self,
        id: &ConnectionId,
        statement: u64,
        unknown: bool,
    ) -> Result<(), Objection> {
        self.unknown += u64::from(unknown);
        if self.open.finished(id, statement) || self.carried.contains(id) {
            return Ok(());
        }
        // A statement whose record could not be made is not forwarded, and ends as unknown.
        if unknown {
            self.refused += 1;
            return Ok(());
        }
        let what =
            format!("statement {statement} of {id} has an outcome and was not begun, or has two");
        Err((what, FORGED))
    }

    /// Checks that a connection is open. Behind missing records it may have been opened by them.
    fn known(
        &mut self,
        id: &ConnectionId,
        origin: impl FnOnce() -> Option<Arc<Origin>>,
    ) -> Result<(), Objection> {
        if self.open.origin(id).is_some() {
            return Ok(());
        }
        if self.blind
            && !self.closed.contains(id)
            && let Some(origin) = origin()
        {
            self.open.opened(&origin);
            self.carried.insert(*id);
            return Ok(());
        }
        let what = format!("a record of {id}, which was not opened before, or was closed already");
        Err((what, FORGED))
    }

    fn part(&mut self, id: &ConnectionId, event: &Event) -> Result<(), Objection> {
        let Event::StatementPart {
            statement,
            message,
            part,
            data,
            sha256,
            ..
        } = event
        else {
            return Ok(());
        };
        if *part == 1 {
            let new = Parts::new(*statement, message);
            self.parts.insert(*id, new);
        }
        let Some(parts) = self.parts.get_mut(id) else {
            // The first ones are among the missing records.
            return match self.carried.contains(id) {
                true => Ok(()),
                false => Err(misplaced(id, *statement, *part)),
            };
        };
        if !parts.take(*statement, message, *part, data.as_ref()) {
            return Err(misplaced(id, *statement, *part));
        }
        match (data, sha256) {
            (Some(_), Some(sha256)) if *sha256 != parts.sha256() => {
                let what = format!(
                    "the parts of statement {statement} of {id} do not have the hash that was made of the whole"
                );
                Err((what, "what the client sent is not what is on record"))
            }
            _ => Ok(()),
        }
    }

    /// Checks that a statement that is in parts has as many as it says.
    fn whole(&mut self, id: &ConnectionId, statement: u64, count: u64) -> Result<(), Objection> {
        if count == 0 {
            return Ok(());
        }
        let parts = self.parts.remove(id);
        let found = parts.map_or(0, |it| {
            if it.statement == statement {
                it.count
            } else {
                0
            }
        });
        if found == count || self.carried.contains(id) {
            return Ok(());
        }
        let what =
            format!("statement {statement} of {id} is in {count} parts, and {found} are there");
        Err((what, FORGED))
    }
}

impl Parts {
    fn new(statement: u64, message: &str) -> Self {
        Self {
            statement,
            message: message.to_owned(),
            count: 0,
            hash: Sha256::new(),
        }
    }

    /// Takes the next part; `false` if it is not the next.
    fn take(&mut self, statement: u64, message: &str, part: u64, data: Option<&Text>) -> bool {
        self.count += 1;
        if let Some(data) = data {
            self.hash.update(&data.0);
        }
        (self.statement, &*self.message, self.count) == (statement, message, part)
    }

    fn sha256(&self) -> String {
        hex(&self.hash.clone().finalize())
    }
}

fn misplaced(id: &ConnectionId, statement: u64, part: u64) -> Objection {
    let what = format!("part {part} of statement {statement} of {id} is not the next one");
    (what, FORGED)
}

fn bad_name(error: impl std::fmt::Display) -> Objection {
    (error.to_string(), FORGED)
}

/// Whose the record says it is.
fn origin(look: &Look<'_>) -> Option<Arc<Origin>> {
    Some(Arc::new(Origin::new(
        look.connection.parse().ok()?,
        look.session.parse().ok()?,
        look.principal.parse().ok()?,
        look.target.parse().ok()?,
        look.database.clone().into_owned(),
    )))
}

fn is_of(origin: &Origin, look: &Look<'_>) -> bool {
    origin.principal.as_str() == look.principal
        && origin.target.as_str() == look.target
        && origin.database == look.database
        && look.session.parse() == Ok(origin.session)
}
