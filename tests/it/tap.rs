//! A tap on either side of hallpass: outside the login, what goes in comes out, to the byte.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::support::hallpass::Setup;
use crate::support::login::{Login, said};
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::wait;

/// Both streams of one connection.
#[derive(Debug, Clone, Default)]
struct Streams {
    from_client: Vec<u8>,
    from_server: Vec<u8>,
    ends: usize,
}

/// Listens in on connections to a port.
#[derive(Clone)]
struct Tap {
    port: u16,
    heard: Arc<Mutex<Vec<Arc<Mutex<Streams>>>>>,
}

impl Tap {
    /// In front of that port of 127.0.0.1, which may be opened later.
    async fn new(to: Arc<Mutex<u16>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tap = Self {
            port: listener.local_addr().unwrap().port(),
            heard: Arc::default(),
        };
        let heard = Arc::clone(&tap.heard);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let port = *to.lock();
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let streams = Arc::new(Mutex::new(Streams::default()));
                heard.lock().push(Arc::clone(&streams));
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let up = Arc::clone(&streams);
                tokio::spawn(copy(from_client, to_server, up, |s| &mut s.from_client));
                tokio::spawn(copy(from_server, to_client, streams, |s| {
                    &mut s.from_server
                }));
            }
        });
        tap
    }

    /// What was heard of all connections, once all of them have ended.
    async fn streams(&self, count: usize) -> Vec<Streams> {
        let ended = || async {
            let heard = self.heard.lock();
            heard.len() == count && heard.iter().all(|streams| streams.lock().ends == 2)
        };
        wait::until("all connections have ended", Duration::from_secs(20), ended).await;
        self.heard.lock().iter().map(|s| s.lock().clone()).collect()
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    streams: Arc<Mutex<Streams>>,
    side: fn(&mut Streams) -> &mut Vec<u8>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        side(&mut streams.lock()).extend(&buffer[..read]);
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
    streams.lock().ends += 1;
}

fn len(bytes: &[u8]) -> usize {
    u32::from_be_bytes(*bytes.first_chunk().expect("a length")) as usize
}

/// What a client sent behind its login: the startup packet, then SASL messages.
fn behind_requests(stream: &[u8]) -> &[u8] {
    let mut rest = &stream[len(stream)..];
    while rest.first() == Some(&b'p') {
        rest = &rest[1 + len(&rest[1..])..];
    }
    rest
}

/// What a server sent behind its first ReadyForQuery.
fn behind_greeting(stream: &[u8]) -> &[u8] {
    let mut rest = stream;
    loop {
        let (tag, end) = (rest[0], 1 + len(&rest[1..]));
        rest = &rest[end..];
        if tag == b'Z' {
            return rest;
        }
    }
}

fn run(login: &Login, program: &str, arguments: &[&str]) {
    let output = login.command(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[tokio::test]
async fn what_goes_in_comes_out_to_the_byte() {
    let cluster = Cluster::start();
    let behind = Tap::new(Arc::new(Mutex::new(cluster.port()))).await;
    let setup = Setup::in_front_of(behind.port).proxy("tls = \"off\"");
    let hallpass = Process::start(setup).await;
    let before = Tap::new(Arc::new(Mutex::new(hallpass.proxy.port()))).await;
    let mut login = hallpass.grant("maya", "orders-admin", "10m").await.login;
    login.port = before.port;

    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.sql");
    let file = folder.path().join("orders.csv");
    let text = format!(
        "select * from orders;\nselect 1/0;\n\\copy orders to '{0}' csv\n\
         create temp table again (like orders);\n\\copy again from '{0}' csv\n\
         copy again from stdin;\nnot a number\n\\.\nlisten news;\nnotify news, 'x';\n\
         \\lo_import '{0}'\nselect $1::text \\bind 'a' \\g\n\
         select length(repeat('y', 3000000)), repeat('z', 3000000);\n\
         select '{1}' = '';\nselect 1 \\; select 2 \\; select 1/0;\n",
        file.display(),
        "long ".repeat(50_000)
    );
    std::fs::write(&script, text).unwrap();
    let script = script.to_str().unwrap().to_owned();
    let pgbench = "pgbench --no-vacuum -c 1 -t 20 -M";
    let pgbench: Vec<&str> = pgbench.split(' ').collect();
    tokio::task::spawn_blocking(move || {
        run(
            &login,
            "psql",
            &["-X", "-q", "-o", "/dev/null", "-f", &script],
        );
        run(&login, "pgbench", &["-i", "-q", "-I", "dtg"]);
        for mode in ["simple", "extended", "prepared"] {
            run(&login, pgbench[0], &[&pgbench[1..], &[mode]].concat());
        }
    })
    .await
    .unwrap();

    // pgbench looks at its tables by a connection of its own before it begins.
    let count = before.heard.lock().len();
    assert!(count >= 5, "{count}");
    let (before, behind) = (before.streams(count).await, behind.streams(count).await);
    for (i, (before, behind)) in before.iter().zip(&behind).enumerate() {
        let sent = behind_requests(&before.from_client);
        assert!(!sent.is_empty());
        let forwarded = behind_requests(&behind.from_client);
        assert!(
            sent == forwarded,
            "requests of connection {i}: {} bytes became {}",
            sent.len(),
            forwarded.len()
        );
        let answered = behind_greeting(&behind.from_server);
        assert!(
            behind_greeting(&before.from_server) == answered,
            "answers of connection {i}"
        );
    }
}
