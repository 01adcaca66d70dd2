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
use super::{
    Act, Change, Delegations, Due, Filter, Reviews, Store, StoreError, change, delegations, holds,
    reviews, rows,
};
use crate::access::{
    AccessRequest, Delegation, Hold, PrincipalName, RequestId, Review, Session, SessionId,
};

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
    async fn commit(&self, change: &Change) -> Result<(), StoreError> {
        let change = change.clone();
        self.write(move |transaction| change::write(transaction, &change))
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
            ("created_at", "id"),
            filter.open_only.then_some("state = 'pending'"),
        );
        let filter = filter.clone();
        self.call(move |connection| queries::list(connection, &sql, &filter, rows::request))
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
            ("starts_at", "id"),
            filter.open_only.then_some(LIVE),
        );
        let filter = filter.clone();
        self.call(move |connection| queries::list(connection, &sql, &filter, rows::session))
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

    async fn extensions(&self, session: SessionId) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM access_request WHERE extends = ?1 AND state = 'approved'";
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement.query_row([session.to_string()], |row| row.get(0))?)
        })
        .await
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

#[async_trait]
impl Reviews for Sqlite {
    async fn review(&self, session: SessionId) -> Result<Option<Review>, StoreError> {
        self.call(move |connection| Ok(reviews::of(connection, session)?))
            .await
    }

    async fn reviews(&self, filter: &Filter) -> Result<Vec<Review>, StoreError> {
        let sql = queries::select(
            reviews::REVIEW,
            "review",
            "principal",
            ("opened_at", "session"),
            filter.open_only.then_some("state = 'open'"),
        );
        let filter = filter.clone();
        self.call(move |connection| queries::list(connection, &sql, &filter, reviews::read))
            .await
    }
}

#[async_trait]
impl Delegations for Sqlite {
    async fn delegate(&self, delegation: &Delegation, act: &Act) -> Result<(), StoreError> {
        let (delegation, act) = (delegation.clone(), act.clone());
        self.write(move |transaction| {
            delegations::upsert(transaction, &delegation)?;
            rows::insert_act(transaction, &act)
        })
        .await
    }

    async fn end_delegation(
        &self,
        from: &PrincipalName,
        to: &PrincipalName,
        act: &Act,
    ) -> Result<(), StoreError> {
        let (from, to, act) = (from.clone(), to.clone(), act.clone());
        self.write(move |transaction| {
            delegations::delete(transaction, &from, &to)?;
            rows::insert_act(transaction, &act)
        })
        .await
    }

    async fn delegations(
        &self,
        principal: &PrincipalName,
        now: Timestamp,
    ) -> Result<Vec<Delegation>, StoreError> {
        let principal = principal.clone();
        self.call(move |connection| delegations::of(connection, &principal, now))
            .await
    }
}
