//! `hallpass config check`.

use std::path::Path;

use clap::Args;
use comfy_table::Cell;
use serde::Serialize;

use super::super::error::CliError;
use super::super::human::{cell, table};
use super::super::out::{GOOD, WARN, paint};
use super::super::serve::ServeArgs;
use super::super::{Done, Global, out};
use crate::access::{Databases, Target};
use crate::config::{
    Config, ConfigErrors, Finding, ListenerTls, Notify, PrincipalConfig, TargetConfig, Upstream,
    UpstreamTls,
};
use crate::policy::{Fault, Faults, PolicySet};

/// Read the configuration file and say what it means, or all that is wrong with it.
///
/// Nothing is started, changed or connected to. Exit code 1 if `serve` would refuse the file.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass config check --config /etc/hallpass/hallpass.toml")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    file: ServeArgs,
}

pub(super) fn run(global: &Global, args: &CheckArgs) -> Done {
    let path = &args.file.config;
    let loaded = load(path);
    if !global.output().is_human() {
        global
            .output()
            .show(&Report::of(&loaded), |_| String::new())?;
        return Ok(loaded.is_err().into());
    }
    let (config, policies) = loaded.map_err(CliError::BadConfiguration)?;
    for warning in &config.warnings {
        out::note(&format!("{} {warning}", paint(WARN, "warning:")));
    }
    out::print(&summary(path, &config, &policies))?;
    Ok(0)
}

/// The configuration and its policies, or what is wrong with either.
pub(super) fn load(path: &Path) -> Result<(Config, PolicySet), ConfigErrors> {
    let config = Config::load(path)?;
    match policies(&config) {
        Ok(policies) => Ok((config, policies)),
        Err(faults) => Err(refused(faults)),
    }
}

/// The policies that the configuration names, or else the default set.
pub(in super::super) fn policies(config: &Config) -> Result<PolicySet, Faults> {
    match &config.policy.folder {
        Some(folder) => PolicySet::load(folder),
        None => Ok(PolicySet::built_in()),
    }
}

/// Mistakes in policies as mistakes of the configuration.
pub(in super::super) fn refused(faults: Faults) -> ConfigErrors {
    ConfigErrors(faults.0.into_iter().map(finding).collect())
}

fn finding(fault: Fault) -> Finding {
    let help = fault.help.map(|help| format!(" ({help})"));
    Finding {
        file: fault.file.into(),
        line: fault.line,
        key: String::new(),
        message: fault.message + &help.unwrap_or_default(),
    }
}

/// What was found, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    errors: Vec<Item<'a>>,
    warnings: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    file: &'a Path,
    line: Option<usize>,
    key: &'a str,
    message: &'a str,
}

impl<'a> Report<'a> {
    fn of(loaded: &'a Result<(Config, PolicySet), ConfigErrors>) -> Self {
        let (errors, warnings): (&[Finding], &[Finding]) = match loaded {
            Ok((config, _)) => (&[], &config.warnings),
            Err(errors) => (&errors.0, &[]),
        };
        Self {
            ok: loaded.is_ok(),
            errors: errors.iter().map(Item::of).collect(),
            warnings: warnings.iter().map(Item::of).collect(),
        }
    }
}

impl<'a> Item<'a> {
    fn of(finding: &'a Finding) -> Self {
        Self {
            file: &finding.file,
            line: finding.line,
            key: &finding.key,
            message: &finding.message,
        }
    }
}

fn summary(path: &Path, config: &Config, policies: &PolicySet) -> String {
    let good = format!("{} is good.", path.display());
    let server = table(&["SERVER", ""], server(config, policies), "");
    let principals = table(
        &["PRINCIPAL", "GROUPS"],
        config.principals.iter().map(principal).collect(),
        "No principal: nobody can ask or approve.",
    );
    let targets = table(
        &[
            "TARGET",
            "UPSTREAM",
            "TLS",
            "DATABASES",
            "ENVIRONMENT",
            "OWNERS",
        ],
        config.targets.iter().map(target).collect(),
        "No target: there is nothing to ask for.",
    );
    [paint(GOOD, &good), server, principals, targets].join("\n\n")
}

fn server(config: &Config, policies: &PolicySet) -> Vec<Vec<Cell>> {
    let proxy = &config.proxy;
    let listen: Vec<String> = proxy.listen.iter().map(ToString::to_string).collect();
    let certificate = config.tls.as_ref().map_or_else(
        || "self-signed, made at the first start".to_owned(),
        |files| files.certificate.display().to_string(),
    );
    let api = format!("{}, TLS {}", config.api.listen, tls(config.api.tls));
    [
        (
            "proxy",
            format!("{}, TLS {}", listen.join(", "), tls(proxy.tls)),
        ),
        ("api", api),
        ("metrics", format!("http://{}/metrics", config.ops.listen)),
        ("certificate", certificate),
        ("store", config.store.path.display().to_string()),
        ("audit", config.audit.folder.display().to_string()),
        ("notices", notices(config.notify.as_ref())),
        ("policies", of_policies(config, policies)),
    ]
    .map(|(name, value)| vec![cell(name), cell(&value)])
    .into()
}

/// Where people are told.
fn notices(notify: Option<&Notify>) -> String {
    let Some(notify) = notify else {
        return "none".to_owned();
    };
    let slack = notify.slack.iter();
    let slack = slack.map(|it| format!("slack in {}", it.channel));
    let email = notify.email.iter();
    let email = email.map(|it| format!("email by {}:{}", it.server, it.port));
    let webhooks = notify.webhooks.iter().map(|it| it.name.clone());
    let all: Vec<String> = slack.chain(email).chain(webhooks).collect();
    match all.is_empty() {
        true => "none: [notify] has no channel".to_owned(),
        false => all.join(", "),
    }
}

fn of_policies(config: &Config, policies: &PolicySet) -> String {
    let number = policies.notes().len();
    match &config.policy.folder {
        Some(folder) => format!("{number} in {}", folder.display()),
        None => format!("{number}, built in"),
    }
}

fn tls(tls: ListenerTls) -> &'static str {
    match tls {
        ListenerTls::Required => "required",
        ListenerTls::Off => "off",
    }
}

fn principal(config: &PrincipalConfig) -> Vec<Cell> {
    let principal = &config.principal;
    vec![
        cell(principal.name.as_str()),
        cell(&principal.groups.join(", ")),
    ]
}

fn target(config: &TargetConfig) -> Vec<Cell> {
    let Upstream {
        host, port, role, ..
    } = &config.upstream;
    let databases = match &config.target.databases {
        Databases::All => "all".to_owned(),
        Databases::Only(names) => names.join(", "),
    };
    vec![
        cell(config.target.name.as_str()),
        cell(&format!("{role} at {host}:{port}")),
        cell(upstream_tls(config.upstream.tls)),
        cell(&databases),
        cell(&environment(&config.target)),
        cell(&config.target.owners.join(", ")),
    ]
}

fn environment(target: &Target) -> String {
    match target.read_only {
        true => format!("{}, read only", target.environment),
        false => target.environment.clone(),
    }
}

fn upstream_tls(tls: UpstreamTls) -> &'static str {
    match tls {
        UpstreamTls::Off => "off",
        UpstreamTls::Require => "require",
        UpstreamTls::VerifyCa => "verify-ca",
        UpstreamTls::VerifyFull => "verify-full",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD_FILE: &str = r#"
data_dir = "data"
[proxy]
listen = ["127.0.0.1:6432"]
[api]
listen = "127.0.0.1:8432"
[ops]
listen = "127.0.0.1:9432"
[principals.maya]
groups = ["engineers"]
token_sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
[principals.dana]
groups = ["leads"]
token_sha256 = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
[targets.orders-ro]
host = "127.0.0.1"
user = "orders_ro"
tls = "off"
databases = ["orders"]
owners = ["@orders"]
read_only = true
"#;

    fn load(text: &str) -> Result<(Config, PolicySet), ConfigErrors> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hallpass.toml");
        std::fs::write(&path, text).unwrap();
        super::load(&path)
    }

    #[test]
    fn a_good_file_is_told_back() {
        let (config, policies) = load(GOOD_FILE).unwrap();
        let text = summary(Path::new("hallpass.toml"), &config, &policies);
        for word in [
            "hallpass.toml is good",
            "127.0.0.1:6432, TLS required",
            "127.0.0.1:8432, TLS off",
            "maya",
            "orders_ro at 127.0.0.1:5432",
            "none",
            "production, read only",
            "@orders",
            ", built in",
        ] {
            assert!(text.contains(word), "{word} is not in {text}");
        }
    }

    #[test]
    fn mistakes_in_policies_are_found_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hallpass.toml");
        std::fs::create_dir(dir.path().join("policies")).unwrap();
        let bad = "@id(\"a\")\npermit (principal, action == Action::\"aprove\", resource);";
        std::fs::write(dir.path().join("policies/a.cedar"), bad).unwrap();
        let text = format!("{GOOD_FILE}[policy]\nfolder = \"policies\"\n");
        std::fs::write(&path, text).unwrap();
        let report = serde_json::to_value(Report::of(&super::load(&path))).unwrap();
        assert_eq!(report["ok"], false);
        let error = &report["errors"][0];
        assert!(
            error["file"]
                .as_str()
                .unwrap()
                .ends_with("policies/a.cedar")
        );
        assert_eq!(error["line"], 2, "{error}");
        assert!(
            error["message"].as_str().unwrap().contains("aprove"),
            "{error}"
        );
    }

    #[test]
    fn a_report_names_the_line_and_the_key() {
        let loaded = load(&GOOD_FILE.replace("listen = [", "lisen = ["));
        let report = serde_json::to_value(Report::of(&loaded)).unwrap();
        assert_eq!(report["ok"], false);
        let text = report["errors"].to_string();
        assert!(
            text.contains("lisen") && text.contains(r#""line":4"#),
            "{text}"
        );
    }
}
