//! Whole files: what is refused, and with which words.

mod reload;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::access::Databases;

const PRINCIPALS: &str = "
[principals.maya]
groups = [\"engineers\"]
token_sha256 = \"01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"
[principals.dana]
groups = [\"leads\"]
token_sha256 = \"02aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"
";

const TARGET: &str = "
[targets.orders-ro]
host = \"127.0.0.1\"
user = \"orders_ro\"
databases = [\"orders\"]
owners = [\"@leads\", \"dana\"]
environment = \"staging\"
";

fn environment(name: &str) -> Option<String> {
    name.ends_with("_PASSWORD").then(|| "hunter2".to_owned())
}

fn load_in(folder: &Path, text: &str) -> Result<Config, ConfigErrors> {
    let path = folder.join("hallpass.toml");
    fs::write(&path, text).unwrap();
    Config::load_with(&path, &environment)
}

fn load(text: &str) -> Result<Config, ConfigErrors> {
    load_in(tempfile::tempdir().unwrap().path(), text)
}

/// The errors of `text`, each as `line: key: message`.
fn errors(text: &str) -> Vec<String> {
    let findings = load(text).unwrap_err().0;
    let line = |f: &Finding| format!("{}: {}: {}", f.line.unwrap_or(0), f.key, f.message);
    findings.iter().map(line).collect()
}

/// The one error of a good file with `line` added to its target.
fn error_of_target(line: &str) -> String {
    let errors = errors(&format!("{PRINCIPALS}{TARGET}{line}\n"));
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].clone()
}

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/hallpass.toml");
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_example_is_right() {
    let config = load(&example()).unwrap();
    assert_eq!(config.targets.len(), 2);
    let doubts: Vec<&str> = config.warnings.iter().map(|w| w.key.as_str()).collect();
    let placeholders = [
        "principals.maya.token_sha256",
        "principals.dana.token_sha256",
    ];
    assert_eq!(doubts, placeholders);
}

#[test]
fn the_example_names_every_key() {
    for section in [
        "",
        "[proxy]",
        "[tls]",
        "[api]",
        "[ops]",
        "[store]",
        "[audit]",
        "[audit.ship]",
        "[audit.feeds.a]",
        "[access]",
        "[notify]",
        "[notify.slack]",
        "[notify.email]",
        "[notify.webhooks.a]",
        "[tickets]",
        "[[tickets.expect]]",
        "[policy]",
        "[identity]",
        "[identity.oidc]",
        "[identity.workloads.a]",
        "[log]",
        "[principals.a]",
        "[targets.a]",
        "[targets.a.password]",
        "[[targets.a.stages]]",
    ] {
        let found = document::read(&format!("{section}\nzzzzzzzzz = 1\n")).1;
        let known = found[0]
            .message
            .split("there are ")
            .nth(1)
            .unwrap_or("listen");
        for key in known.split(", ") {
            let named = [format!("{key} = "), format!("[{key}"), format!("# {key}:")];
            let example = example();
            assert!(named.iter().any(|n| example.contains(n)), "{section} {key}");
        }
    }
}

#[test]
fn every_default_that_the_example_shows_is_the_default() {
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with([' ', '-']) => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    let shown: String = example().lines().map(uncommented).collect();
    assert!(shown.contains("\nconnect_timeout = "), "{shown}");
    let folder = tempfile::tempdir().unwrap();
    let shown = load_in(folder.path(), &shown).unwrap();
    let mut plain = load_in(folder.path(), &example()).unwrap();
    // The same port, said aloud.
    plain.proxy.public_port = Some(plain.proxy.listen[0].port());
    let settings = |mut config: Config| {
        config.warnings.clear();
        config.file_sha256 = [0; 32];
        format!("{config:#?}")
    };
    assert_eq!(settings(shown), settings(plain));
}

#[test]
fn a_small_file_is_enough_and_the_rest_is_default() {
    let config = load(&format!("{PRINCIPALS}{TARGET}")).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.audit.folder, Path::new("/var/lib/hallpass/audit"));
    assert_eq!(config.api.tls, ListenerTls::Off);
    assert_eq!(config.proxy.tls, ListenerTls::Required);
    let target = &config.targets[0];
    assert_eq!(
        target.target.databases,
        Databases::Only(vec!["orders".into()])
    );
    assert_eq!(target.target.default_database, "orders");
    assert_eq!(target.target.max_duration, Duration::from_secs(8 * 3600));
    assert_eq!(target.upstream.tls, UpstreamTls::VerifyFull);
    assert_eq!(target.target.owners, ["@leads", "dana"]);
    assert!(!target.target.read_only && target.target.labels.is_empty());
    assert_eq!(config.policy.folder, None);
    assert_eq!(config.access.time_zone, TimeZone::UTC);
}

#[test]
fn one_run_reports_every_mistake_in_the_file_s_order() {
    let text = format!(
        "[proxy]\nlisen = [\"127.0.0.1:1\"]\nlisten = []\nhandshake_timeout = \"10\"\n[api]\nlisten = \"localhost:8432\"\n{PRINCIPALS}{TARGET}port = 70000\n"
    );
    assert_eq!(
        errors(&text),
        [
            "2: proxy.lisen: unknown key `lisen` in [proxy]; did you mean `listen`?",
            "3: proxy.listen: is empty: write at least one address, like [\"127.0.0.1:6432\"]",
            "4: proxy.handshake_timeout: duration `10` has no unit: write 10s",
            "6: api.listen: `localhost:8432` is not an IP address and port: write 127.0.0.1:8432, 0.0.0.0:8432 or [::1]:8432",
            "21: targets.orders-ro.port: 70000 is not a port: 1 to 65535",
        ]
    );
}

#[test]
fn an_error_names_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let error = load_in(folder.path(), "\n[log]\nformat = \"jason\"\n").unwrap_err();
    let path = folder.path().join("hallpass.toml");
    assert_eq!(
        error.to_string(),
        format!(
            "{}:3: log.format: `jason` is unknown; did you mean `json`?",
            path.display()
        )
    );
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    let errors = errors("[proxy]\nlisten = [\"127.0.0.1:6432\"\n[api]\n");
    assert!(errors[0].contains("not TOML"), "{errors:?}");
    let missing = Config::load(Path::new("/nowhere/hallpass.toml")).unwrap_err();
    assert_eq!(missing.to_string(), "/nowhere/hallpass.toml: no such file");
}

#[test]
fn a_target_says_what_it_lacks_at_its_own_line() {
    let errors = errors("[log]\n\n[targets.a]\n");
    let keys: Vec<&str> = errors
        .iter()
        .map(|e| e.split(": is").next().unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "3: targets.a.databases",
            "3: targets.a.host",
            "3: targets.a.user",
        ]
    );
}

#[test]
fn bad_names_are_refused() {
    let errors = errors(
        "[principals.\"a b\"]\ntoken_sha256 = \"x\"\n[targets.Orders]\nhost = \"h\"\nuser = \"u\"\ndatabases = [\"d\"]\n",
    );
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[0].starts_with("1: principals.a b: bad name"));
    assert!(errors[1].starts_with("2: principals.a b.token_sha256: is not 64"));
    assert!(errors[2].starts_with("3: targets.Orders: bad name"));
}

#[test]
fn two_principals_never_share_a_token() {
    let text = PRINCIPALS.replace("02aa", "01aa");
    assert_eq!(
        errors(&text),
        [
            "4: principals.maya.token_sha256: is the token of dana as well: everybody has a token of their own"
        ]
    );
}

#[test]
fn an_owner_that_nobody_here_is_called_is_a_doubt_only_if_it_looks_like_a_slip() {
    let owners = |list: &str| {
        let text = format!("{PRINCIPALS}{TARGET}").replace("[\"@leads\", \"dana\"]", list);
        load(&text).map(|config| config.warnings)
    };
    assert_eq!(owners("[\"@orders\", \"omar@example.com\"]").unwrap(), []);
    let doubts = owners("[\"@enginers\", \"dan\"]").unwrap();
    let doubts: Vec<&str> = doubts.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(
        doubts,
        [
            "nobody here is called `@enginers`; did you mean `@engineers`?",
            "nobody here is called `dan`; did you mean `dana`?",
        ]
    );
    let wrong = |list: &str| owners(list).unwrap_err().to_string();
    assert!(wrong("[\"leads\"]").contains("`leads` is a group: write @leads"));
    assert!(wrong("[\"the leads\"]").contains("is not a name"));
}

#[test]
fn keys_that_policies_took_the_place_of_say_what_to_do() {
    let error = error_of_target("requesters = [\"@engineers\"]");
    assert!(error.contains("targets.orders-ro.requesters: is no longer a key"));
    assert!(error.contains("remove this line"), "{error}");
    let error = error_of_target("approvers = [\"dana\"]");
    assert!(error.contains("write owners = [..]"), "{error}");
    let errors = errors("[audit]\nauditors = [\"dana\"]\n");
    assert!(errors[0].contains("the group security"), "{errors:?}");
}

#[test]
fn policies_come_from_a_folder_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("policies")).unwrap();
    let text = "[policy]\nfolder = \"policies\"\n[access]\ntime_zone = \"Europe/Berlin\"\n";
    let config = load_in(dir.path(), text).unwrap();
    assert_eq!(config.policy.folder, Some(dir.path().join("policies")));
    assert_eq!(config.access.time_zone.iana_name(), Some("Europe/Berlin"));
    let wrong = |text: &str| load_in(dir.path(), text).unwrap_err().to_string();
    assert!(wrong("[policy]\nfolder = \"p\"").contains("/p: no such folder"));
    assert!(wrong("[policy]\nfolder = \"hallpass.toml\"").contains("is not a folder"));
    assert!(wrong("[access]\ntime_zone = \"Berlin\"").contains("write Europe/Berlin"));
}

#[test]
fn facts_for_policies_are_plain_words() {
    let error = error_of_target("labels = [\"pii\", \"credit cards\"]");
    assert!(error.contains("`credit cards` is not a word"), "{error}");
    let text = format!("{PRINCIPALS}{TARGET}read_only = true\nlabels = [\"pii\"]\n");
    let target = load(&text).unwrap().targets.remove(0).target;
    assert_eq!(target.environment, "staging");
    assert!(target.read_only);
    assert_eq!(target.labels, ["pii"]);
}

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
fn values_are_recorded_unless_a_target_says_otherwise() {
    let parameters = |line: &str| {
        let config = load(&format!("{PRINCIPALS}{TARGET}{line}\n")).unwrap();
        config.targets[0].parameters
    };
    assert_eq!(parameters(""), Parameters::Full);
    assert_eq!(parameters("parameters = \"hash\""), Parameters::Hash);
    assert_eq!(parameters("parameters = \"omit\""), Parameters::Omit);
    let error = error_of_target("parameters = \"hashed\"");
    assert!(error.contains("`hashed` is unknown"), "{error}");
    assert!(error.contains("`hash`"), "{error}");
}

#[test]
fn databases_and_their_default_must_fit() {
    let all = TARGET.replace("[\"orders\"]", "[\"*\"]");
    let missing = errors(&format!("{PRINCIPALS}{all}"));
    assert!(
        missing[0].contains("default_database: is missing"),
        "{missing:?}"
    );
    assert!(load(&format!("{PRINCIPALS}{all}default_database = \"x\"\n")).is_ok());
    let error = error_of_target("default_database = \"order\"");
    assert!(error.ends_with("`order` is not among databases; did you mean `orders`?"));
}

#[test]
fn half_of_a_pair_is_refused() {
    assert!(errors("[tls]\nkey = \"k\"\n")[0].contains("tls.certificate: is missing"));
    let error = error_of_target("client_key = \"k\"");
    assert!(error.contains("client_certificate: is missing"), "{error}");
}

#[test]
fn tls_settings_that_would_be_ignored_are_refused() {
    let error = error_of_target("tls = \"require\"\nca = \"hallpass.toml\"");
    assert!(
        error.contains("targets.orders-ro.ca: would not be looked at"),
        "{error}"
    );
    let errors = errors("[proxy]\ntls = \"off\"\nsni_suffix = \"db.example.com\"\n");
    assert!(errors[0].contains("sni_suffix: needs TLS"), "{errors:?}");
}

#[test]
fn a_secret_comes_from_a_file_or_the_environment_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pw");
    fs::write(&file, "hunter2\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for source in ["file = \"pw\"", "env = \"ORDERS_PASSWORD\""] {
        let text = format!("{PRINCIPALS}{TARGET}password = {{ {source} }}\n");
        let config = load_in(folder.path(), &text).unwrap();
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        let password = config.targets[0].upstream.password.as_ref().unwrap();
        assert_eq!(password.expose(), "hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}

#[test]
fn a_secret_that_cannot_be_had_is_an_error() {
    let error = error_of_target("password = { file = \"/x/y\" }");
    assert_eq!(
        error,
        "15: targets.orders-ro.password.file: /x/y: no such file"
    );
    let error = error_of_target("password = { env = \"NOWHERE\" }");
    assert!(error.ends_with("password.env: the environment variable NOWHERE is not set"));
    let error = error_of_target("password = { }");
    assert!(error.contains("one of the two"), "{error}");
    let error = error_of_target("password = { file = \"/\" }");
    assert!(error.ends_with("/: is a folder, not a file"), "{error}");
}

#[test]
fn a_secret_that_everybody_can_read_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pw");
    fs::write(&file, "hunter2").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let text = format!("{PRINCIPALS}{TARGET}password = {{ file = \"pw\" }}\n");
    let warnings = load_in(folder.path(), &text).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].message.contains("chmod 600"), "{warnings:?}");
}

#[test]
fn paths_are_relative_to_the_file_or_to_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("c.pem"), "").unwrap();
    let text = "data_dir = \"data\"\n[tls]\ncertificate = \"c.pem\"\nkey = \"c.pem\"\n[store]\npath = \"/s/db\"\n";
    let config = load_in(folder.path(), text).unwrap();
    assert_eq!(config.data_dir, folder.path().join("data"));
    assert_eq!(config.audit.folder, folder.path().join("data/audit"));
    assert_eq!(config.store.path, Path::new("/s/db"));
    assert_eq!(config.tls.unwrap().key, folder.path().join("c.pem"));
}

#[test]
fn one_address_serves_one_purpose() {
    let errors =
        errors("[proxy]\nlisten = [\"127.0.0.1:9432\", \"127.0.0.1:0\", \"127.0.0.1:0\"]\n");
    assert!(
        errors[0].contains("ops.listen: 127.0.0.1:9432 is taken by proxy.listen"),
        "{errors:?}"
    );
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

const NOTIFY: &str = r#"
[notify]
link_base = "https://hallpass.example.com/db/"
[notify.slack]
channel = "C0123ABCD"
token = { file = "slack" }
signing_secret = { file = "slack" }
[notify.slack.users]
U1 = "dana"
[notify.email]
server = "smtp.example.com"
tls = "implicit"
user = "hallpass"
password = { file = "slack" }
from = "hallpass <hallpass@example.com>"
recipients = ["db@example.com"]
[notify.webhooks.chat]
url = "https://example.com/hook"
secrets = [{ file = "hook" }, { file = "hook" }]
"#;

/// A folder with the secrets that `NOTIFY` names, and what comes of the text.
fn load_notify(text: &str) -> Result<Config, ConfigErrors> {
    let folder = tempfile::tempdir().unwrap();
    let hook = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for (name, secret) in [("slack", "xoxb-1"), ("hook", hook)] {
        let path = folder.path().join(name);
        fs::write(&path, secret).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    load_in(folder.path(), &format!("{text}{PRINCIPALS}{TARGET}"))
}

#[test]
fn people_are_told_where_the_file_says() {
    let config = load_notify(NOTIFY).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let notify = config.notify.unwrap();
    let slack = notify.slack.unwrap();
    assert_eq!(slack.api.as_str(), "https://slack.com/api");
    assert_eq!(slack.users[0].1.as_str(), "dana");
    let email = notify.email.unwrap();
    assert_eq!((email.port, email.tls), (465, EmailTls::Implicit));
    assert_eq!(email.login.unwrap().0, "hallpass");
    assert_eq!(notify.webhooks[0].secrets.len(), 2);
    assert!(load_notify("").unwrap().notify.is_none());
}

#[test]
fn how_people_are_told_is_checked() {
    for (from, to, expected) in [
        (
            "link_base = \"https:",
            "link_base = \"ftp:",
            "is not a web address",
        ),
        ("\"C0123ABCD\"", "\"#db-access\"", "is not an id of Slack's"),
        ("= \"dana\"", "= \"da na\"", "is not allowed in a name"),
        ("= \"dana\"", "= \"@leads\"", "is a group"),
        (
            "signing_secret =",
            "# =",
            "notify.slack.signing_secret: is missing",
        ),
        (
            "token = { file = \"slack\" }",
            "token = \"xoxb-1\"",
            "the secret itself never stands here",
        ),
        (
            "tls = \"implicit\"",
            "tls = \"off\"",
            "the password would travel readable",
        ),
        ("tls = \"implicit\"", "tls = \"tls\"", "`tls` is unknown"),
        ("user = \"hallpass\"", "", "user and password go together"),
        ("<hallpass@", "<hallpass", "is not an address"),
        ("[\"db@", "[\"db", "is not an e-mail address"),
        (
            "[{ file = \"hook\" }, { file = \"hook\" }]",
            "[]",
            "secrets: is empty",
        ),
        (
            "[{ file = \"hook\" },",
            "[{ file = \"slack\" },",
            "is not a webhook's secret",
        ),
        ("webhooks.chat", "webhooks.email", "is another channel"),
        ("webhooks.chat", "webhooks.Chat", "bad name"),
    ] {
        let text = NOTIFY.replacen(from, to, 1);
        assert_ne!(text, NOTIFY, "{from}");
        let errors = load_notify(&text).unwrap_err().to_string();
        assert_eq!(errors.lines().count(), 1, "{to}\n{errors}");
        assert!(errors.contains(expected), "{to}\n{errors}");
        assert!(
            !errors.contains("xoxb") && !errors.contains("MfKQ"),
            "{errors}"
        );
    }
    let plain = NOTIFY.replacen("https://example.com", "http://example.com", 1);
    let warnings = load_notify(&plain).unwrap().warnings;
    assert!(warnings[0].message.contains("has no TLS"), "{warnings:?}");
}

#[test]
fn the_stages_of_a_target_name_people_and_its_owners() {
    let stages = "reason_pattern = '(?<ticket>INC-\\d+)'\nmax_extension = \"1h\"\n\
        [[targets.orders-ro.stages]]\napprovers = [\"owners\", \"maya\"]\ncount = 2\n\
        escalate_after = \"15m\"\nescalate_to = [\"@leads\"]\n\
        [[targets.orders-ro.stages]]\napprovers = [\"dana\"]\n";
    let config = load(&format!("{PRINCIPALS}{TARGET}{stages}")).unwrap();
    let terms = &config.targets[0].target.terms;
    assert_eq!(terms.max_extension, Duration::from_secs(3600));
    let [first, second] = &terms.stages[..] else {
        panic!("{terms:?}");
    };
    assert_eq!(first.approvers, ["@leads", "dana", "maya"]);
    assert_eq!((first.count, second.count), (2, 1));
    assert_eq!(first.escalate_after, Some(Duration::from_secs(900)));
    assert_eq!(first.escalate_to, ["@leads"]);
    let ticket = terms.reason.as_ref().unwrap().ticket("INC-7 stuck");
    assert_eq!(ticket, Ok(Some("INC-7".to_owned())));
}

#[test]
fn mistakes_in_stages_are_told_with_their_place() {
    let wrong = |lines: &str| error_of_target(&format!("[[targets.orders-ro.stages]]\n{lines}"));
    for (lines, expected) in [
        ("approvers = [\"leads\"]", "is a group: write @leads"),
        ("approvers = []", "is empty: nobody could approve"),
        ("count = 2", "is missing: write approvers ="),
        ("approvers = [\"dana\"]\ncount = 0", "stages.count"),
        (
            "approvers = [\"dana\"]\nescalate_after = \"5m\"",
            "needs escalate_to",
        ),
        (
            "approvers = [\"dana\"]\nescalate_to = [\"dana\"]",
            "needs escalate_after",
        ),
    ] {
        let error = wrong(lines);
        assert!(error.contains(expected), "{lines}\n{error}");
    }
    let ownerless = TARGET.replace("owners = [\"@leads\", \"dana\"]\n", "");
    let stage = "[[targets.orders-ro.stages]]\napprovers = [\"owners\"]\n";
    let errors = errors(&format!("{PRINCIPALS}{ownerless}{stage}"));
    assert!(errors[0].contains("the target has no owners"), "{errors:?}");
    let pattern = error_of_target("reason_pattern = \"(\"");
    assert!(pattern.contains("is no regular expression"), "{pattern}");
    let hint = error_of_target("reason_hint = \"a ticket\"");
    assert!(hint.contains("reason_pattern"), "{hint}");
}

#[test]
fn a_job_is_one_principal_with_one_set_of_groups_and_known_by_its_claims() {
    let job = |name: &str, principal: &str, rest: &str| {
        format!(
            "[identity.workloads.{name}]\nissuer = \"https://ci.example.com\"\naudience = \"h\"\n\
             principal = \"{principal}\"\n{rest}\n"
        )
    };
    let claims = "claims = { repository = \"acme/api\" }";
    let groups = format!("{claims}\ngroups = [\"admins\"]");
    for (text, problem) in [
        (job("a", "ci", ""), "claims are missing"),
        (
            job("a", "ci", claims) + &job("b", "ci", &groups),
            "has other groups",
        ),
        (
            job("a", "ci", claims).replace("https", "http"),
            "is not encrypted",
        ),
        (
            job("a", "ci", &format!("{claims}\nscope = \"all\"")),
            "is no scope",
        ),
        (
            job("a", "maya", claims)
                + "[principals.maya]\ntoken_sha256 = \""
                + &"0f".repeat(32)
                + "\"",
            "in [principals] already",
        ),
    ] {
        let errors = load(&text).unwrap_err().to_string();
        assert!(errors.contains(problem), "{errors}");
    }
}
