//! A feed by syslog.

use super::*;

/// A syslog receiver by TCP; it hangs up after so many bytes, if at all.
async fn syslog(arrived: Arc<Mutex<Arrived>>, patience: Option<usize>) -> SocketAddr {
    let listener = TcpListener::bind(any()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut patience = patience;
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            let limit = patience.take().unwrap_or(usize::MAX);
            while read.len() < limit && socket.read_buf(&mut read).await.unwrap_or(0) > 0 {
                read = understand(read, &arrived);
            }
        }
    });
    address
}

/// Takes the whole messages; what is left.
fn understand(mut read: Vec<u8>, arrived: &Mutex<Arrived>) -> Vec<u8> {
    loop {
        let Some(space) = memchr::memchr(b' ', &read) else {
            return read;
        };
        let length: usize = std::str::from_utf8(&read[..space])
            .unwrap()
            .parse()
            .unwrap();
        if read.len() < space + 1 + length {
            return read;
        }
        let rest = read.split_off(space + 1 + length);
        let message = String::from_utf8(read[space + 1..].to_vec()).unwrap();
        let (header, line) = message.split_once("\"] ").unwrap();
        assert!(header.starts_with("<134>1 2026-11-22T09:04:45"), "{header}");
        arrived.lock().take(line);
        read = rest;
    }
}

fn syslog_feed(address: SocketAddr) -> FeedSettings {
    FeedSettings {
        name: "logs".into(),
        url: format!("syslog+tcp://{address}"),
        required: false,
        protocol: Protocol::Syslog(SyslogSettings {
            host: address.ip().to_string(),
            port: address.port(),
            tls: None,
            facility: 16,
        }),
    }
}

#[tokio::test]
async fn syslog_sends_again_what_a_broken_connection_may_have_swallowed() {
    let arrived = Arc::new(Mutex::new(Arrived::default()));
    // It reads a little, with much more in its buffers, and hangs up.
    let address = syslog(Arc::clone(&arrived), Some(5000)).await;
    let mut log = Log::new();
    let mut settings = log.settings();
    settings.feeds = vec![syslog_feed(address)];
    log.write(300);
    log.seal();
    log.write(30);
    let running = log.start(&settings);
    until("all are there", || arrived.lock().text() == log.lines).await;
    log.write(30);
    until("the new ones too", || arrived.lock().text() == log.lines).await;
    running.stop().await;

    // It said goodbye and was heard: nothing is sent twice after the restart.
    let twice = arrived.lock().twice;
    log.write(10);
    let running = log.start(&settings);
    until("the newest too", || arrived.lock().text() == log.lines).await;
    running.stop().await;
    assert_eq!(arrived.lock().twice, twice);
}

#[tokio::test]
async fn another_log_in_the_same_place_is_sent_from_its_beginning() {
    // Longer than this one, or shorter, or as long; and none that names no record at all.
    for seq in [1000, 4, 10] {
        let arrived = Arc::new(Mutex::new(Arrived::default()));
        let address = syslog(Arc::clone(&arrived), None).await;
        let mut log = Log::new();
        let mut settings = log.settings();
        settings.feeds = vec![syslog_feed(address)];
        let mark = Mark::new(&settings.marks, "logs", &format!("syslog+tcp://{address}"));
        let hash = Hash::of(b"another");
        mark.save(Head { seq, hash }).unwrap();
        log.write(10);
        let running = log.start(&settings);
        until("all are there", || arrived.lock().text() == log.lines).await;
        running.stop().await;
        assert_eq!(mark.load().unwrap(), Some(log.head));
    }
}
