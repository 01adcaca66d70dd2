//! How fast `hallpass audit search` is, beside ripgrep over the same lines:
//! `cargo bench --bench audit_search -- --records 10000000`.
//!
//! Makes a log by the recorder that the server has (64 connections at a time, sealed as it grows),
//! and searches it sealed and as plain lines. Each figure is the best of five runs, from a warm
//! page cache.

#![expect(clippy::print_stdout, reason = "its figures are for the terminal")]

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hallpass::access::{ConnectionId, SessionId};
use hallpass::audit::{
    Batch, CommandResult, Event, Held, Keeper, Origin, Outcome, Parameter, Recorder, Retention,
    Settings, SigningKey, StatementKind, Text,
};
use hallpass::clock::Clock;
use hallpass::telemetry::Metrics;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Connections that are open at a time.
const OPEN: u64 = 64;
/// Statements of a connection.
const STATEMENTS: u64 = 250;
/// Connections of a session.
const CONNECTIONS: u64 = 4;
/// A statement with the text that is looked for comes after so many.
const RARE: u64 = 500_000;
const RUNS: usize = 5;

fn main() -> Result<()> {
    let options = Options::read()?;
    if !options.folder.join("audit").exists() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        runtime.block_on(make(&options))?;
        spread(&options.folder)?;
    }
    measure(&options)
}

struct Options {
    records: u64,
    folder: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Options {
    fn read() -> Result<Self> {
        let arguments: Vec<String> = std::env::args().collect();
        let value = |name: &str| {
            let at = arguments.iter().position(|it| it == name)?;
            arguments.get(at + 1)
        };
        let records = value("--records").map_or(Ok(1_000_000), |it| it.parse())?;
        let (folder, temporary) = match value("--folder") {
            Some(folder) => (folder.into(), None),
            None => {
                let temporary = tempfile::tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        Ok(Self {
            records,
            folder,
            _temporary: temporary,
        })
    }
}

/// Makes the log.
async fn make(options: &Options) -> Result<()> {
    let folder = options.folder.join("audit");
    fs::create_dir_all(&folder)?;
    let start: Timestamp = "2026-11-01T00:00:00Z".parse()?;
    let clock = Clock::manual(start);
    let settings = Settings::new(folder.clone(), SigningKey::generate());
    let metrics = Arc::new(Metrics::new());
    let (recorder, writer) = Recorder::start(&settings, clock.clone(), Arc::clone(&metrics))?;
    let stop = CancellationToken::new();
    let keeper = Keeper {
        folder: folder.clone(),
        retention: Retention::default(),
        held: Held::default(),
        recorder: recorder.clone(),
        clock: clock.clone(),
        metrics,
    };
    let keeper = tokio::spawn(keeper.run(stop.clone()));
    let began = Instant::now();
    let (mut made, mut round) = (0, 0);
    while made < options.records {
        made += generation(&recorder, &clock, round).await?;
        round += 1;
    }
    while raw_segments(&folder)? > 1 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stop.cancel();
    keeper.await?;
    drop(recorder);
    writer.await?;
    println!(
        "{made} records made in {:.0} s",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

fn raw_segments(folder: &Path) -> Result<usize> {
    let names =
        fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| name.ends_with(".jsonl")).count())
}

/// Connections that are open together, from their beginnings to their ends. How many records.
async fn generation(recorder: &Recorder, clock: &Clock, round: u64) -> Result<u64> {
    let origins: Vec<Arc<Origin>> = (0..OPEN).map(|n| origin(round * OPEN + n)).collect();
    let mut made = 0;
    commit(
        recorder,
        clock,
        origins.iter().map(opened).collect(),
        &mut made,
    )
    .await?;
    for statement in 1..=STATEMENTS {
        let number = |n: usize| (round * OPEN + n as u64) * STATEMENTS + statement;
        let started = origins.iter().enumerate();
        let started = started.map(|(n, it)| started_by(it, statement, number(n)));
        commit(recorder, clock, started.collect(), &mut made).await?;
        let finished = origins.iter().enumerate();
        let finished = finished.map(|(n, it)| finished_by(it, statement, number(n)));
        commit(recorder, clock, finished.collect(), &mut made).await?;
    }
    commit(
        recorder,
        clock,
        origins.iter().map(closed).collect(),
        &mut made,
    )
    .await?;
    Ok(made)
}

/// Records events, each a little later than the one before.
async fn commit(
    recorder: &Recorder,
    clock: &Clock,
    events: Vec<Event>,
    made: &mut u64,
) -> Result<()> {
    for events in events.chunks(8) {
        clock.set(clock.now() + SignedDuration::from_micros(8_437));
        let mut batch: Batch = recorder.batch();
        events.iter().for_each(|event| batch.push(event));
        recorder.note(&batch).await?;
        *made += events.len() as u64;
    }
    Ok(())
}

/// Numbers that look random and are the same in each run.
fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn session(connection: u64) -> SessionId {
    SessionId::from_random(mixed(connection / CONNECTIONS + 1))
}

fn origin(n: u64) -> Arc<Origin> {
    let of_session = mixed(n / CONNECTIONS);
    let principal = format!(
        "{}.{}@example.com",
        NAMES[(of_session % 8) as usize],
        of_session % 50
    );
    let target = TARGETS[(of_session / 50 % 5) as usize];
    Arc::new(Origin::new(
        ConnectionId::from_random(mixed(n + (1 << 40))),
        session(n),
        principal.parse().expect("a name"),
        target.parse().expect("a name"),
        "orders".into(),
    ))
}

const NAMES: [&str; 8] = [
    "maya", "dana", "noor", "tomas", "ines", "kofi", "yuki", "lena",
];
const TARGETS: [&str; 5] = [
    "orders-ro",
    "orders-admin",
    "billing-ro",
    "crm",
    "warehouse",
];
const TEXTS: [&str; 8] = [
    "select r.id, c.name, r.amount from refunds r join customers c on c.id = r.customer where r.state = $1 order by r.id limit $2",
    "UPDATE orders SET state = $1, changed_at = now() WHERE id = $2 AND state <> $1 RETURNING id",
    "SELECT o.id, o.created_at, o.state, o.total_cents, o.currency, o.customer_id FROM public.orders AS o WHERE o.customer_id = $1 AND o.created_at >= $2 ORDER BY o.created_at DESC",
    "insert into order_events (order_id, kind, payload) values ($1, 'note', $2)",
    "BEGIN",
    "COMMIT",
    "SELECT abalance FROM pgbench_accounts WHERE aid = $1;",
    "with recent as (select customer, sum(amount) as total\n  from payments\n  where at > now() - interval '30 days'\n  group by customer)\nselect * from recent where total > $1 -- \"large\" ones",
];

fn opened(origin: &Arc<Origin>) -> Event {
    Event::ConnectionOpened {
        origin: Arc::clone(origin),
        peer: "10.1.2.3:51234".to_owned(),
        application_name: "psql".into(),
        startup: vec![("client_encoding".into(), "UTF8".into())],
        tls: Some("TLSv1.3 TLS13_AES_256_GCM_SHA384".to_owned()),
    }
}

fn closed(origin: &Arc<Origin>) -> Event {
    Event::ConnectionClosed {
        origin: Arc::clone(origin),
        reason: "client_terminated".to_owned(),
        statements: STATEMENTS,
        bytes_in: 40_000,
        bytes_out: 200_000,
    }
}

fn started_by(origin: &Arc<Origin>, statement: u64, number: u64) -> Event {
    let kind = (mixed(number) % 8) as usize;
    let values = ["stuck".to_owned(), mixed(number).to_string()];
    let sql = match number % RARE {
        0 => format!("select * from refunds where note = 'INC-{number} Needle' -- {number}"),
        _ => TEXTS[kind].to_owned(),
    };
    let count = if number.is_multiple_of(RARE) {
        0
    } else {
        TEXTS[kind].matches('$').count().min(2)
    };
    Event::StatementStarted {
        origin: Arc::clone(origin),
        statement,
        kind: StatementKind::Extended,
        name: None,
        portal: None,
        types: Vec::new(),
        sql: Some(sql.as_str().into()),
        prepared: None,
        bound: None,
        parameters: values[..count]
            .iter()
            .map(|it| Parameter::Text(it.as_str().into()))
            .collect(),
        function: None,
        parts: 0,
    }
}

fn finished_by(origin: &Arc<Origin>, statement: u64, number: u64) -> Event {
    let random = mixed(number);
    let failed = random.is_multiple_of(997);
    Event::StatementFinished {
        origin: Arc::clone(origin),
        statement,
        outcome: if failed {
            Outcome::Failed
        } else {
            Outcome::Completed
        },
        results: vec![CommandResult {
            tag: Text::from(format!("SELECT {}", random % 90).as_str()),
        }],
        sqlstate: failed.then(|| "42P01".to_owned()),
        rows: random % 90,
        bytes: random % 10_000,
        copies: Vec::new(),
        microseconds: random % 20_000,
    }
}

/// Writes the lines of every segment as plain files beside the log.
fn spread(folder: &Path) -> Result<()> {
    let lines = folder.join("lines");
    fs::create_dir_all(&lines)?;
    for entry in fs::read_dir(folder.join("audit"))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|it| it.to_str())
            .unwrap_or_default();
        match name.strip_suffix(".zst") {
            Some(plain) => {
                let out = File::create(lines.join(plain))?;
                zstd::stream::copy_decode(File::open(&path)?, out)?;
            }
            None if name.ends_with(".jsonl") => drop(fs::copy(&path, lines.join(name))?),
            None => {}
        }
    }
    Ok(())
}

fn measure(options: &Options) -> Result<()> {
    let folder = &options.folder;
    let (sealed, lines) = (folder.join("audit"), folder.join("lines"));
    let (bytes, stored) = (size(&lines)?, size(&sealed)?);
    println!(
        "{:.2} GB of lines in {} segments, {:.2} GB sealed\n",
        bytes as f64 / 1e9,
        fs::read_dir(&lines)?.count(),
        stored as f64 / 1e9
    );
    // One from the middle.
    let one = session(options.records / (2 * STATEMENTS) / 2).to_string();
    let took = hallpass(&sealed, &["--session", &one])?;
    println!("one session ({one}): {:.0} ms\n", took.as_secs_f64() * 1e3);
    println!(
        "{:<34}{:>10}{:>10}{:>10}{:>8}",
        "search", "", "seconds", "MB/s", "ratio"
    );
    for (name, search, ripgrep) in [
        (
            "a rare literal, its case",
            &["Needle"][..],
            &["-F", "Needle"][..],
        ),
        ("a rare literal, any case", &["needle"], &["-iF", "needle"]),
        ("a regex", &["-e", "INC-[0-9]+ Need"], &["INC-[0-9]+ Need"]),
        (
            "a regex without a literal",
            &["-e", "[A-Z]{3}-[0-9]{6,} [A-Z]"],
            &["[A-Z]{3}-[0-9]{6,} [A-Z]"],
        ),
    ] {
        let base = ripgrep_over(&lines, ripgrep)?;
        let show = |who: &str, took: Duration| {
            let speed = bytes as f64 / 1e6 / took.as_secs_f64();
            let ratio = base.as_secs_f64() / took.as_secs_f64();
            println!(
                "{name:<34}{who:>10}{:>10.2}{speed:>10.0}{ratio:>8.2}",
                took.as_secs_f64()
            );
        };
        show("rg lines", base);
        show("lines", hallpass(&lines, search)?);
        show("sealed", hallpass(&sealed, search)?);
    }
    let took = hallpass(&sealed, &["--longer", "19990us", "--outcome", "failed"])?;
    println!("\nslow and failed: {:.2} s", took.as_secs_f64());
    Ok(())
}

fn size(folder: &Path) -> Result<u64> {
    let entries = fs::read_dir(folder)?.map(|entry| entry?.metadata());
    let sizes: io::Result<Vec<u64>> = entries.map(|it| Ok(it?.len())).collect();
    Ok(sizes?.into_iter().sum())
}

fn hallpass(folder: &Path, arguments: &[&str]) -> Result<Duration> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hallpass"));
    command.args(["audit", "search", "--from"]).arg(folder);
    command.args(arguments).args(["--output", "json"]);
    best(&mut command)
}

fn ripgrep_over(folder: &Path, arguments: &[&str]) -> Result<Duration> {
    let mut command = Command::new("rg");
    command.args(arguments).arg(folder);
    best(&mut command)
}

/// The best of some runs that find something.
fn best(command: &mut Command) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let began = Instant::now();
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()?;
        best = best.min(began.elapsed());
        if !output.status.success() || output.stdout.is_empty() {
            return Err(format!("{command:?} found nothing").into());
        }
    }
    Ok(best)
}
