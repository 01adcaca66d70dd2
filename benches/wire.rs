//! What it costs to look at the wire: `cargo bench --bench wire`.
//!
//! Framing alone, and the statement tracker, which reads both directions of a connection and says
//! what must be recorded: the time of one statement, both ways.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hallpass::pg::frame;
use hallpass::pg::statements::Tracker;
use tokio::time::Instant;

const SQL: &[u8] = b"SELECT abalance FROM pgbench_accounts WHERE aid = $1;\0";

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a short message");
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

/// A result of rows of 100 bytes, as a server sends it.
fn rows(count: usize) -> Vec<u8> {
    let row = [&[0, 1, 0, 0, 0, 94][..], &[b'x'; 94]].concat();
    let mut bytes = message(
        b'T',
        b"\0\x01line\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0",
    );
    for _ in 0..count {
        bytes.extend(message(b'D', &row));
    }
    bytes.extend(message(b'C', b"SELECT 1000\0"));
    bytes.extend(message(b'Z', b"I"));
    bytes
}

/// Cuts a stream into frames.
fn framing(criterion: &mut Criterion) {
    let stream = rows(1000);
    let mut group = criterion.benchmark_group("framing");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("rows of 100 bytes", |bencher| {
        bencher.iter(|| {
            let (mut rest, mut frames) = (&stream[..], 0);
            while let Some(header) = frame::header(rest).expect("sound") {
                let length = usize::try_from(header.body).expect("short") + frame::HEADER;
                rest = &rest[length..];
                frames += 1;
            }
            black_box(frames)
        });
    });
    group.bench_function("rows of 100 bytes, tracked", |bencher| {
        let (mut tracker, mut facts) = (Tracker::new(), Vec::new());
        let query = message(b'Q', b"SELECT line FROM t\0");
        bencher.iter(|| {
            tracker.sent(&query, Instant::now(), &mut facts);
            tracker.received(&stream, &mut facts).expect("sound");
            black_box(facts.drain(..).count())
        });
    });
    group.finish();
}

/// One statement: what the client sends, and what the server answers.
fn statement(criterion: &mut Criterion) {
    let answer = [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat();
    let row = message(b'D', &[0, 1, 0, 0, 0, 1, b'0']);
    let simple = (message(b'Q', SQL), [row.clone(), answer.clone()].concat());
    let bind = b"\0P_0\0\0\0\0\x01\0\0\0\x044711\0\0";
    let extended = (
        [
            message(b'B', bind),
            message(b'D', b"P\0"),
            message(b'E', b"\0\0\0\0\0"),
            message(b'S', b""),
        ]
        .concat(),
        [message(b'2', b""), message(b'n', b""), row, answer].concat(),
    );
    let mut group = criterion.benchmark_group("statement");
    group.throughput(Throughput::Elements(1));
    for (name, (request, reply)) in [("simple", simple), ("prepared", extended)] {
        group.bench_function(name, |bencher| {
            let (mut tracker, mut facts) = (Tracker::new(), Vec::new());
            let parse = [b"P_0\0", SQL, b"\0\0"].concat();
            let parse = [message(b'P', &parse), message(b'S', b"")].concat();
            tracker.sent(&parse, Instant::now(), &mut facts);
            let prepared = [message(b'1', b""), message(b'Z', b"I")].concat();
            tracker.received(&prepared, &mut facts).expect("sound");
            let now = Instant::now();
            bencher.iter(|| {
                tracker.sent(black_box(&request), now, &mut facts);
                tracker
                    .received(black_box(&reply), &mut facts)
                    .expect("sound");
                black_box(facts.drain(..).count())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, framing, statement);
criterion_main!(benches);
