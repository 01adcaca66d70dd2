//! A session from its request to its end.

use jiff::Timestamp;
use serde::Serialize;

use super::missing::Missing;
use super::parts::{
    Approved, Cancelled, Closed, Connection, Ended, Hold, SecretRead, Submitted, Totals,
};
use super::statement::Statement;
use super::teller::Teller;
use crate::access::{ConnectionId, PrincipalName, SessionId, TargetName};
use crate::audit::Record;

/// A session as the log tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Story {
    /// The session.
    pub session: SessionId,
    /// Who holds it.
    pub principal: Option<PrincipalName>,
    /// What it opens.
    pub target: Option<TargetName>,
    /// The request; `None` if it is not in the log.
    pub submitted: Option<Submitted>,
    /// The approval; `None` if it is not in the log.
    pub approved: Option<Approved>,
    /// When its secret was fetched.
    pub secret_reads: Vec<SecretRead>,
    /// What keeps its records from being deleted, or no longer does.
    pub holds: Vec<Hold>,
    /// Its connections, in the order in which they were opened.
    pub connections: Vec<Connection>,
    /// Its statements, in the order in which they began.
    pub statements: Vec<Statement>,
    /// When clients asked to cancel what ran.
    pub cancels: Vec<Cancelled>,
    /// How it ended; `None` if that is not in the log.
    pub ended: Option<Ended>,
    /// All of it in numbers.
    pub totals: Totals,
    /// What belongs to it and is not in the log, or not to be read there.
    pub missing: Vec<Missing>,
}

/// Something that happened in it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "each is what it carries")]
pub enum Moment<'a> {
    Submitted(&'a Submitted),
    Approved(&'a Approved),
    SecretRead(&'a SecretRead),
    Hold(&'a Hold),
    Opened(&'a Connection),
    Statement(&'a Statement),
    Cancelled(&'a Cancelled),
    Closed(&'a Connection, &'a Closed),
    Ended(&'a Ended),
}

impl Moment<'_> {
    /// When it happened, and the sequence of its record.
    pub fn place(&self) -> (Timestamp, u64) {
        match self {
            Self::Submitted(it) => (it.at, it.seq),
            Self::Approved(it) => (it.at, it.seq),
            Self::SecretRead(it) => (it.at, it.seq),
            Self::Hold(it) => (it.at, it.seq),
            Self::Opened(it) => (it.at, it.seq),
            Self::Statement(it) => (it.at, it.seq),
            Self::Cancelled(it) => (it.at, it.seq),
            Self::Closed(_, it) => (it.at, it.seq),
            Self::Ended(it) => (it.at, it.seq),
        }
    }
}

impl Story {
    /// Puts a session together from its records, in their order, with that of its request.
    pub fn read(session: SessionId, records: &[Record]) -> Self {
        let mut teller = Teller::new(session);
        for record in records {
            teller.take(record);
        }
        teller.finish()
    }

    /// What happened, in its order.
    pub fn timeline(&self) -> Vec<Moment<'_>> {
        let mut all: Vec<Moment<'_>> = Vec::new();
        all.extend(self.submitted.iter().map(Moment::Submitted));
        all.extend(self.approved.iter().map(Moment::Approved));
        all.extend(self.secret_reads.iter().map(Moment::SecretRead));
        all.extend(self.holds.iter().map(Moment::Hold));
        all.extend(self.connections.iter().map(Moment::Opened));
        all.extend(self.statements.iter().map(Moment::Statement));
        all.extend(self.cancels.iter().map(Moment::Cancelled));
        let closed = |it| Option::zip(Some(it), Connection::closed(it));
        let ends = self.connections.iter().filter_map(closed);
        all.extend(ends.map(|(it, closed)| Moment::Closed(it, closed)));
        all.extend(self.ended.iter().map(Moment::Ended));
        all.sort_by_key(|moment| moment.place().1);
        all
    }

    /// When it begins: with its approval, or with the first that is left of it.
    pub fn begins_at(&self) -> Timestamp {
        let approved = self.approved.as_ref().map(|it| it.at);
        let first = || self.timeline().first().map(|moment| moment.place().0);
        approved.or_else(first).unwrap_or_default()
    }

    /// The number of a connection among the session's, from 1; 0 if it is none of them.
    pub fn ordinal(&self, id: ConnectionId) -> usize {
        let position = self.connections.iter().position(|it| it.id == id);
        position.map_or(0, |position| position + 1)
    }
}
