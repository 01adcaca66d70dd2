//! Runs the statements of one recorded connection on one of ours.
//!
//! Where nothing is to be committed, one transaction is around all of it. The recorded ones become
//! savepoints in it: BEGIN sets one, COMMIT releases it, after the deferred constraints were
//! checked as a commit would, and ROLLBACK goes back to it. A statement outside of a transaction
//! gets a savepoint of its own. Each text goes as one statement of the extended protocol, which
//! takes no more than one: a COMMIT cannot hide behind another statement.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::client::{Client, Extended};
use super::wire::Lost;
use crate::audit::replay::{Control, Piece, Seen, Statement, Step, pieces};
use crate::audit::{Outcome, StatementKind};
use crate::sql::command;

const SET: &[u8] = b"SAVEPOINT hallpass_replay";
const RELEASE: &[u8] = b"RELEASE SAVEPOINT hallpass_replay";
const UNDO: &[u8] = b"ROLLBACK TO SAVEPOINT hallpass_replay; RELEASE SAVEPOINT hallpass_replay";
/// Checks deferred constraints, and leaves them deferred.
const CHECK: &[u8] = b"SAVEPOINT hallpass_check; SET CONSTRAINTS ALL IMMEDIATE; \
    ROLLBACK TO SAVEPOINT hallpass_check; RELEASE SAVEPOINT hallpass_check";
/// A statement to be run.
pub(super) struct Job {
    pub(super) statement: Statement,
    /// Whether others go on with its portal.
    pub(super) goes_on: bool,
}

/// What became of it, and how long it took.
pub(super) struct Ran {
    pub(super) seen: Seen,
    pub(super) took: Duration,
}

/// One of our connections.
pub(super) struct Worker {
    pub(super) client: Client,
    committed: bool,
    /// Whether a recorded transaction is under way.
    in_transaction: bool,
    took: Duration,
}

impl Worker {
    /// Begins what will be rolled back, unless it is to be `committed`.
    pub(super) async fn begin(mut client: Client, committed: bool) -> Result<Self, Lost> {
        if !committed {
            ours(client.simple(b"BEGIN").await?)?;
        }
        Ok(Self {
            client,
            committed,
            in_transaction: false,
            took: Duration::ZERO,
        })
    }

    /// Ends it; whatever was not committed is rolled back.
    pub(super) async fn end(self) {
        self.client.close().await;
    }

    /// Runs a statement as it was run.
    pub(super) async fn run(&mut self, job: &Job) -> Result<Ran, Lost> {
        self.took = Duration::ZERO;
        let seen = match self.committed {
            true => self.as_recorded(job).await?,
            false => self.guarded(job).await?,
        };
        if !self.committed && self.client.status() == b'I' {
            return Err(Lost::new(
                "the transaction that was to be rolled back has ended: what it did may be \
                 committed",
            ));
        }
        Ok(Ran {
            seen,
            took: self.took,
        })
    }

    async fn as_recorded(&mut self, job: &Job) -> Result<Seen, Lost> {
        let statement = &job.statement;
        let sql = text(statement);
        match (statement.step, statement.kind) {
            (Step::Started, Some(StatementKind::Simple)) => {
                let began = Instant::now();
                let seen = self.client.simple(&sql).await?;
                self.took += began.elapsed();
                self.look_for_names(&sql);
                Ok(seen)
            }
            _ => self.extended(job, &sql).await,
        }
    }

    /// Runs a statement inside of what will be rolled back.
    async fn guarded(&mut self, job: &Job) -> Result<Seen, Lost> {
        if !self.in_transaction {
            self.ours(SET).await?;
        }
        let sql = text(&job.statement);
        // Bytes of another encoding are no part of a keyword.
        let readable = String::from_utf8_lossy(&sql);
        let cut = pieces(&readable);
        let seen = match &cut[..] {
            [] => self.extended(job, &sql).await?,
            [one] if one.control == Control::None => self.single(job, one, &sql).await?,
            several => self.several(several).await?,
        };
        if self.in_transaction {
            return Ok(seen);
        }
        self.settle(job, seen).await
    }

    /// Ends the savepoint of a statement outside of a transaction.
    async fn settle(&mut self, job: &Job, mut seen: Seen) -> Result<Seen, Lost> {
        if seen.sqlstate.is_some() {
            self.ours(UNDO).await?;
            return Ok(seen);
        }
        let checked = self.release().await?;
        if checked.sqlstate.is_some() && job.statement.kind == Some(StatementKind::Simple) {
            // A simple query commits before it tells the tag of its last statement.
            seen.tags.pop();
        }
        seen.sqlstate = checked.sqlstate;
        seen.message = checked.message;
        Ok(seen)
    }

    async fn single(&mut self, job: &Job, piece: &Piece<'_>, sql: &[u8]) -> Result<Seen, Lost> {
        let mut seen = self.extended(job, sql).await?;
        let simple = job.statement.kind == Some(StatementKind::Simple);
        // A simple query has no parameters to be missed, and says that in another way.
        if simple && piece.has_parameters && seen.sqlstate.as_deref() == Some("08P01") {
            seen.sqlstate = Some("42P02".to_owned());
        }
        Ok(seen)
    }

    /// Runs the statements of one text, up to the first that fails.
    async fn several(&mut self, pieces: &[Piece<'_>]) -> Result<Seen, Lost> {
        let mut all = Seen::default();
        for piece in pieces {
            let seen = self.piece(piece).await?;
            all.tags.extend(seen.tags);
            all.rows += seen.rows;
            all.copies.extend(seen.copies);
            if seen.sqlstate.is_some() {
                all.sqlstate = seen.sqlstate;
                all.message = seen.message;
                break;
            }
        }
        Ok(all)
    }

    async fn piece(&mut self, piece: &Piece<'_>) -> Result<Seen, Lost> {
        let failed = self.client.status() == b'E';
        match piece.control {
            Control::Begin(tag) if !failed => {
                self.in_transaction = true;
                Ok(tagged(tag))
            }
            Control::Commit { chain } => self.commit(chain).await,
            Control::Rollback { chain } => {
                self.ours(UNDO).await?;
                self.go_on(chain).await?;
                Ok(tagged("ROLLBACK"))
            }
            Control::Modes if !failed => Ok(tagged("SET")),
            _ => {
                let statement = Extended {
                    name: b"",
                    sql: piece.sql.as_bytes(),
                    types: &[],
                    parameters: &[],
                    portal: b"",
                    rows: 0,
                    stays: false,
                };
                self.timed(&statement).await
            }
        }
    }

    /// What a commit does, but for committing.
    async fn commit(&mut self, chain: bool) -> Result<Seen, Lost> {
        if self.client.status() == b'E' {
            self.ours(UNDO).await?;
            self.go_on(chain).await?;
            return Ok(tagged("ROLLBACK"));
        }
        let failed = self.release().await?;
        self.go_on(chain && failed.sqlstate.is_none()).await?;
        match failed.sqlstate {
            Some(_) => Ok(failed),
            None => Ok(tagged("COMMIT")),
        }
    }

    /// Releases the savepoint, if the constraints let it be; what was wrong with them.
    async fn release(&mut self) -> Result<Seen, Lost> {
        let checked = self.client.simple(CHECK).await?;
        match checked.sqlstate {
            Some(_) => self.ours(UNDO).await?,
            None => self.ours(RELEASE).await?,
        }
        Ok(Seen {
            tags: Vec::new(),
            ..checked
        })
    }

    /// Sets the savepoint for what follows in the same text, or the next transaction.
    async fn go_on(&mut self, in_transaction: bool) -> Result<(), Lost> {
        self.in_transaction = in_transaction;
        self.ours(SET).await
    }

    async fn ours(&mut self, sql: &[u8]) -> Result<(), Lost> {
        ours(self.client.simple(sql).await?)
    }

    async fn extended(&mut self, job: &Job, sql: &[u8]) -> Result<Seen, Lost> {
        let statement = &job.statement;
        let parameters = statement.parameters.as_deref().unwrap_or_default();
        let name = statement.name.as_ref().map_or(&b""[..], |it| &it.0);
        let began = Instant::now();
        if let Some(function) = statement.function {
            let seen = self.client.call(function, parameters).await?;
            self.took += began.elapsed();
            return Ok(seen);
        }
        if statement.step != Step::Started {
            let bound = (statement.step == Step::Bound).then_some(parameters);
            let text = (sql, &statement.types[..]);
            return self.client.only_prepare(name, text, bound).await;
        }
        let suspended = statement.outcome() == Some(Outcome::Suspended);
        let rows = statement
            .end
            .as_ref()
            .filter(|_| suspended)
            .map_or(0, |end| end.rows);
        if let Some(portal) = statement.continues {
            let seen = self
                .client
                .go_on(&portal_name(portal), rows, job.goes_on)
                .await?;
            self.took += began.elapsed();
            return Ok(seen);
        }
        let portal = match job.goes_on {
            true => portal_name(statement.portal),
            false => Bytes::new(),
        };
        let seen = self
            .timed(&Extended {
                name,
                sql,
                types: &statement.types,
                parameters,
                portal: &portal,
                rows,
                stays: job.goes_on,
            })
            .await?;
        self.look_for_names(sql);
        Ok(seen)
    }

    async fn timed(&mut self, statement: &Extended<'_>) -> Result<Seen, Lost> {
        let began = Instant::now();
        let seen = self.client.extended(statement).await?;
        self.took += began.elapsed();
        self.look_for_names(statement.sql);
        Ok(seen)
    }

    /// Forgets what names stand for if `sql` takes them away.
    fn look_for_names(&mut self, sql: &[u8]) {
        let word = command(&String::from_utf8_lossy(sql));
        if matches!(word.as_deref(), Some("DEALLOCATE" | "DISCARD")) {
            self.client.forget();
        }
    }
}

fn text(statement: &Statement) -> Bytes {
    statement
        .sql
        .as_ref()
        .map(|sql| sql.0.clone())
        .unwrap_or_default()
}

fn portal_name(number: u64) -> Bytes {
    format!("hallpass_{number}").into()
}

fn tagged(tag: &str) -> Seen {
    Seen {
        tags: vec![tag.to_owned()],
        ..Seen::default()
    }
}

/// What we run ourselves has to work.
fn ours(seen: Seen) -> Result<(), Lost> {
    match seen.message {
        Some(message) => Err(Lost(message)),
        None => Ok(()),
    }
}
