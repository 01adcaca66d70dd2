//! Tells a story from records.

use std::collections::BTreeMap;

use super::parts::{
    Approved, Cancelled, Closed, Connection, Ended, Established, Hold, SecretRead, Submitted,
    Totals,
};
use super::statement::{Joiner, Step};
use super::story::Story;
use crate::access::{
    Approval, ConnectionId, Grantor, PrincipalName, RequestKind, SessionId, TargetName,
};
use crate::audit::{CopyDirection, Event, Origin, Outcome, Record};

/// Takes records and makes a story of them.
pub(super) struct Teller {
    story: Story,
    joiner: Joiner,
    connections: BTreeMap<ConnectionId, usize>,
}

impl Teller {
    pub(super) fn new(session: SessionId) -> Self {
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

    pub(super) fn take(&mut self, record: &Record) {
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
                ..
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
                kind: RequestKind::Extension,
                expires_at,
                ..
            } => {
                if let Some(approved) = &mut self.story.approved {
                    approved.expires_at = *expires_at;
                }
            }
            Event::RequestApproved {
                request,
                by,
                approvals,
                policies,
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
                    by: grantor(by.as_ref(), approvals, policies),
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

    pub(super) fn finish(self) -> Story {
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

/// Who granted it, as the record tells.
fn grantor(by: Option<&PrincipalName>, approvals: &[Approval], policies: &[String]) -> Grantor {
    match by {
        None => Grantor::Policy(policies.to_vec()),
        // The format of before there were stages.
        Some(by) if approvals.is_empty() => Grantor::from(by.clone()),
        Some(_) => Grantor::People(approvals.iter().map(|it| it.by.clone()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::missing::Missing;
    use super::super::testing::{
        self, SESSION, finished, granted, of_connection, opened, record, started,
    };
    use super::*;
    use crate::audit::Parameter;
    use crate::audit::replay::Statement;

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
