//! Whole files: what is refused, and with which words.

mod notify;
mod people;
mod reload;
mod secrets;
mod shipping;
mod shown;

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
fn who_knows_the_words_of_libpq_is_told_ours() {
    let text = format!("{PRINCIPALS}{TARGET}tls = \"disable\"\n");
    let told = errors(&text);
    assert!(
        told[0].ends_with(".tls: `disable` is unknown; did you mean `off`?"),
        "{told:?}"
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
    for workers in ["0", "1025"] {
        let error = errors(&format!("[proxy]\nworkers = {workers}\n")).join("\n");
        assert!(error.contains("proxy.workers: "), "{error}");
        assert!(error.contains("1 to 1024"), "{error}");
    }
    let errors = errors("[proxy]\ntls = \"off\"\nsni_suffix = \"db.example.com\"\n");
    assert!(errors[0].contains("sni_suffix: needs TLS"), "{errors:?}");
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
