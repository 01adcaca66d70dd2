//! Where the audit is shipped, and what is kept of it.

use super::*;

#[test]
fn all_is_kept_unless_it_says_otherwise() {
    let audit = |lines: &str| {
        let text = format!("{PRINCIPALS}{TARGET}[audit]\n{lines}\n");
        load(&text).map(|config| config.audit)
    };
    let plain = audit("").unwrap();
    assert_eq!((plain.keep, plain.keep_bytes), (None, None));
    let keep = "keep = \"7y\"\nkeep_size = \"100GiB\"";
    let kept = audit(keep).unwrap();
    assert_eq!(kept.keep.unwrap().as_secs() / 86400, 2556);
    assert_eq!(kept.keep_bytes, Some(100 << 30));

    let wrong = |lines: &str| audit(lines).unwrap_err().to_string();
    assert!(wrong("keep_size = \"1MiB\"").contains("at least segment_size"));
    assert!(wrong("keep = \"90\"").contains("has no unit"));
}

#[test]
fn the_audit_is_shipped_where_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "hunter2\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let text = "[audit]\nlocal_limit = \"1GiB\"\n\
        [audit.ship]\nurl = \"s3://bucket/prefix\"\nobject_lock = \"compliance\"\nretain = \"7y\"\n\
        [audit.ship.options]\nregion = \"x\"\nallow_http = true\nsecret_access_key = { file = \"secret\" }\n\
        [audit.feeds.siem]\nurl = \"https://siem/x?y=z\"\nrequired = true\ngzip = true\n\
        token = { file = \"secret\" }\n[audit.feeds.siem.headers]\nX-Tenant = \"a\"\n\
        [audit.feeds.logs]\nurl = \"syslog+tls://[::1]\"\nfacility = \"local7\"\n";
    let audit = load_in(folder.path(), text).unwrap().audit;
    assert_eq!(audit.local_limit, Some(1 << 30));
    let ship = audit.ship.unwrap();
    let options: Vec<(&str, &str)> = ship
        .options
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    let expected = [
        ("allow_http", "true"),
        ("region", "x"),
        ("secret_access_key", "hunter2"),
    ];
    assert_eq!(options, expected);
    let (mode, retain) = ship.lock.unwrap();
    assert_eq!(mode, LockMode::Compliance);
    assert!(retain.as_secs() > 6 * 365 * 24 * 3600);
    let [logs, siem] = &audit.feeds[..] else {
        panic!("{:?}", audit.feeds);
    };
    let Receiver::Syslog {
        host,
        port,
        tls,
        facility,
    } = &logs.receiver
    else {
        panic!("{logs:?}");
    };
    assert_eq!(
        (host.as_str(), *port, *tls, *facility),
        ("::1", 6514, true, 23)
    );
    let Receiver::Http {
        token,
        headers,
        gzip,
    } = &siem.receiver
    else {
        panic!("{siem:?}");
    };
    assert_eq!(token.as_ref().unwrap().expose(), "hunter2");
    assert_eq!(headers[0].0.as_str(), "x-tenant");
    assert!(*gzip && siem.required && !logs.required);
    assert!(!format!("{ship:?}{siem:?}").contains("hunter2"));
}

#[test]
fn what_cannot_be_shipped_is_refused() {
    for (text, expected) in [
        ("[audit.ship]\n", "audit.ship.url: is missing"),
        (
            "[audit.ship]\nurl = \"bucket\"",
            "is not a bucket: write s3://",
        ),
        (
            "[audit.ship]\nurl = \"https://example.com/x\"",
            "is not a bucket",
        ),
        (
            "[audit.ship]\nurl = \"s3://b\"\n[audit.ship.options]\nregoin = \"x\"",
            "audit.ship.options.regoin: this store has no such option",
        ),
        (
            "[audit.ship]\nurl = \"s3://b\"\n[audit.ship.options]\nsecret_access_key = { env = \"NOWHERE\" }",
            "audit.ship.options.secret_access_key.env: the environment variable NOWHERE is not set",
        ),
        (
            "[audit.ship]\nurl = \"s3://b\"\nobject_lock = \"governance\"",
            "audit.ship.retain: is missing",
        ),
        (
            "[audit.ship]\nurl = \"gs://b\"\nobject_lock = \"governance\"\nretain = \"30d\"",
            "set retention on the bucket itself",
        ),
        ("[audit.feeds.a]\n", "audit.feeds.a.url: is missing"),
        ("[audit.feeds.a]\nurl = \"udp://x\"", "is not a feed's URL"),
        (
            "[audit.feeds.A]\nurl = \"https://x\"",
            "audit.feeds.A: bad name",
        ),
        (
            "[audit.feeds.bucket]\nurl = \"https://x\"",
            "choose another name",
        ),
        (
            "[audit.feeds.a]\nurl = \"https://a:b@x\"",
            "has a password in it",
        ),
        (
            "[audit.feeds.a]\nurl = \"https://x\"\nfacility = \"local0\"",
            "is for syslog",
        ),
        (
            "[audit.feeds.a]\nurl = \"syslog+tcp://localhost\"\ngzip = true",
            "is for HTTP",
        ),
        (
            "[audit.feeds.a]\nurl = \"syslog+tls://x\"\nfacility = \"local8\"",
            "`local8` is unknown",
        ),
        (
            "[audit]\nlocal_limit = \"1GiB\"",
            "means nothing without [audit.ship] or a feed that is required",
        ),
        (
            "[audit]\nlocal_limit = \"100MiB\"\n[audit.ship]\nurl = \"s3://b\"",
            "at least twice segment_size",
        ),
    ] {
        let errors = errors(text);
        assert_eq!(errors.len(), 1, "{text}\n{errors:?}");
        assert!(errors[0].contains(expected), "{text}\n{errors:?}");
    }
    let config = load("[audit.feeds.a]\nurl = \"http://siem.example.com\"").unwrap();
    assert!(config.warnings[0].message.contains("has no TLS"));
    let text =
        "[audit.ship]\nurl = \"s3://b\"\n[audit.ship.options]\nsecret_access_key = \"hunter2\"";
    let warning = load(text).unwrap().warnings[0].to_string();
    assert!(warning.contains("in plain sight"), "{warning}");
    assert!(!warning.contains("hunter2"));
}
