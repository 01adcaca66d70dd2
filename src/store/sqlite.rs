//! The embedded store: one SQLite file, one thread that owns it, a bounded queue before it.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, Transaction};
use tokio::sync::{mpsc, oneshot};

use super::queries::{self, LIVE};
use super::schema::{self, Refusal};
use super::{Act, Due, Filter, Store, StoreError, holds, rows};
use crate::access::{AccessRequest, Hold, RequestId, Session, SessionId};

/// Calls that may wait for the thread; more make their callers wait.
const QUEUE: usize = 256;
/// How long another process may hold the file before it counts as in use. Longer than a hallpass
/// that is being replaced takes to close it.
const BUSY: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 5000 });
/// Acts that one look into the outbox brings.
const OUTBOX: u32 = 100;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// State in an SQLite file, which it holds for itself alone: with a second process on the same
/// file, a session revoked in one would live on in the other.
pub struct Sqlite {
    /// Taken when dropped: then the thread ends.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Sqlite {
    /// Opens the file at `path`, making it if need be (mode 0600), and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if it is damaged, in use, of a newer hallpass, or something else's.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        protect(path).map_err(|source| io(path, source))?;
        let mut connection = connect(path).map_err(|refusal| refusal.at(path))?;
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    job(&mut connection);
                }
            })
            .map_err(|source| io(path, source))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Runs `work` on the store's thread.
    pub(super) async fn call<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Nobody listens if the caller was dropped; what was committed stays.
            let _ = answer.send(work(connection));
        });
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs `work` in one transaction, committed if it succeeds.
    pub(super) async fn write<F>(&self, work: F) -> Result<(), StoreError>
    where
        F: FnOnce(&Transaction<'_>) -> Result<(), StoreError> + Send + 'static,
    {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            work(&transaction)?;
            Ok(transaction.commit()?)
        })
        .await
    }
}

impl Drop for Sqlite {
    /// Waits for the thread, so that the file is free when this returns.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's thread panicked");
        }
    }
}

fn io(path: &Path, source: std::io::Error) -> StoreError {
    let path = PathBuf::from(path);
    StoreError::Io { path, source }
}

/// Makes the file for its owner only; SQLite gives its side files the same mode.
fn protect(path: &Path) -> std::io::Result<()> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)?
        .set_permissions(Permissions::from_mode(0o600))
}

fn connect(path: &Path) -> Result<Connection, Refusal> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    schema::check(&connection)?;
    schema::migrate(&mut connection)?;
    Ok(connection)
}

#[async_trait]
impl Store for Sqlite {
    async fn insert_request(&self, request: &AccessRequest, act: &Act) -> Result<(), StoreError> {
        let (request, act) = (request.clone(), act.clone());
        self.write(move |transaction| {
            rows::insert_request(transaction, &request)?;
            rows::insert_act(transaction, &act)
        })
        .await
    }

    async fn request(&self, id: RequestId) -> Result<Option<AccessRequest>, StoreError> {
        self.call(move |connection| Ok(queries::request(connection, id)?))
            .await
    }

    async fn requests(&self, filter: &Filter) -> Result<Vec<AccessRequest>, StoreError> {
        let sql = queries::select(
            rows::REQUEST,
            "access_request",
            "requester",
            "created_at",
            filter.open_only.then_some("state = 'pending'"),
        );
        let filter = filter.clone();
        self.call(move |connection| queries::list(connection, &sql, &filter, rows::request))
            .await
    }

    async fn transition_request(
        &self,
        old: &AccessRequest,
        new: &AccessRequest,
        session: Option<&Session>,
        act: &Act,
    ) -> Result<(), StoreError> {
        let (old, new, session, act) = (old.clone(), new.clone(), session.cloned(), act.clone());
        self.write(move |transaction| {
            let moved = change(
                transaction,
                "UPDATE access_request SET state = ?1, detail = ?2 WHERE id = ?3 AND state = ?4",
                (new.state.name(), &new.state),
                (&old.id.to_string(), old.state.name()),
            )?;
            if !moved {
                return Err(conflict(
                    queries::request(transaction, old.id)?.map(|now| now.state.name()),
                ));
            }
            if let Some(session) = &session {
                grant(transaction, session)?;
            }
            rows::insert_act(transaction, &act)
        })
        .await
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.call(move |connection| Ok(queries::session(connection, id)?))
            .await
    }

    async fn sessions(&self, filter: &Filter) -> Result<Vec<Session>, StoreError> {
        let sql = queries::select(
            rows::SESSION,
            "session",
            "principal",
            "starts_at",
            filter.open_only.then_some(LIVE),
        );
        let filter = filter.clone();
        self.call(move |connection| queries::list(connection, &sql, &filter, rows::session))
            .await
    }

    async fn transition_session(
        &self,
        old: &Session,
        new: &Session,
        act: &Act,
    ) -> Result<(), StoreError> {
        let (old, new, act) = (old.clone(), new.clone(), act.clone());
        self.write(move |transaction| {
            let moved = change(
                transaction,
                "UPDATE session SET state = ?1, detail = ?2 WHERE id = ?3 AND state = ?4",
                (new.state.name(), &new.state),
                (&old.id.to_string(), old.state.name()),
            )?;
            if !moved {
                return Err(conflict(
                    queries::session(transaction, old.id)?.map(|now| now.state.name()),
                ));
            }
            rows::insert_act(transaction, &act)
        })
        .await
    }

    async fn place_hold(&self, hold: &Hold, act: &Act) -> Result<(), StoreError> {
        let (hold, act) = (hold.clone(), act.clone());
        self.write(move |transaction| {
            holds::insert(transaction, &hold)?;
            rows::insert_act(transaction, &act)
        })
        .await
    }

    async fn release_hold(&self, session: SessionId, act: &Act) -> Result<(), StoreError> {
        let act = act.clone();
        self.write(move |transaction| {
            holds::delete(transaction, session)?;
            rows::insert_act(transaction, &act)
        })
        .await
    }

    async fn holds(&self) -> Result<Vec<(Hold, Session)>, StoreError> {
        self.call(|connection| Ok(holds::all(connection)?)).await
    }

    async fn due(&self, now: Timestamp) -> Result<Due, StoreError> {
        self.call(move |connection| Ok(queries::due(connection, now.as_microsecond())?))
            .await
    }

    async fn outbox(&self) -> Result<Vec<(i64, Act)>, StoreError> {
        let sql = "SELECT number, at, event FROM audit_outbox ORDER BY number LIMIT ?1";
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let acts = statement.query_map([OUTBOX], rows::act)?;
            Ok(acts.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn outbox_done(&self, number: i64) -> Result<(), StoreError> {
        self.call(move |connection| {
            connection
                .prepare_cached("DELETE FROM audit_outbox WHERE number = ?1")?
                .execute([number])?;
            Ok(())
        })
        .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.call(|connection| {
            let sql = "SELECT count(*) FROM audit_outbox";
            connection.query_row(sql, [], |row| row.get::<_, i64>(0))?;
            Ok(())
        })
        .await
    }
}

/// Compare-and-set on the state's name. Whether it was as expected.
fn change<S: serde::Serialize>(
    connection: &Connection,
    sql: &str,
    new: (&str, &S),
    old: (&str, &str),
) -> Result<bool, StoreError> {
    let detail = rows::to_json(new.1)?;
    let changed = connection
        .prepare_cached(sql)?
        .execute((new.0, detail, old.0, old.1))?;
    Ok(changed == 1)
}

fn conflict(now: Option<&'static str>) -> StoreError {
    now.map_or(StoreError::Missing, |state| {
        StoreError::Conflict(state.to_owned())
    })
}

/// Keeps a new session, unless its holder has a live one for the target.
fn grant(connection: &Connection, session: &Session) -> Result<(), StoreError> {
    match queries::live_session(connection, &session.principal, &session.target)? {
        Some(live) => Err(StoreError::LiveSession(Box::new(live))),
        // The unique index says the same; the look before gives the better error.
        None => rows::insert_session(connection, session),
    }
}
