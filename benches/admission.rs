//! What it costs to be let in and to be ended: `cargo bench --bench admission`.
//!
//! The way from a name to a permit, however many sessions there are; a login by SCRAM, both of its
//! sides; and the end of many sessions at one instant.

mod world;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hallpass::access::{ConnectionId, Session};
use hallpass::admission::{Admission, Admittee, ConnectionInfo, Verifier};
use hallpass::clock::Clock;
use hallpass::secret::ServerKey;
use hallpass::telemetry::Metrics;
use jiff::{SignedDuration, Timestamp};
use pgwire::api::auth::sasl::scram::ScramServerAuth;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use world::target;

/// One of them, for an hour.
fn session(number: u64, now: Timestamp) -> Session {
    world::session(number, now, now + SignedDuration::from_hours(1))
}

/// So many sessions, which share one secret: to derive one takes a millisecond.
fn open(count: u64, clock: &Clock) -> (Arc<Admission>, Verifier) {
    let metrics = Arc::new(Metrics::new());
    let admission = Admission::new(ServerKey::generate(), clock.clone(), metrics);
    let verifier = admission.derive_verifier(&session(0, clock.now()));
    for number in 0..count {
        let session = session(number, clock.now());
        assert!(admission.open_with(&session, verifier.clone()));
    }
    (Arc::new(admission), verifier)
}

fn admittee(session: &Session, connection: u64, now: Timestamp) -> Admittee {
    Admittee {
        connection: ConnectionInfo {
            id: ConnectionId::from_random(connection),
            session: session.id,
            principal: session.principal.clone(),
            target: session.target.clone(),
            database: "orders".to_owned(),
            peer: ([127, 0, 0, 1], 5432).into(),
            application_name: "psql".to_owned(),
            opened_at: now,
        },
        replication: false,
    }
}

/// From a session's names to a permit, and its end.
fn admit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admit");
    for sessions in [10, 10_000, 1_000_000] {
        let clock = Clock::system();
        let (admission, _) = open(sessions, &clock);
        let (target, now) = (target(), clock.now());
        let id = BenchmarkId::new("sessions", sessions);
        group.bench_with_input(id, &sessions, |bencher, sessions| {
            let mut number = 0;
            bencher.iter_batched(
                || {
                    number = (number + 7919) % sessions;
                    admittee(&session(number, now), number, now)
                },
                |admittee| admission.admit(admittee, &target).expect("it is live"),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A login: what hallpass does for a client, and what a client, which hallpass is to an upstream,
/// does for itself.
fn scram(criterion: &mut Criterion) {
    let clock = Clock::system();
    let (admission, verifier) = open(1, &clock);
    let secret = admission.secret(session(0, clock.now()).id);
    let server = ScramServerAuth::new();
    let first = |client: &ScramSha256| {
        server
            .on_client_first_message_with_secret(client.message(), verifier.to_scram())
            .expect("a sound message")
    };
    let new = || {
        let binding = ChannelBinding::unsupported();
        ScramSha256::new(secret.expose().as_bytes(), binding)
    };
    let mut group = criterion.benchmark_group("scram");
    group.bench_function("both sides", |bencher| {
        bencher.iter(|| {
            let mut client = new();
            let (challenge, waiting) = first(&client);
            client.update(challenge.as_bytes()).expect("a challenge");
            let proof = waiting.on_client_final_message(client.message());
            black_box(proof.expect("a proof"))
        });
    });
    group.bench_function("the client's", |bencher| {
        bencher.iter_batched(
            || {
                let client = new();
                let challenge = first(&client).0;
                (client, challenge)
            },
            |(mut client, challenge)| client.update(challenge.as_bytes()).expect("a challenge"),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// Sessions whose time has come at the same instant, each with a connection.
fn expire(criterion: &mut Criterion) {
    const SESSIONS: u64 = 100_000;
    let mut group = criterion.benchmark_group("expire");
    group.sample_size(10);
    group.throughput(Throughput::Elements(SESSIONS));
    group.bench_function("sessions at one instant", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| end_of(SESSIONS)).sum());
    });
    group.finish();
}

fn end_of(sessions: u64) -> Duration {
    let now = Timestamp::UNIX_EPOCH;
    let clock = Clock::manual(now);
    let (admission, _) = open(sessions, &clock);
    let target = target();
    let permits: Vec<_> = (0..sessions)
        .map(|number| {
            let admittee = admittee(&session(number, now), number, now);
            admission.admit(admittee, &target).expect("it is live")
        })
        .collect();
    clock.set(now + SignedDuration::from_hours(2));
    let began = Instant::now();
    admission.expire_due();
    let took = began.elapsed();
    assert_eq!(admission.live_sessions(), 0);
    drop(permits);
    took
}

criterion_group!(benches, admit, scram, expire);
criterion_main!(benches);
