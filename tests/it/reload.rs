//! The configuration is read again while people work: what changes, what stays, and who is told.

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use hallpass::audit::Event;
use hallpass::http::types::{ConfigSummary, Problem, TargetView};
use hallpass::secret::{hex, sha256};
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::hallpass::{Grant, Setup, token};
use crate::support::login::said;
use crate::support::postgres::Cluster;
use crate::support::process::Process;
use crate::support::raw_client::{RawClient, Said};
use crate::support::wait;

const LIMIT: Duration = Duration::from_secs(20);
const APPLIED: &str = "hallpass_config_reloads_total{outcome=\"applied\"}";
const REFUSED: &str = "hallpass_config_reloads_total{outcome=\"refused\"}";
const IN_FORCE: &str = "hallpass_config_last_reload_success";

struct World {
    hallpass: Process,
    _cluster: Cluster,
}

impl World {
    /// With an administrator, ada, and the built-in policies in a folder.
    async fn start() -> Self {
        let cluster = Cluster::start();
        let setup = Setup::new(&cluster).proxy("tls = \"off\"");
        let policies = setup.folder().join("policies");
        fs::create_dir(&policies).unwrap();
        let built_in = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/policies");
        for file in fs::read_dir(built_in).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), policies.join(file.file_name())).unwrap();
        }
        let ada = hex(&sha256(token("ada").as_bytes()));
        let setup = setup
            .section("[access]\non_policy_change = \"keep\"")
            .section("[policy]\nfolder = \"policies\"")
            .section(&format!(
                "[principals.ada]\ngroups = [\"admins\"]\ntoken_sha256 = {ada:?}"
            ));
        Self {
            hallpass: Process::start(setup).await,
            _cluster: cluster,
        }
    }

    fn config(&self) -> PathBuf {
        self.hallpass.folder().join("hallpass.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.config()).unwrap()
    }

    /// Writes the configuration, and waits until it is in force.
    async fn apply(&self, text: &str) {
        let before = self.hallpass.metric(APPLIED).await;
        fs::write(self.config(), text).unwrap();
        self.applied(before).await;
    }

    async fn applied(&self, before: f64) {
        let applied = || async { self.hallpass.metric(APPLIED).await > before };
        wait::until("it is in force", LIMIT, applied).await;
        assert_eq!(self.hallpass.metric(IN_FORCE).await, 1.0);
    }

    /// The targets that maya may request.
    async fn targets(&self) -> Vec<String> {
        let targets: Vec<TargetView> = self
            .hallpass
            .call("maya", Method::GET, "/targets", ())
            .await
            .unwrap();
        targets.into_iter().map(|it| it.name.to_string()).collect()
    }

    /// `hallpass config diff` as `principal`.
    fn diff(&self, principal: &str, arguments: &[&str]) -> Output {
        let url = format!("http://{}", self.hallpass.api);
        Process::command()
            .args(["config", "diff", "--config"])
            .arg(self.config())
            .args(arguments)
            .env("HALLPASS_URL", url)
            .env("HALLPASS_TOKEN", token(principal))
            .output()
            .unwrap()
    }

    /// What the last change of the configuration is on record with.
    fn last_changes(&self) -> (Vec<String>, usize) {
        let changed = |event| match event {
            Event::ConfigurationChanged { changes, files, .. } => Some((changes, files.len())),
            _ => None,
        };
        let mut records = self.hallpass.records().into_iter().rev();
        records.find_map(|record| changed(record.event)).unwrap()
    }
}

#[tokio::test]
async fn what_hallpass_started_with_is_on_record() {
    let world = World::start().await;
    let started = world
        .hallpass
        .records()
        .into_iter()
        .find_map(|record| match record.event {
            Event::Started { files, .. } => Some(files),
            _ => None,
        });
    let files = started.unwrap();
    assert_eq!(files[0].sha256, hex(&sha256(world.text().as_bytes())));
    assert!(files.len() > 1, "and the policies: {files:?}");
}

/// The configuration without one of its tables.
fn without(text: &str, table: &str) -> String {
    let begin = text.find(&format!("[{table}]\n")).unwrap();
    let rest = &text[begin + 1..];
    let end = rest.find("\n[").map_or(text.len(), |at| begin + 2 + at);
    format!("{}{}", &text[..begin], &text[end..])
}

/// The FATAL that a connection ends with.
async fn farewell(client: RawClient) -> Said {
    let end = tokio::time::timeout(LIMIT, client.end()).await;
    end.expect("the connection ends")
        .0
        .expect("a reason is given")
}

async fn answers(client: &mut RawClient) {
    let all = client.query("select 1").await;
    assert!(all.iter().any(|frame| frame.tag == b'Z'), "it goes on");
}

#[tokio::test]
async fn targets_come_and_go_under_live_connections() {
    let world = World::start().await;
    let stays: Grant = world.hallpass.grant("maya", "orders-ro", "10m").await;
    let goes = world.hallpass.grant("noor", "orders-admin", "10m").await;
    let mut client = RawClient::login(&stays.login).await;
    let doomed = RawClient::login(&goes.login).await;

    let text = world.text();
    let table = text.find("[targets.orders-ro]").unwrap();
    let orders = text[table..].split("\n[").next().unwrap();
    let billing = orders.replace("[targets.orders-ro]", "[targets.billing]");
    let new =
        without(&text, "targets.orders-admin") + "\n" + &billing + "\nmax_duration = \"1h\"\n";
    world.apply(&new).await;

    let fatal = farewell(doomed).await;
    assert_eq!((&*fatal.severity, &*fatal.code), ("FATAL", "57P01"));
    let words = "revoked by hallpass: orders-admin is no longer a target";
    assert!(fatal.message.contains(words), "{fatal:?}");
    assert!(
        goes.login.try_connect().await.is_err(),
        "nothing new is admitted"
    );
    assert_eq!(world.targets().await, ["billing", "orders-ro"]);
    answers(&mut client).await;
    let billed = world.hallpass.grant("maya", "billing", "10m").await;
    assert_eq!(billed.login.ask("select count(*) from customers"), "100");
    let (changes, files) = world.last_changes();
    assert_eq!(changes, ["+ targets.billing", "- targets.orders-admin"]);
    assert_eq!(files, 6, "the file and its policies");

    // A password that stands in a file is read by SIGHUP; nothing else differs.
    let before = world.hallpass.metric(APPLIED).await;
    world.hallpass.signal(Signal::SIGHUP);
    world.applied(before).await;
    assert!(world.last_changes().0.is_empty());
    answers(&mut client).await;
}

#[tokio::test]
async fn what_is_broken_is_refused_as_a_whole_and_told_line_by_line() {
    let world = World::start().await;
    let text = world.text();
    let broken =
        text.replace("tls = \"off\"", "tls = \"of\"") + "\n[targets.extra]\nhost = \"h\"\n";
    fs::write(world.config(), &broken).unwrap();
    let refused = || async { world.hallpass.metric(REFUSED).await == 1.0 };
    wait::until("it is refused", LIMIT, refused).await;
    assert_eq!(world.hallpass.metric(IN_FORCE).await, 0.0);
    assert_eq!(world.targets().await, ["orders-admin", "orders-ro"]);
    let log = world.hallpass.log();
    for words in [
        "proxy.tls: `of` is unknown",
        "targets.extra.databases: is missing",
        "targets.extra.user: is missing",
        "the old one stays in force",
    ] {
        assert!(log.contains(words), "{words}: {log}");
    }
    world.apply(&text).await;

    let policy = world.hallpass.folder().join("policies/requests.cedar");
    let good = fs::read_to_string(&policy).unwrap();
    fs::write(
        &policy,
        good.replace("Action::\"extend\"", "Action::\"extent\""),
    )
    .unwrap();
    let refused = || async { world.hallpass.metric(REFUSED).await == 2.0 };
    wait::until("it is refused", LIMIT, refused).await;
    assert!(world.hallpass.log().contains("requests.cedar:"));
    assert_eq!(world.targets().await, ["orders-admin", "orders-ro"]);
    fs::write(&policy, good).unwrap();
    world.applied(1.0).await;
}

#[tokio::test]
async fn sessions_that_the_policy_no_longer_allows_are_kept_or_revoked_as_the_configuration_says() {
    let world = World::start().await;
    let grant = world.hallpass.grant("maya", "orders-ro", "10m").await;
    let mut client = RawClient::login(&grant.login).await;
    let policy = world.hallpass.folder().join("policies/requests.cedar");
    let good = fs::read_to_string(&policy).unwrap();
    let before = world.hallpass.metric(APPLIED).await;
    fs::write(
        &policy,
        good.replace("Group::\"engineers\"", "Group::\"others\""),
    )
    .unwrap();
    world.applied(before).await;
    answers(&mut client).await;
    let body = json!({ "target": "orders-ro", "duration": "10m", "reason": "INC-1" });
    let asked: Result<Value, Problem> = world
        .hallpass
        .call("noor", Method::POST, "/requests", body)
        .await;
    assert_eq!(asked.unwrap_err().code, "not_found");
    assert!(
        world
            .last_changes()
            .0
            .contains(&"~ policies.engineers-request".to_owned())
    );

    let text = world.text().replace("\"keep\"", "\"revoke\"");
    fs::write(world.config(), &text).unwrap();
    let fatal = farewell(client).await;
    let words = "revoked by hallpass: the policy no longer lets maya have orders-ro";
    assert!(fatal.message.contains(words), "{fatal:?}");
}

#[tokio::test]
async fn a_diff_says_what_a_reload_would_change_and_which_sessions_would_end() {
    let world = World::start().await;
    let same = world.diff("ada", &[]);
    assert_eq!(same.status.code(), Some(0), "{}", said(&same));
    let refused = said(&world.diff("maya", &[]));
    assert!(refused.contains("administrators"), "{refused}");
    let grant = world.hallpass.grant("noor", "orders-admin", "10m").await;

    // Elsewhere, so that the server does not take it up.
    let text = without(&world.text(), "targets.orders-admin");
    let old = world.config();
    let new = old.with_file_name("new.toml");
    let text = text
        .replace("[access]\n", "[access]\nrequest_lapse = \"30m\"\n")
        .replace(
            "groups = [\"engineers\"]\nemail = \"maya",
            "groups = []\nemail = \"maya",
        )
        .replacen("[proxy]\n", "[proxy]\ndrain_grace = \"5s\"\n", 1);
    fs::write(&new, &text).unwrap();
    let new = new.to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        Process::command()
            .args(["config", "diff", "--config", &new])
            .args(arguments)
            .env("HALLPASS_URL", format!("http://{}", world.hallpass.api))
            .env("HALLPASS_TOKEN", token("ada"))
            .output()
            .unwrap()
    };
    let human = run(&[]);
    assert_eq!(human.status.code(), Some(1), "{}", said(&human));
    let human = said(&human);
    let ends = format!(
        "{} noor at orders-admin: orders-admin is no longer a target",
        grant.session
    );
    for words in [
        "Targets\n  - orders-admin\n",
        "  ~ maya\n      groups: engineers -> empty",
        "  ~ access.request_lapse: 1h -> 30m",
        "At a restart\n  ~ proxy.drain_grace: 30s -> 5s",
        &ends,
    ] {
        assert!(human.contains(words), "{words}: {human}");
    }
    let files = run(&["--against", old.to_str().unwrap(), "--output", "json"]);
    assert_eq!(files.status.code(), Some(1), "{}", said(&files));
    let diff: Value = serde_json::from_slice(&files.stdout).unwrap();
    assert_eq!(diff["restart"][0]["name"], "proxy.drain_grace");
    assert_eq!(diff["ends"], Value::Null, "no server was asked");
    assert!(!files.stdout.windows(9).any(|it| it == b"ro-secret"));

    // What waits for a restart is named, and not in force.
    world.apply(&text).await;
    let log = || async { world.hallpass.log().contains("takes effect at a restart") };
    wait::until("it is named", LIMIT, log).await;
    let summary: ConfigSummary = world
        .hallpass
        .call("ada", Method::GET, "/config/summary", ())
        .await
        .unwrap();
    assert_eq!(summary.facts["proxy.drain_grace"], "30s");
    assert_eq!(summary.facts["access.request_lapse"], "30m");
}
