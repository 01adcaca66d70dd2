//! Runs a session's statements on as many connections as it had, in their order and concurrency.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::super::super::error::CliError;
use super::super::super::super::human::clean;
use super::address::Address;
use super::client::Client;
use super::login;
use super::wire::Lost;
use super::worker::{Job, Ran, Worker};
use crate::audit::Text;
use crate::audit::replay::{Connection, Item, Next, Schedule, Skip};

/// After a cancel, how long is waited for the statement to end.
const GRACE: Duration = Duration::from_secs(5);
/// How much longer than then a statement may take, at least.
const SLOWER: u32 = 10;

/// How it is run.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) address: Address,
    pub(super) committed: bool,
    /// For one statement.
    pub(super) timeout: Duration,
    /// For a lock, where nothing is committed.
    pub(super) lock_timeout: Duration,
    /// How long a statement that was over before is waited for.
    pub(super) patience: Duration,
}

/// What the schedule is made of.
pub(super) struct Work {
    pub(super) item: Item,
    pub(super) what: What,
}

/// Something to do on a connection.
pub(super) enum What {
    Open,
    Run(Arc<Job>),
    Close,
}

/// What became of work.
pub(super) enum Outcome {
    Ran(Ran),
    /// The connection came to an end over it.
    Lost(String),
    /// There was no connection any more.
    Skipped(Skip),
}

/// What all of it came to.
pub(super) struct Results {
    /// Of each piece of work that was a statement, what became of it.
    pub(super) outcomes: HashMap<usize, Outcome>,
    /// Work that went ahead of its turn.
    pub(super) ahead: Vec<usize>,
}

/// A piece of work that has ended, and the connection, if it is still there.
struct Ended {
    index: usize,
    worker: Option<Worker>,
    outcome: Option<Outcome>,
}

/// Sees that the server lets us in at all.
pub(super) async fn check(settings: &Settings, connections: &[Connection]) -> Result<(), CliError> {
    let Some(first) = connections.first() else {
        return Ok(());
    };
    let database = settings.address.database.as_deref();
    let database = database.unwrap_or(&first.database);
    match login::connect(&settings.address, database, &[]).await {
        Ok(ready) => Client::new(ready).close().await,
        Err(lost) => {
            let place = settings.address.name();
            let why = clean(&lost.to_string());
            return Err(CliError::NoDatabase { place, why });
        }
    }
    Ok(())
}

/// Runs the work of `connections`.
pub(super) async fn run(settings: &Settings, connections: &[Connection], work: &[Work]) -> Results {
    let settings = Arc::new(settings.clone());
    let items = work.iter().map(|it| it.item).collect();
    let mut schedule = Schedule::new(items, settings.patience);
    let mut workers: Vec<Option<Worker>> = connections.iter().map(|_| None).collect();
    let mut running: JoinSet<Ended> = JoinSet::new();
    let mut outcomes = HashMap::new();
    let began = Instant::now();
    loop {
        let wait = match schedule.next(began.elapsed()) {
            Next::Start(index) => {
                let connection = work[index].item.connection;
                let worker = workers[connection].take();
                let settings = Arc::clone(&settings);
                let task = prepare(settings, &connections[connection], &work[index], worker);
                running.spawn(async move {
                    let (worker, outcome) = task.await;
                    Ended {
                        index,
                        worker,
                        outcome,
                    }
                });
                continue;
            }
            Next::Over => break,
            Next::Wait(wait) => wait,
        };
        let long = Duration::from_secs(3600);
        tokio::select! {
            Some(Ok(ended)) = running.join_next(), if !running.is_empty() => {
                schedule.ended(ended.index, began.elapsed());
                workers[work[ended.index].item.connection] = ended.worker;
                outcomes.extend(ended.outcome.map(|outcome| (ended.index, outcome)));
            }
            () = tokio::time::sleep(wait.unwrap_or(long)) => {}
        }
    }
    for worker in workers.into_iter().flatten() {
        worker.end().await;
    }
    Results {
        outcomes,
        ahead: schedule.ahead().to_vec(),
    }
}

type Done = (Option<Worker>, Option<Outcome>);

/// The task that does a piece of work.
fn prepare(
    settings: Arc<Settings>,
    connection: &Connection,
    work: &Work,
    worker: Option<Worker>,
) -> std::pin::Pin<Box<dyn Future<Output = Done> + Send>> {
    match &work.what {
        What::Close => Box::pin(async move {
            if let Some(worker) = worker {
                worker.end().await;
            }
            (None, None)
        }),
        What::Open => {
            let parameters = parameters(&settings, connection);
            let database = connection.database.clone();
            Box::pin(async move {
                match open(&settings, &database, &parameters).await {
                    Ok(worker) => (Some(worker), None),
                    Err(lost) => (None, Some(Outcome::Lost(lost.to_string()))),
                }
            })
        }
        What::Run(job) => {
            let (job, took) = (Arc::clone(job), work.item.took);
            Box::pin(async move {
                match worker {
                    Some(worker) => execute(&settings, worker, &job, took).await,
                    None => (None, Some(Outcome::Skipped(Skip::NoConnection))),
                }
            })
        }
    }
}

async fn open(
    settings: &Settings,
    database: &str,
    parameters: &[(Bytes, Bytes)],
) -> Result<Worker, Lost> {
    let database = settings.address.database.as_deref().unwrap_or(database);
    let ready = login::connect(&settings.address, database, parameters).await?;
    Worker::begin(Client::new(ready), settings.committed).await
}

/// What the server is told of a connection: what it was told then, with a name of ours.
fn parameters(settings: &Settings, connection: &Connection) -> Vec<(Bytes, Bytes)> {
    const OURS: [&[u8]; 4] = [b"user", b"database", b"replication", b"application_name"];
    let then = connection.startup.iter();
    let kept =
        |(name, _): &&(Text, Text)| !OURS.contains(&&name.0[..]) && !name.0.starts_with(b"_pq_.");
    let mut parameters: Vec<(Bytes, Bytes)> = then
        .filter(kept)
        .map(|(name, value)| (name.0.clone(), value.0.clone()))
        .collect();
    let name = format!("hallpass replay {}", connection.id);
    parameters.push((Bytes::from_static(b"application_name"), name.into()));
    if !settings.committed {
        let limit = settings.lock_timeout.as_millis().max(1).to_string();
        parameters.push((Bytes::from_static(b"lock_timeout"), limit.into()));
    }
    parameters
}

/// Runs a statement, for no longer than it may take.
async fn execute(settings: &Settings, mut worker: Worker, job: &Job, took: Duration) -> Done {
    let limit = settings.timeout.max(took * SLOWER);
    let key = worker.client.key();
    let ran = {
        let run = worker.run(job);
        tokio::pin!(run);
        match tokio::time::timeout(limit, &mut run).await {
            Ok(ran) => Some(ran),
            Err(_) => {
                let _ = tokio::time::timeout(GRACE, login::cancel(&settings.address, &key)).await;
                tokio::time::timeout(GRACE, &mut run).await.ok()
            }
        }
    };
    match ran {
        Some(Ok(ran)) => (Some(worker), Some(Outcome::Ran(ran))),
        Some(Err(lost)) => (None, Some(Outcome::Lost(lost.to_string()))),
        None => {
            let limit = humantime::format_duration(limit);
            let text = format!("it ran for {limit}, and did not end when it was cancelled");
            (None, Some(Outcome::Lost(text)))
        }
    }
}
