//! A great deal of everything, and a peer that is in no hurry: memory stays where it was.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::hallpass::Setup;
use crate::support::login::Login;
use crate::support::process::Process;
use crate::support::wire::{self, Wire, header, message};

/// How a CancelRequest begins, behind its length.
const CANCEL: [u8; 4] = [0x04, 0xd2, 0x16, 0x2e];
const MIB: u64 = 1024 * 1024;

/// A hallpass of its own process, and a scripted upstream behind it.
struct Volume {
    hallpass: Process,
    login: Login,
    listener: TcpListener,
    /// What the process held before.
    before: u64,
}

impl Volume {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let setup = Setup::in_front_of(port).proxy("tls = \"off\"");
        let hallpass = Process::start(setup).await;
        let login = hallpass.grant("maya", "orders-ro", "10m").await.login;
        let mut volume = Self {
            hallpass,
            login,
            listener,
            before: 0,
        };
        // The first connection pays for what is made once.
        drop(volume.connect().await);
        volume.before = volume.memory("VmRSS:");
        volume.reset_peak();
        volume
    }

    async fn connect(&self) -> (Wire<TcpStream>, Wire<TcpStream>) {
        let mut client = Wire::new(TcpStream::connect(self.hallpass.proxy).await.unwrap());
        let login = client.login(&self.login.user, "orders", &self.login.password);
        let (greeting, upstream) = tokio::join!(login, self.accept());
        greeting.unwrap();
        (client, upstream)
    }

    /// The next upstream connection; cancels of those before it are none.
    async fn accept(&self) -> Wire<TcpStream> {
        loop {
            let mut upstream = Wire::new(self.listener.accept().await.unwrap().0);
            if !upstream.packet().await.starts_with(&CANCEL) {
                upstream.send(&wire::welcome(1, b"abcd")).await;
                return upstream;
            }
        }
    }

    fn memory(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.hallpass.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.unwrap().parse::<u64>().unwrap() * 1024
    }

    fn reset_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.hallpass.pid()), "5").unwrap();
    }

    /// The most that was held since, at once, more than before.
    fn grew_at_most(&self, limit: u64) {
        let grown = self.memory("VmHWM:").saturating_sub(self.before);
        assert!(grown <= limit, "grew by {} MiB", grown / MIB);
    }

    async fn works_on(&self) {
        let (mut client, mut upstream) = self.connect().await;
        client.send(&wire::query("select 1")).await;
        upstream.frame().await;
        upstream.send(&wire::done("SELECT 1")).await;
        client.until(b'Z').await;
    }
}

/// Waits until a counter has not moved for a while: whoever moves it is blocked.
async fn stalled(counter: &AtomicU64) -> u64 {
    let mut seen = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = counter.load(Ordering::Relaxed);
        if now == seen && now > 0 {
            return now;
        }
        seen = now;
    }
}

/// Sends a header and as many bytes behind it as it says, in pieces; the counter follows.
fn pour(
    socket: TcpStream,
    head: Vec<u8>,
    piece: Vec<u8>,
    pieces: u64,
    tail: Vec<u8>,
) -> (Arc<AtomicU64>, JoinHandle<TcpStream>) {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let mut socket = socket;
    let pouring = tokio::spawn(async move {
        socket.write_all(&head).await.unwrap();
        for _ in 0..pieces {
            socket.write_all(&piece).await.unwrap();
            counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        socket.write_all(&tail).await.unwrap();
        socket
    });
    (sent, pouring)
}

/// Reads this many bytes and forgets them.
async fn drain(socket: &mut TcpStream, mut bytes: u64) {
    let mut scratch = vec![0; 256 * 1024];
    while bytes > 0 {
        let read = socket.read(&mut scratch).await.unwrap() as u64;
        assert!(read > 0, "{bytes} bytes are missing");
        bytes -= read.min(bytes);
    }
}

#[tokio::test]
async fn a_row_of_a_gibibyte_and_a_client_that_reads_late_cost_no_memory() {
    const ROW: u64 = 0x3fff_fc00;
    let volume = Volume::open().await;
    let (mut client, mut upstream) = volume.connect().await;
    client
        .send(&wire::query("select repeat('x', 1 << 30)"))
        .await;
    upstream.frame().await;
    let head = header(b'D', i32::try_from(ROW + 4).unwrap());
    let tail = wire::done("SELECT 1");
    let total = head.len() as u64 + ROW + tail.len() as u64;
    let (sent, pouring) = pour(
        upstream.into_io(),
        head,
        vec![b'x'; 1024 * 255],
        ROW / (1024 * 255),
        Vec::new(),
    );
    let before = stalled(&sent).await;
    assert!(before < 64 * MIB, "{before} bytes were taken and not read");
    let mut client = client.into_io();
    let poured = ROW / (1024 * 255) * (1024 * 255);
    let rest = async {
        let mut upstream = pouring.await.unwrap();
        upstream
            .write_all(&vec![b'x'; usize::try_from(ROW - poured).unwrap()])
            .await
            .unwrap();
        upstream.write_all(&tail).await.unwrap();
        upstream
    };
    let (_upstream, ()) = tokio::join!(rest, drain(&mut client, total));
    volume.grew_at_most(16 * MIB);
    volume.works_on().await;
}

#[tokio::test]
async fn a_large_copy_and_a_slow_peer_on_either_side_cost_no_memory() {
    const PIECES: u64 = 2_000;
    let volume = Volume::open().await;
    let piece = message(b'd', &[b'x'; 65_000]);
    let total = PIECES * piece.len() as u64;

    let (mut client, mut upstream) = volume.connect().await;
    client.send(&wire::query("copy t to stdout")).await;
    upstream.frame().await;
    let head = message(b'H', b"\0\0\0");
    let tail = [message(b'c', b""), wire::done("COPY 1")].concat();
    let frame = head.len() as u64 + tail.len() as u64;
    let (sent, pouring) = pour(upstream.into_io(), head, piece.clone(), PIECES, tail);
    assert!(
        stalled(&sent).await < 64 * MIB,
        "the client reads nothing yet"
    );
    drain(&mut client.into_io(), total + frame).await;
    drop(pouring.await.unwrap());
    volume.grew_at_most(16 * MIB);

    let (mut client, mut upstream) = volume.connect().await;
    client.send(&wire::query("copy t from stdin")).await;
    upstream.frame().await;
    upstream.send(&message(b'G', b"\0\0\0")).await;
    assert_eq!(client.frame().await.tag, b'G');
    let tail = message(b'c', b"");
    let end = tail.len() as u64;
    let (sent, pouring) = pour(client.into_io(), Vec::new(), piece, PIECES, tail);
    assert!(
        stalled(&sent).await < 64 * MIB,
        "the upstream reads nothing yet"
    );
    drain(&mut upstream.into_io(), total + end).await;
    drop(pouring.await.unwrap());
    volume.grew_at_most(16 * MIB);
    volume.works_on().await;
}

fn number(i: u64) -> String {
    format!("{i:012}")
}

/// An answer that is so long that not all of them fit what the kernel keeps.
fn answer(tag: &str) -> Vec<u8> {
    [message(b'D', &[b'x'; 500]), wire::done(tag)].concat()
}

#[tokio::test]
async fn a_long_pipeline_and_a_client_that_reads_late_are_answered_in_order_and_recorded() {
    const STATEMENTS: u64 = 100_000;
    let volume = Volume::open().await;
    let (client, mut upstream) = volume.connect().await;
    let answered = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&answered);
    // As a server does it: it takes the next statement when the answer to the last is written.
    let server = tokio::spawn(async move {
        for _ in 0..STATEMENTS {
            let mut sql = upstream.frame().await.strings();
            upstream.send(&answer(&sql.remove(0))).await;
            counter.fetch_add(1, Ordering::Relaxed);
        }
        upstream
    });
    let (reader, mut writer) = client.into_io().into_split();
    let sender = tokio::spawn(async move {
        let pipeline: Vec<u8> = (0..STATEMENTS)
            .flat_map(|i| wire::query(&number(i)))
            .collect();
        writer.write_all(&pipeline).await.unwrap();
        writer
    });
    let early = stalled(&answered).await;
    assert!(early < STATEMENTS, "all was answered, and nobody read");
    let mut reader = BufReader::new(reader);
    for i in 0..STATEMENTS {
        let expected = answer(&number(i));
        let mut got = vec![0; expected.len()];
        reader.read_exact(&mut got).await.unwrap();
        assert!(got == expected, "the answer to statement {i}");
    }
    drop((sender.await.unwrap(), reader, server.await.unwrap()));
    volume.grew_at_most(32 * MIB);
    let folder = volume.hallpass.folder().join("data/audit");
    let mut started = 0;
    for file in fs::read_dir(folder).unwrap() {
        let log = fs::read(file.unwrap().path()).unwrap();
        started +=
            memchr::memmem::find_iter(&log, b"\"type\":\"statement_started\"").count() as u64;
    }
    assert_eq!(started, STATEMENTS);
    volume.works_on().await;
}
