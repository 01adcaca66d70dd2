//! Secrets as canaries: what hallpass writes, at its most talkative, is searched for them.

use std::fs;
use std::path::{Path, PathBuf};

use hallpass::secret::{hex, sha256};
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::json;

use crate::support::hallpass::{Setup, token};
use crate::support::login::Login;
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::raw_client::{RawClient, query};

/// Everything below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    let needle = needle.as_bytes();
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// Everything that a day brings, with every secret in use, and some in the wrong place.
async fn story(hallpass: &Process, cluster: &Cluster) -> Vec<(&'static str, String)> {
    let grant = hallpass.grant("maya", "orders-admin", "10m").await;
    let brief = hallpass.grant("noor", "orders-ro", "1s").await;
    let mut client = RawClient::login(&grant.login).await;
    client.query("select 1").await;
    client.query("select 1/0").await;
    assert_eq!(grant.login.ask("select 2"), "2");
    let wrong = Login {
        user: "noor~orders-admin".to_owned(),
        ..grant.login.clone()
    };
    assert!(RawClient::try_login(&wrong, &[]).await.is_err());
    let md5 = hallpass.grant("maya", "orders-md5", "10m").await;
    assert_eq!(md5.login.ask("select 3"), "3");
    let broken = hallpass.grant("maya", "broken", "10m").await;
    assert!(RawClient::try_login(&broken.login, &[]).await.is_err());
    let body = json!({ "target": "orders-ro", "duration": "1m", "reason": "" });
    let refused = hallpass.call::<serde_json::Value>("maya", Method::POST, "/requests", body);
    assert!(refused.await.is_err());
    client.send(&query("select pg_sleep(600)")).await;
    cluster.running("pg_sleep(600)").await;
    hallpass.revoke(grant.session).await;
    client.end().await;
    vec![
        ("maya's token", token("maya")),
        ("noor's token", token("noor")),
        ("dana's token", token("dana")),
        ("a session's secret", grant.secret.password),
        ("a session's secret", brief.secret.password),
        ("a session's secret", md5.secret.password),
        ("the upstream's password", "orders-admin-secret".to_owned()),
        ("the upstream's password", "orders-md5-secret".to_owned()),
        ("a wrong upstream password", "nobody-here-secret".to_owned()),
    ]
}

#[tokio::test]
async fn no_secret_is_in_anything_that_is_written() {
    let cluster = Cluster::start();
    let setup = Setup::new(&cluster)
        .proxy("tls = \"off\"")
        .target("orders-md5", "orders_md5", "databases = [\"orders\"]")
        .target("broken", "nobody_here", "databases = [\"orders\"]")
        .section("[log]\nfilter = \"trace\"");
    let mut hallpass = Process::start(setup).await;
    let mut canaries = story(&hallpass, &cluster).await;
    let folder = hallpass.folder();
    let key = fs::read_to_string(folder.join("data/server.key.bin")).unwrap();
    canaries.push(("the server's key", key.trim().to_owned()));

    let mut written = vec![(
        "metrics".to_owned(),
        hallpass.ops("/metrics").await.1.into_bytes(),
    )];
    for path in ["/sessions", "/requests", "/connections", "/targets"] {
        let answer: serde_json::Value = hallpass.call("dana", Method::GET, path, ()).await.unwrap();
        written.push((path.to_owned(), answer.to_string().into_bytes()));
    }
    let command_line = fs::read(format!("/proc/{}/cmdline", hallpass.pid())).unwrap();
    written.push(("the command line".to_owned(), command_line));
    hallpass.signal(Signal::SIGTERM);
    assert!(
        hallpass
            .exit(std::time::Duration::from_secs(40))
            .await
            .success()
    );
    written.push(("the log".to_owned(), hallpass.log().into_bytes()));
    for file in files(&folder.join("data")) {
        if !file.ends_with("server.key.bin") {
            written.push((file.display().to_string(), fs::read(&file).unwrap()));
        }
    }
    let log = hallpass.log();
    assert!(log.contains("DEBUG"), "not at its most talkative: {log}");
    assert!(!log.contains("pg_sleep"), "SQL is in the log: {log}");
    assert!(
        written
            .iter()
            .any(|(name, _)| name.ends_with("hallpass.db"))
    );
    for (what, secret) in canaries {
        let bare = secret.trim_start_matches("hp_").to_owned();
        for form in [
            bare,
            hex(secret.as_bytes()),
            hex(&sha256(secret.as_bytes())),
        ] {
            for (place, bytes) in &written {
                assert!(!contains(bytes, &form), "{what} is in {place}");
            }
        }
    }
}
