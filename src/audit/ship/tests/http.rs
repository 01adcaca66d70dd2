//! A feed by HTTP.

use super::*;

/// An HTTP receiver that takes a request or not.
#[derive(Default)]
struct Endpoint {
    arrived: Arrived,
    keys: Vec<String>,
    headers: HeaderMap,
    /// The status of every so many-th request, by a throw of dice.
    mood: Option<StatusCode>,
    most: usize,
    /// The largest body that was taken.
    largest: usize,
}

async fn take(
    State(endpoint): State<Arc<Mutex<Endpoint>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let mut endpoint = endpoint.lock();
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    endpoint.keys.push(key);
    if body.len() > endpoint.most {
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    endpoint.largest = endpoint.largest.max(body.len());
    let dice = rand::rng().random_range(0..4);
    if let (Some(status), 0) = (endpoint.mood, dice) {
        return status;
    }
    let mut text = String::new();
    match headers.get("content-encoding") {
        Some(_) => {
            let mut decoder = flate2::read::GzDecoder::new(&*body);
            decoder.read_to_string(&mut text).unwrap();
        }
        None => text = String::from_utf8(body.to_vec()).unwrap(),
    }
    text.lines().for_each(|line| endpoint.arrived.take(line));
    endpoint.headers = headers;
    // Taken, and yet the answer is an error: then they come twice.
    match (endpoint.mood, dice) {
        (Some(status), 1) => status,
        _ => StatusCode::NO_CONTENT,
    }
}

async fn serve(endpoint: &Arc<Mutex<Endpoint>>, at: SocketAddr) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/ingest", post(take))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(Arc::clone(endpoint));
    let stop = CancellationToken::new();
    let until = stop.clone();
    tokio::spawn(async move {
        let serve = axum::serve(listener, router);
        tokio::select! {
            served = serve => served.unwrap(),
            () = until.cancelled() => {},
        }
    });
    (address, stop)
}

fn endpoint(most: usize, mood: Option<StatusCode>) -> Arc<Mutex<Endpoint>> {
    Arc::new(Mutex::new(Endpoint {
        most,
        mood,
        ..Endpoint::default()
    }))
}

fn no_tls() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(
        builder
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth(),
    )
}

fn http_feed(address: SocketAddr, gzip: bool) -> FeedSettings {
    let url = format!("http://{address}/ingest");
    FeedSettings {
        name: "siem".into(),
        url: url.clone(),
        required: true,
        protocol: Protocol::Http(HttpSettings {
            url: url.parse().unwrap(),
            token: Some(Secret::new("s3cret")),
            headers: vec![("x-tenant".parse().unwrap(), Secret::new("a"))],
            gzip,
            tls: no_tls(),
        }),
    }
}

#[tokio::test]
async fn an_endpoint_gets_every_record_whatever_it_answers() {
    for gzip in [false, true] {
        let endpoint = endpoint(1 << 20, Some(StatusCode::SERVICE_UNAVAILABLE));
        let (address, _stop) = serve(&endpoint, any()).await;
        let mut log = Log::new();
        let mut settings = log.settings();
        settings.feeds = vec![http_feed(address, gzip)];
        let mut running = log.start(&settings);
        for round in 0..12 {
            log.write(1 + round * 7);
            if round % 3 == 2 {
                log.seal();
            }
            if round % 4 == 3 {
                // As if it were killed: whatever is under way is torn.
                running.stop.cancel();
                running = log.start(&settings);
            }
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        let all = || endpoint.lock().arrived.text() == log.lines;
        until("all records are there", all).await;
        running.stop().await;
        let endpoint = endpoint.lock();
        assert_eq!(endpoint.headers["authorization"], "Bearer s3cret");
        assert_eq!(endpoint.headers["x-tenant"], "a");
        let range = endpoint.headers["hallpass-records"].to_str().unwrap();
        let key = endpoint.headers["idempotency-key"].to_str().unwrap();
        assert!(key.starts_with(&format!("\"{range}-")), "{range} {key}");
    }
}

#[tokio::test]
async fn what_was_refused_is_sent_again_under_the_same_key() {
    let endpoint = endpoint(1 << 20, Some(StatusCode::TOO_MANY_REQUESTS));
    let (address, _stop) = serve(&endpoint, any()).await;
    let mut log = Log::new();
    let mut settings = log.settings();
    settings.feeds = vec![http_feed(address, false)];
    log.write(10);
    let mut rounds = 0;
    // Until the dice have fallen for a refusal at least once.
    while endpoint.lock().keys.len() <= rounds {
        let running = log.start(&settings);
        until("all are there", || {
            endpoint.lock().arrived.text() == log.lines
        })
        .await;
        running.stop().await;
        rounds += 1;
        log.write(10);
    }
    let keys = endpoint.lock().keys.clone();
    assert!(keys.windows(2).any(|pair| pair[0] == pair[1]), "{keys:?}");
}

#[tokio::test]
async fn an_endpoint_that_takes_little_gets_little_at_a_time() {
    let endpoint = endpoint(2000, None);
    let (address, _stop) = serve(&endpoint, any()).await;
    let mut log = Log::new();
    let mut settings = log.settings();
    settings.feeds = vec![http_feed(address, false)];
    log.write(200);
    let running = log.start(&settings);
    until("all are there", || {
        endpoint.lock().arrived.text() == log.lines
    })
    .await;
    running.stop().await;
    assert!(endpoint.lock().keys.len() > 10);
}

#[tokio::test]
async fn after_a_413_more_is_sent_at_a_time_again() {
    let endpoint = endpoint(2000, None);
    let (address, _stop) = serve(&endpoint, any()).await;
    let mut log = Log::new();
    let mut settings = log.settings();
    settings.feeds = vec![http_feed(address, false)];
    log.write(100);
    let running = log.start(&settings);
    until("all are there", || {
        endpoint.lock().arrived.text() == log.lines
    })
    .await;
    endpoint.lock().most = 1 << 20;
    log.write(3000);
    until("the others too", || {
        endpoint.lock().arrived.text() == log.lines
    })
    .await;
    running.stop().await;
    assert!(endpoint.lock().largest > 10_000);
}

#[tokio::test]
async fn a_record_that_is_too_large_is_tried_until_it_is_taken_and_none_is_left_out() {
    let endpoint = endpoint(100, None);
    let (address, _stop) = serve(&endpoint, any()).await;
    let mut log = Log::new();
    let mut settings = log.settings();
    settings.feeds = vec![http_feed(address, false)];
    log.write(5);
    let running = log.start(&settings);
    let refused = "hallpass_audit_ship_failures_total{destination=\"siem\",reason=\"too_large\"}";
    until("it is tried again", || running.metric(refused) >= 6.0).await;
    assert!(endpoint.lock().arrived.lines.is_empty());
    assert_eq!(log.flow.needed(), 1);
    endpoint.lock().most = 1 << 20;
    until("all are there", || {
        endpoint.lock().arrived.text() == log.lines
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_was_away_misses_nothing_and_too_much_is_too_much() {
    let endpoint = endpoint(1 << 20, None);
    let (address, stop) = serve(&endpoint, any()).await;
    let mut log = Log::new();
    let mut settings = log.settings();
    settings.feeds = vec![http_feed(address, false)];
    settings.local_limit = Some(4000);
    let running = log.start(&settings);
    log.write(10);
    until("it gets records", || {
        endpoint.lock().arrived.text() == log.lines
    })
    .await;
    stop.cancel();
    log.write(10);
    until("it fails", || {
        running.metric(
            "hallpass_audit_ship_failures_total{destination=\"siem\",reason=\"unreachable\"}",
        ) > 0.0
    })
    .await;
    assert!(!log.flow.is_withheld());
    log.write(50);
    until("no more is taken", || log.flow.is_withheld()).await;
    assert_eq!(running.metric("hallpass_audit_withheld"), 1.0);
    assert!(log.flow.needed() <= 11);

    let (_, _stop) = serve(&endpoint, address).await;
    until("it has all", || endpoint.lock().arrived.text() == log.lines).await;
    until("records are taken again", || !log.flow.is_withheld()).await;
    running.stop().await;
    assert_eq!(running.metric("hallpass_audit_withheld"), 0.0);
}

#[tokio::test]
async fn records_that_are_gone_are_told_and_the_rest_is_sent() {
    let endpoint = endpoint(1 << 20, None);
    let (address, _stop) = serve(&endpoint, any()).await;
    let mut log = Log::new();
    let mut settings = log.settings();
    settings.feeds = vec![http_feed(address, false)];
    log.write(10);
    let running = log.start(&settings);
    until("it gets records", || {
        endpoint.lock().arrived.text() == log.lines
    })
    .await;
    running.stop().await;
    log.write(10);
    log.seal();
    log.write(5);
    fs::remove_file(log.folder.path().join(FileKind::Sealed.name(1))).unwrap();
    let running = log.start(&settings);
    until("the rest arrives", || {
        endpoint.lock().arrived.lines.contains_key(&25)
    })
    .await;
    running.stop().await;
    let missing = "hallpass_audit_ship_failures_total{destination=\"siem\",reason=\"missing\"}";
    assert_eq!(running.metric(missing), 1.0);
}
