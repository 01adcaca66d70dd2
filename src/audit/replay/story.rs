//! A session from its request to its end.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::super::open::CRASHED;
use super::super::{CopyDirection, Event, Origin, Outcome, Record, Text};
use super::missing::Missing;
use super::statement::{Joiner, Statement, Step};
use crate::access::{ConnectionId, PrincipalName, RequestId, SessionId, TargetName};

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

/// Somebody asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct Submitted {
    pub seq: u64,
    pub at: Timestamp,
    pub request: RequestId,
    pub principal: PrincipalName,
    pub seconds: u64,
    pub reason: String,
}

/// Somebody approved.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct Approved {
    pub seq: u64,
    pub at: Timestamp,
    pub request: RequestId,
    pub by: PrincipalName,
    pub expires_at: Timestamp,
}

/// Its holder fetched the secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct SecretRead {
    pub seq: u64,
    pub at: Timestamp,
    pub by: PrincipalName,
}

/// Its records may not be deleted, or may again.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct Hold {
    pub seq: u64,
    pub at: Timestamp,
    pub by: PrincipalName,
    pub reason: String,
    pub released: bool,
}

/// A connection under it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Connection {
    /// The connection.
    pub id: ConnectionId,
    /// The database.
    pub database: String,
    /// The sequence of its first record in the log.
    pub seq: u64,
    /// When that was made.
    pub at: Timestamp,
    /// Where the client dialled from; `None` if that is not in the log, as with the next two.
    pub peer: Option<String>,
    /// What it calls itself.
    pub application_name: Option<Text>,
    /// Startup parameters that the server got.
    pub startup: Vec<(Text, Text)>,
    /// TLS towards the client; `None` without it.
    pub tls: Option<String>,
    /// When the server had accepted it.
    pub established: Option<Established>,
    /// The server's process, if hallpass had it ended.
    pub terminated: Option<i32>,
    /// The server's process, if it could not be ended in time.
    pub left: Option<i32>,
    /// Its end; `None` if it is open, or that is not in the log.
    pub closed: Option<Closed>,
}

/// The server accepted a connection.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct Established {
    pub seq: u64,
    pub at: Timestamp,
    pub upstream_pid: i32,
    pub role: String,
}

/// A connection ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct Closed {
    pub seq: u64,
    pub at: Timestamp,
    pub reason: String,
    pub statements: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Closed {
    /// Whether hallpass itself died over it.
    pub fn is_crash(&self) -> bool {
        self.reason == CRASHED
    }
}

/// A client asked to cancel.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct Cancelled {
    pub seq: u64,
    pub at: Timestamp,
    pub connection: ConnectionId,
    pub peer: String,
}

/// The session ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ended {
    /// The sequence of its record.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who revoked it; `None` if time ended it.
    pub by: Option<PrincipalName>,
    /// Why, if they said.
    pub reason: String,
}

/// A session in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Connections.
    pub connections: usize,
    /// Statements that were run.
    pub statements: usize,
    /// Of them: failed.
    pub failed: usize,
    /// Of them: whose outcome nobody knows.
    pub unknown: usize,
    /// Rows that were sent to the client.
    pub rows: u64,
    /// Bytes that answered statements.
    pub bytes: u64,
    /// Bytes copied from the client.
    pub copied_in: u64,
    /// Bytes copied to the client.
    pub copied_out: u64,
    /// Time that statements took, in microseconds.
    pub microseconds: u64,
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

impl Connection {
    fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    fn new(origin: &Origin, record: &Record) -> Self {
        Self {
            id: origin.connection,
            database: origin.database.clone(),
            seq: record.seq,
            at: record.at,
            peer: None,
            application_name: None,
            startup: Vec::new(),
            tls: None,
            established: None,
            terminated: None,
            left: None,
            closed: None,
        }
    }
}

/// Takes records and makes a story of them.
struct Teller {
    story: Story,
    joiner: Joiner,
    connections: BTreeMap<ConnectionId, usize>,
}

impl Teller {
    fn new(session: SessionId) -> Self {
        let story = Story {
            session,
            principal: None,
            target: None,
            submitted: None,
            approved: None,
            secret_reads: Vec::new(),
            holds: Vec::new(),
            connections: Vec::new(),
            statements: Vec::new(),
            cancels: Vec::new(),
            ended: None,
            totals: Totals::default(),
            missing: Vec::new(),
        };
        Self {
            story,
            joiner: Joiner::default(),
            connections: BTreeMap::new(),
        }
    }

    fn take(&mut self, record: &Record) {
        if let Some(origin) = record.event.origin() {
            self.name(&origin.principal, &origin.target);
            let at = self.connection(origin, record);
            self.of_connection(at, record);
            self.joiner.take(record);
        } else {
            self.of_session(record);
        }
    }

    fn name(&mut self, principal: &PrincipalName, target: &TargetName) {
        self.story
            .principal
            .get_or_insert_with(|| principal.clone());
        self.story.target.get_or_insert_with(|| target.clone());
    }

    fn connection(&mut self, origin: &Origin, record: &Record) -> usize {
        let connections = &mut self.story.connections;
        *self
            .connections
            .entry(origin.connection)
            .or_insert_with(|| {
                connections.push(Connection::new(origin, record));
                connections.len() - 1
            })
    }

    fn of_connection(&mut self, at: usize, record: &Record) {
        let connection = &mut self.story.connections[at];
        match &record.event {
            Event::ConnectionOpened {
                peer,
                application_name,
                startup,
                tls,
                ..
            } => {
                connection.peer = Some(peer.clone());
                connection.application_name = Some(application_name.clone());
                connection.startup.clone_from(startup);
                connection.tls.clone_from(tls);
            }
            Event::ConnectionEstablished {
                upstream_pid, role, ..
            } => {
                connection.established = Some(Established {
                    seq: record.seq,
                    at: record.at,
                    upstream_pid: *upstream_pid,
                    role: role.clone(),
                });
            }
            Event::BackendTerminated { upstream_pid, .. } => {
                connection.terminated = Some(*upstream_pid);
            }
            Event::BackendLeft { upstream_pid, .. } => connection.left = Some(*upstream_pid),
            Event::ConnectionClosed {
                reason,
                statements,
                bytes_in,
                bytes_out,
                ..
            } => {
                connection.closed = Some(Closed {
                    seq: record.seq,
                    at: record.at,
                    reason: reason.clone(),
                    statements: *statements,
                    bytes_in: *bytes_in,
                    bytes_out: *bytes_out,
                });
            }
            Event::CancelRequested { origin, peer } => self.story.cancels.push(Cancelled {
                seq: record.seq,
                at: record.at,
                connection: origin.connection,
                peer: peer.clone(),
            }),
            _ => {}
        }
    }

    fn of_session(&mut self, record: &Record) {
        let (seq, at) = (record.seq, record.at);
        match &record.event {
            Event::RequestSubmitted {
                request,
                principal,
                target,
                seconds,
                reason,
            } => {
                self.name(principal, target);
                self.story.submitted = Some(Submitted {
                    seq,
                    at,
                    request: *request,
                    principal: principal.clone(),
                    seconds: *seconds,
                    reason: reason.clone(),
                });
            }
            Event::RequestApproved {
                request,
                by,
                principal,
                target,
                expires_at,
                ..
            } => {
                self.name(principal, target);
                self.story.approved = Some(Approved {
                    seq,
                    at,
                    request: *request,
                    by: by.clone(),
                    expires_at: *expires_at,
                });
            }
            Event::SecretRead { by, .. } => {
                let by = by.clone();
                self.story.secret_reads.push(SecretRead { seq, at, by });
            }
            Event::HoldPlaced { by, reason, .. } => self.hold(record, by, reason, false),
            Event::HoldReleased { by, reason, .. } => self.hold(record, by, reason, true),
            Event::SessionRevoked {
                principal,
                target,
                by,
                reason,
                ..
            } => {
                self.name(principal, target);
                self.end(record, Some(by), reason);
            }
            Event::SessionExpired {
                principal, target, ..
            } => {
                self.name(principal, target);
                self.end(record, None, "");
            }
            _ => {}
        }
    }

    fn hold(&mut self, record: &Record, by: &PrincipalName, reason: &str, released: bool) {
        self.story.holds.push(Hold {
            seq: record.seq,
            at: record.at,
            by: by.clone(),
            reason: reason.to_owned(),
            released,
        });
    }

    fn end(&mut self, record: &Record, by: Option<&PrincipalName>, reason: &str) {
        self.story.ended = Some(Ended {
            seq: record.seq,
            at: record.at,
            by: by.cloned(),
            reason: reason.to_owned(),
        });
    }

    fn finish(self) -> Story {
        let mut story = self.story;
        story.statements = self.joiner.finish();
        story.totals = totals(&story);
        story.missing = super::missing::of(&story);
        story
    }
}

fn totals(story: &Story) -> Totals {
    let mut totals = Totals {
        connections: story.connections.len(),
        ..Totals::default()
    };
    for statement in story
        .statements
        .iter()
        .filter(|it| it.step == Step::Started)
    {
        totals.statements += 1;
        let outcome = statement.outcome();
        totals.failed += usize::from(outcome == Some(Outcome::Failed));
        totals.unknown += usize::from(outcome.is_none_or(|it| it == Outcome::Unknown));
        for end in statement.end.iter() {
            totals.rows += end.rows;
            totals.bytes += end.bytes;
            totals.microseconds += end.microseconds;
            for copy in &end.copies {
                match copy.direction {
                    CopyDirection::In => totals.copied_in += copy.bytes,
                    CopyDirection::Out => totals.copied_out += copy.bytes,
                }
            }
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{
        self, SESSION, finished, granted, of_connection, opened, record, started,
    };
    use super::*;
    use crate::audit::Parameter;

    fn read(records: &[Record]) -> Story {
        Story::read(SESSION.parse().unwrap(), records)
    }

    #[test]
    fn a_session_is_told_in_its_order_and_counted() {
        let story = testing::story();
        let seqs: Vec<u64> = story.timeline().iter().map(|it| it.place().1).collect();
        assert_eq!(seqs, [1, 2, 10, 11, 15, 34, 50]);
        let totals = Totals {
            connections: 2,
            statements: 3,
            failed: 1,
            rows: 1,
            bytes: 15,
            microseconds: 1_100_000,
            ..Totals::default()
        };
        assert_eq!((story.totals, story.missing), (totals, Vec::new()));
        assert_eq!(story.submitted.unwrap().reason, "INC-4312");
    }

    #[test]
    fn texts_and_parameters_are_found_wherever_they_are_recorded() {
        let part = |seq, part, data: &str| {
            let fields = json!({"statement": 3, "message": "Query", "part": part, "data": data});
            of_connection(seq, 1, "statement_part", &fields)
        };
        let story = read(&[
            opened(1, 1),
            of_connection(
                2,
                1,
                "statement_prepared",
                &json!({"statement": 1, "sql": "select $1"}),
            ),
            finished(3, 1, 1, &json!({})),
            of_connection(
                4,
                1,
                "portal_bound",
                &json!({"statement": 2, "prepared": 1, "parameters": ["a"]}),
            ),
            part(5, 1, "select "),
            part(6, 2, "'long'\0"),
            of_connection(
                7,
                1,
                "statement_started",
                &json!({"statement": 3, "kind": "simple", "parts": 2}),
            ),
            started(8, 1, 4, &json!({"bound": 2})),
            finished(9, 1, 4, &json!({"outcome": "suspended", "rows": 5})),
            started(10, 1, 5, &json!({"bound": 2})),
            started(11, 1, 6, &json!({"bound": 5})),
        ]);
        let run: Vec<_> = story
            .statements
            .iter()
            .filter(|it| it.step == Step::Started)
            .collect();
        let text = |it: &Statement| it.sql.as_ref().unwrap().to_lossy().into_owned();
        assert_eq!(text(run[0]), "select 'long'");
        for slice in &run[1..] {
            assert_eq!(text(slice), "select $1");
            assert_eq!(slice.parameters, Some(vec![Parameter::Text("a".into())]));
        }
        let goes_on: Vec<_> = run.iter().map(|it| it.continues).collect();
        assert_eq!(goes_on, [None, None, Some(2), Some(2)]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let closed = json!({"reason": "crashed", "statements": 0, "bytes_in": 0, "bytes_out": 0});
        let lost = "con-000000000001".parse().unwrap();
        let story = read(&[
            started(8, 1, 4, &json!({"bound": 2})),
            started(
                9,
                1,
                5,
                &json!({"sql": "select $1", "parameters": [{"omitted": true}]}),
            ),
            started(10, 1, 7, &json!({"name": "q"})),
            of_connection(11, 1, "connection_closed", &closed),
        ]);
        let expected = [
            Missing::Approval,
            Missing::Request,
            Missing::Opening { connection: lost },
            Missing::Statements {
                connection: lost,
                count: 4,
            },
            Missing::Texts { count: 2 },
            Missing::Parameters { count: 1 },
            Missing::Values { count: 1 },
        ];
        assert_eq!(story.missing, expected);
        assert!(story.connections[0].closed.as_ref().unwrap().is_crash());
        assert_eq!(story.totals.unknown, 3);
    }

    #[test]
    fn who_ended_it_is_known() {
        let who = json!({"session": SESSION, "principal": "maya", "target": "orders-admin"});
        let mut revoked = who.clone();
        revoked["by"] = json!("dana");
        revoked["reason"] = json!("lost");
        let ended = |kind: &str, fields: &serde_json::Value| {
            let mut records = granted();
            records.push(record(20, kind, fields));
            read(&records).ended.unwrap()
        };
        assert_eq!(ended("session_expired", &who).by, None);
        let ended = ended("session_revoked", &revoked);
        assert_eq!(
            (ended.by.unwrap().as_str(), &*ended.reason),
            ("dana", "lost")
        );
    }
}
