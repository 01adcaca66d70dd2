//! What recording a statement costs: `cargo bench --bench recorder`.
//!
//! A statement is two records: its start, which somebody waits for, and its outcome. All runs on
//! one thread, so time is CPU, but for waiting on `fdatasync`. `clients` are as many statements at
//! a time; each result is the time of one statement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hallpass::access::{ConnectionId, SessionId};
use hallpass::audit::{
    Batch, CommandResult, Durability, Event, Origin, Outcome, Parameter, Recorder, Settings,
    SigningKey, StatementKind, Text,
};
use hallpass::clock::Clock;
use hallpass::telemetry::Metrics;
use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};

const SQL: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = $1;";

fn origin() -> Arc<Origin> {
    Arc::new(Origin::new(
        ConnectionId::from_random(1),
        SessionId::from_random(2),
        "maya".parse().expect("a name"),
        "orders-admin".parse().expect("a name"),
        "analytics".into(),
    ))
}

fn started(origin: &Arc<Origin>, statement: u64) -> Event {
    Event::StatementStarted {
        origin: Arc::clone(origin),
        statement,
        kind: StatementKind::Extended,
        name: Some(Text::from("P_0")),
        portal: None,
        types: Vec::new(),
        sql: Some(Text::from(SQL)),
        prepared: None,
        bound: None,
        parameters: vec![Parameter::Text(Text::from("4711"))],
        function: None,
        parts: 0,
    }
}

fn finished(origin: &Arc<Origin>, statement: u64) -> Event {
    Event::StatementFinished {
        origin: Arc::clone(origin),
        statement,
        outcome: Outcome::Completed,
        results: vec![CommandResult {
            tag: Text::from("SELECT 1"),
        }],
        sqlstate: None,
        rows: 1,
        bytes: 37,
        copies: Vec::new(),
        microseconds: 123,
    }
}

/// What a connection's task does itself: facts to JSON.
fn serialise(criterion: &mut Criterion) {
    let origin = origin();
    let mut group = criterion.benchmark_group("serialise");
    group.throughput(Throughput::Elements(1));
    group.bench_function("statement", |bencher| {
        let mut number = 0;
        bencher.iter(|| {
            number += 1;
            let mut batch = Batch::new(Timestamp::UNIX_EPOCH);
            batch.push(&started(&origin, number));
            batch.push(&finished(&origin, number));
            batch
        });
    });
    group.finish();
}

/// The whole way, to the kernel or to stable storage.
fn record(criterion: &mut Criterion) {
    for (name, durability) in [("write", Durability::Write), ("fsync", Durability::Fsync)] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        for clients in [1, 16, 64] {
            let id = BenchmarkId::new("clients", clients);
            group.bench_with_input(id, &clients, |bencher, clients| {
                bencher.iter_custom(|statements| run(durability, *clients, statements));
            });
        }
        group.finish();
    }
}

fn run(durability: Durability, clients: u64, statements: u64) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime: Runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let settings = Settings {
            durability,
            ..Settings::new(folder.path().to_owned(), SigningKey::generate())
        };
        let (recorder, writer) =
            Recorder::start(&settings, Clock::system(), Arc::new(Metrics::new()))
                .expect("a recorder");
        let began = Instant::now();
        let each = statements.div_ceil(clients);
        let tasks: Vec<_> = (0..clients)
            .map(|_| tokio::spawn(client(recorder.clone(), each)))
            .collect();
        drop(recorder);
        for task in tasks {
            task.await.expect("it records");
        }
        writer.await.expect("it writes");
        began.elapsed() * u32::try_from(statements).unwrap_or(1)
            / u32::try_from(each * clients).unwrap_or(1)
    })
}

async fn client(recorder: Recorder, statements: u64) {
    let origin = origin();
    for statement in 0..statements {
        let recorded = recorder.record(&started(&origin, statement)).await;
        recorded.expect("it is durable");
        let mut batch = recorder.batch();
        batch.push(&finished(&origin, statement));
        recorder.note(&batch).await.expect("there is room");
    }
}

criterion_group!(benches, serialise, record);
criterion_main!(benches);
