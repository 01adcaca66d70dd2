//! Values that a target keeps out of the record: whichever way they travel, nothing of them is on
//! the disk, and everything else is.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, TryStreamExt};
use hallpass::audit::{Copy, Event, Outcome, Parameter, Record};
use hallpass::secret::{hex, sha256};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;

use crate::support::hallpass::Setup;
use crate::support::ledger::Ledger;
use crate::support::login::Login;
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::raw_client::{RawClient, SYNC, execute};
use crate::support::wait;

const TARGETS: [&str; 3] = ["full", "hash", "omit"];
/// `lowrite(int4, bytea)` in `pg_proc.dat`.
const LOWRITE: u32 = 955;
const INT4: u32 = 23;
const INT8: u32 = 20;

async fn hallpass(cluster: &Cluster) -> Process {
    let lines = |target: &str| {
        format!("databases = [\"*\"]\ndefault_database = \"orders\"\nparameters = \"{target}\"")
    };
    let setup = Setup::new(cluster)
        .proxy("tls = \"off\"")
        .section("[log]\nfilter = \"trace\"");
    let setup = TARGETS.iter().fold(setup, |setup, target| {
        setup.target(target, "orders_admin", &lines(target))
    });
    Process::start(setup).await
}

/// What was sent that must not be found, and how it travelled.
type Canaries = Vec<(&'static str, Vec<u8>)>;

/// Longer than one record holds.
fn long(canary: &str) -> String {
    canary.repeat(200 * 1024 / canary.len())
}

/// A Parse with types, Bind, Execute and Sync, of values in binary format.
fn binary(sql: &str, types: &[u32], values: &[&[u8]]) -> BytesMut {
    let mut buffer = BytesMut::new();
    frontend::parse("", sql, types.iter().copied(), &mut buffer).unwrap();
    let write = |value: &&[u8], buffer: &mut BytesMut| {
        buffer.extend_from_slice(value);
        Ok(IsNull::No)
    };
    assert!(frontend::bind("", "", [1], values, write, [], &mut buffer).is_ok());
    frontend::execute("", 0, &mut buffer).unwrap();
    buffer.extend_from_slice(SYNC);
    buffer
}

/// A FunctionCall that writes to the first large object that is open.
fn lowrite(data: &[u8]) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_u32(LOWRITE);
    body.put_slice(b"\0\x01\0\x01\0\x02\0\0\0\x04\0\0\0\0");
    body.put_u32(data.len() as u32);
    body.put_slice(data);
    body.put_u16(1);
    let mut message = BytesMut::from(&b"F"[..]);
    message.put_u32(body.len() as u32 + 4);
    message.unsplit(body);
    message
}

/// Binds and copies in every way that the protocol has, one after the other.
async fn story(login: &Login) -> Canaries {
    let mut client = RawClient::try_login(login, &[("application_name", "story")])
        .await
        .unwrap();
    let mut canaries: Canaries = Vec::new();
    let texts = ["a-text-for-$1", "another-that-is-bound-early"];
    for text in texts {
        let statement = execute("select length($1)", &[text]);
        client.send(&[&statement[..], SYNC].concat()).await;
        client.until(b'Z').await;
        canaries.push(("text", text.into()));
    }
    let number = 7_316_283_940_172_653_i64;
    let statement = binary("select $1 + 1", &[INT8], &[&number.to_be_bytes()]);
    client.send(&statement).await;
    client.until(b'Z').await;
    canaries.push(("a binary int8", number.to_be_bytes().into()));
    canaries.push(("a binary int8's text", number.to_string().into()));

    let (filler, beside) = (long("filler-in-the-long-bind."), "beside-a-long-one");
    let statement = execute("select length($1), $2", &[&filler, beside]);
    client.send(&[&statement[..], SYNC].concat()).await;
    client.until(b'Z').await;
    canaries.push(("a long text", b"filler-in-the-long-bind.".into()));
    canaries.push(("a short text beside a long one", beside.into()));
    let blob = long("binary\x01\x02\x03filler");
    let statement = binary("select length($1::bytea)", &[17], &[blob.as_bytes()]);
    client.send(&statement).await;
    client.until(b'Z').await;
    canaries.push(("long bytes", b"binary\x01\x02\x03filler".into()));

    client.query("begin").await;
    client
        .query("select lo_open(lo_create(0), 131072) as fd")
        .await;
    for data in ["short-large-object".to_owned(), long("long-large-object.")] {
        client.send(&lowrite(data.as_bytes())).await;
        client.until(b'Z').await;
    }
    client.query("commit").await;
    canaries.push(("an argument", b"short-large-object".into()));
    canaries.push(("a long argument", b"long-large-object.".into()));
    client.hang_up().await;
    canaries.extend(copies(login).await);
    canaries
}

/// COPY in both directions, and a driver that prepares and binds in two breaths.
async fn copies(login: &Login) -> Canaries {
    let client = login.connect().await;
    client
        .batch_execute("create temp table copied (it text)")
        .await
        .unwrap();
    let data = "copied-in-and-out\n";
    let sink = client.copy_in("copy copied from stdin").await.unwrap();
    let mut sink = std::pin::pin!(sink);
    sink.send(Bytes::from(data)).await.unwrap();
    sink.close().await.unwrap();
    let stream = client.copy_out("copy copied to stdout").await.unwrap();
    let out: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert_eq!(out.concat(), data.as_bytes());
    let bound = "bound-by-a-driver";
    let sql = "select $1::text, null::text = $2";
    let found = client.query(sql, &[&bound, &None::<&str>]).await;
    assert_eq!(found.unwrap().len(), 1);
    vec![
        ("COPY", b"copied-in-and-out".into()),
        ("COPY's hash", sha256(data.as_bytes()).into()),
        ("a driver", bound.into()),
    ]
}

/// Forms in which something could be found in a file of text.
fn forms(canary: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![canary.to_vec(), hex(canary).into()];
    // As the middle of something longer, in each of base64's three alignments; its last
    // characters depend on what follows.
    for before in 0..3_usize {
        let encoded = STANDARD_NO_PAD.encode([&vec![0; before][..], canary].concat());
        let (from, to) = (before.div_ceil(3) * 4, encoded.len() - 2);
        forms.push(encoded[from..to].into());
    }
    forms.push(hex(&sha256(canary)).into());
    forms
}

fn holds(files: &[(PathBuf, Vec<u8>)], canary: &[u8]) -> bool {
    let forms = forms(canary);
    let found = |bytes: &[u8]| {
        let finds = |form: &Vec<u8>| memchr::memmem::find(bytes, form).is_some();
        forms.iter().any(finds)
    };
    files.iter().any(|(_, bytes)| found(bytes))
}

/// Everything in the audit folder, and the log.
fn written(hallpass: &Process) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = fs::read_dir(hallpass.folder().join("data/audit")).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    let paths = paths.chain([hallpass.folder().join("hallpass.log")]);
    paths
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// Plays the story through one target of a new hallpass.
async fn play(cluster: &Cluster, target: &str) -> (Process, Canaries) {
    let hallpass = hallpass(cluster).await;
    let grant = hallpass.grant("maya", target, "10m").await;
    let canaries = story(&grant.login).await;
    let closed = || async {
        let records = hallpass.records();
        let closed = |r: &&Record| matches!(r.event, Event::ConnectionClosed { .. });
        records.iter().filter(closed).count() == 2
    };
    wait::until("both are closed", Duration::from_secs(10), closed).await;
    (hallpass, canaries)
}

/// A record of what is not a value.
#[derive(Debug, PartialEq)]
struct Kept {
    sql: String,
    parameters: usize,
    outcome: Outcome,
    rows: u64,
    bytes: u64,
    tags: Vec<String>,
    copies: Vec<u64>,
}

fn kept(records: &[Record]) -> Vec<Kept> {
    let ledger = Ledger::read(records);
    ledger.check_outcomes();
    let finished = |place: (_, u64)| {
        records.iter().find_map(|record| match &record.event {
            Event::StatementFinished {
                origin,
                statement,
                outcome,
                results,
                rows,
                bytes,
                copies,
                ..
            } if (origin.connection, *statement) == place => Some(Kept {
                sql: String::new(),
                parameters: 0,
                outcome: *outcome,
                rows: *rows,
                bytes: *bytes,
                tags: results
                    .iter()
                    .map(|it| it.tag.to_lossy().into_owned())
                    .collect(),
                copies: copies.iter().map(|it: &Copy| it.bytes).collect(),
            }),
            _ => None,
        })
    };
    let statements = ledger.statements.iter();
    statements
        .map(|statement| Kept {
            sql: statement.sql.clone(),
            parameters: statement.parameters.len(),
            ..finished(statement.place).unwrap()
        })
        .collect()
}

#[tokio::test]
async fn values_are_nowhere_on_the_disk_and_all_else_is_where_it_was() {
    let cluster = Cluster::start();
    let (full, canaries) = play(&cluster, "full").await;
    let files = written(&full);
    for (way, canary) in &canaries {
        assert!(
            holds(&files, canary) || canary == b"copied-in-and-out",
            "{way}: the search is blind"
        );
    }
    let expected = kept(&full.records());
    for target in ["hash", "omit"] {
        let (hallpass, canaries) = play(&cluster, target).await;
        let files = written(&hallpass);
        for (way, canary) in &canaries {
            assert!(!holds(&files, canary), "{target}: {way} is on the disk");
        }
        let (last, audit) = files.split_last().unwrap();
        assert!(last.0.ends_with("hallpass.log"));
        let has = |line: &[u8], what: &[u8]| memchr::memmem::find(line, what).is_some();
        // What hallpass started with is no value of anybody's.
        let unkeyed = |line: &[u8]| has(line, b"sha256") && !has(line, br#""type":"started""#);
        let unkeyed = |(_, bytes): &(_, Vec<u8>)| bytes.split(|it| *it == b'\n').any(unkeyed);
        assert!(
            !audit.iter().any(unkeyed),
            "{target}: a hash to try values on"
        );
        assert_eq!(kept(&hallpass.records()), expected, "{target}");
        for statement in Ledger::read(&hallpass.records()).statements {
            for parameter in statement.parameters {
                let is_redacted = match parameter {
                    Parameter::Null | Parameter::Hashed { .. } => target == "hash",
                    Parameter::Omitted => target == "omit",
                    Parameter::Text(_) | Parameter::Binary { .. } => false,
                };
                assert!(is_redacted, "{target}: {parameter:?}");
            }
        }
        let named = hallpass.records().iter().any(|record| match &record.event {
            Event::ConnectionOpened {
                application_name, ..
            } => application_name.to_lossy() == "story",
            _ => false,
        });
        assert!(named, "startup parameters stay");
    }
}

#[tokio::test]
async fn equal_values_have_equal_hashes_over_connections_and_messages() {
    let cluster = Cluster::start();
    let hallpass = hallpass(&cluster).await;
    let mut logins = Vec::new();
    for principal in ["maya", "noor"] {
        logins.push(hallpass.grant(principal, "hash", "10m").await.login);
    }
    let four_digits = 4711_i32.to_be_bytes();
    let filler = long("filler");
    let sql = "select $1::int4, length($2)";
    let ways = [
        (&logins[0], execute(sql, &["4711", "short"])),
        (&logins[1], execute(sql, &["4711", &filler])),
        (
            &logins[0],
            binary(sql, &[INT4, 25], &[&four_digits, b"short"]),
        ),
        (
            &logins[1],
            binary(sql, &[INT4, 25], &[&four_digits, filler.as_bytes()]),
        ),
        (&logins[1], execute(sql, &["4712", "short"])),
    ];
    for (login, statement) in ways {
        let mut client = RawClient::login(login).await;
        client.send(&[&statement[..], SYNC].concat()).await;
        client.until(b'Z').await;
        client.hang_up().await;
    }
    let ledger = Ledger::read(&hallpass.records());
    let hashes: Vec<[&str; 2]> = ledger
        .statements
        .iter()
        .map(|statement| match statement.parameters.as_slice() {
            [
                Parameter::Hashed { hmac: number },
                Parameter::Hashed { hmac: text },
            ] => [&**number, &**text],
            other => panic!("{other:?}"),
        })
        .collect();
    let [first, second, third, fourth, other] = hashes[..] else {
        panic!("{hashes:?}");
    };
    assert_eq!((first, second), (third, fourth), "text and binary");
    assert_eq!(first[0], second[0], "short messages and long");
    assert_ne!(first[1], second[1]);
    assert_ne!(first[0], other[0]);
    assert_eq!(first[1], other[1], "over two people's connections");
}
