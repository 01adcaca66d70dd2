//! `hallpass policy explain`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::super::error::CliError;
use super::super::human::clean;
use super::super::out::{self, BAD, BOLD, DIM, GOOD, paint};
use super::super::requests::duration;
use super::super::{Done, Global};
use super::check::{effect, in_force, place};
use crate::access::{Caller, Principal, PrincipalKind, PrincipalName, Target, TargetName};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::types::{ExplainPolicy, Explanation};
use crate::policy::{Action, Approver, Cedar, Context, Effect, PolicyNote, Query, explain};

/// Say whether somebody may do something, by which policies, and who could approve it.
///
/// Asks the server: about yourself, or, as an administrator, about anybody. With --config no server
/// is asked, and only those are known who are in that file. Exit code 1 if it may not be done.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass policy explain --action request --target orders-admin --for 2h
  hallpass policy explain --principal maya --action approve --target orders-admin --requester noor
  hallpass policy explain --action extend --target orders-admin --for 1h --total 8h
  hallpass policy explain --config hallpass.toml --principal kim --groups engineers,oncall \\
    --action breakGlass --target orders-admin --for 1h --mfa

Actions: request, approveAlone, breakGlass, extend, extendAlone, view, approve, revoke, review,
readAudit, administer")]
pub(super) struct ExplainArgs {
    /// Who wants to do it [default: you]
    #[arg(long, value_name = "NAME")]
    principal: Option<PrincipalName>,
    /// As if they were in these groups, separated by commas [default: those that they are in]
    #[arg(long, value_name = "GROUPS", value_delimiter = ',')]
    groups: Option<Vec<String>>,
    /// What they want to do
    #[arg(long, value_name = "ACTION")]
    action: Action,
    /// With which target; none for readAudit and administer
    #[arg(long, value_name = "TARGET")]
    target: Option<TargetName>,
    /// For how long
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// How long the session would be altogether, if more of it is asked for [default: as --for]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    total: Option<Duration>,
    /// As if they had proved who they are with a second factor
    #[arg(long)]
    mfa: bool,
    /// As if they called from this address
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// When: RFC 3339, or a local date and time, "2026-11-22 14:00" [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Timestamp>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The ticket that the reason names
    #[arg(long, value_name = "TICKET")]
    ticket: Option<String>,
    /// Whose request, session or review it is
    #[arg(long, value_name = "NAME")]
    requester: Option<PrincipalName>,
    /// How often the session has been extended
    #[arg(long, value_name = "NUMBER")]
    extensions: Option<u32>,
    /// Ask no server: go by this configuration file and the policies that it names
    #[arg(long, value_name = "FILE", requires = "principal")]
    config: Option<PathBuf>,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let local = || {
        text.parse::<DateTime>()
            .ok()?
            .to_zoned(TimeZone::system())
            .ok()
    };
    let at = text.parse::<Timestamp>().ok();
    at.or_else(|| Some(local()?.timestamp())).ok_or_else(|| {
        "write RFC 3339 (2026-11-22T14:00:00Z) or a local date and time (2026-11-22 14:00)".into()
    })
}

pub(super) async fn run(global: &Global, args: ExplainArgs) -> Done {
    let explanation = match &args.config {
        Some(path) => offline(&args, &configuration(path)?)?,
        None => global.api()?.explain(&asked(&args)).await?,
    };
    let allowed = explanation.allowed;
    global
        .output()
        .show(&explanation, |explanation| text(&args, explanation))?;
    Ok((!allowed).into())
}

/// The configuration at `path`.
pub(super) fn configuration(path: &Path) -> Result<Config, CliError> {
    Config::load(path).map_err(CliError::BadConfiguration)
}

fn asked(args: &ExplainArgs) -> ExplainPolicy {
    ExplainPolicy {
        action: args.action,
        target: args.target.clone(),
        principal: args.principal.clone(),
        groups: args.groups.clone(),
        mfa: args.mfa.then_some(true),
        address: args.address,
        duration: args.duration.map(in_text),
        total: args.total.map(in_text),
        at: args.at,
        reason: args.reason.clone(),
        ticket: args.ticket.clone(),
        requester: args.requester.clone(),
        stage: None,
        extensions: args.extensions,
    }
}

fn in_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// The same question, answered here.
fn offline(args: &ExplainArgs, config: &Config) -> Result<Explanation, CliError> {
    let people: Vec<Principal> = config
        .principals
        .iter()
        .map(|it| it.principal.clone())
        .collect();
    let targets = config.targets.iter().map(|it| &it.target);
    let policy = Cedar::new(in_force(config)?, targets, config.access.time_zone.clone());
    let target = target(args, config)?;
    let caller = Caller {
        mfa: args.mfa,
        address: args.address,
        ..Caller::new(somebody(args, &people)?)
    };
    let query = Query {
        caller: &caller,
        action: args.action,
        target,
        context: Context {
            duration: args.duration,
            total: args.total.or(args.duration),
            reason: args.reason.as_deref(),
            ticket: args.ticket.as_deref(),
            requester: args.requester.as_ref(),
            extensions: args.extensions,
            ..Context::at(args.at.unwrap_or_else(|| Clock::system().now()))
        },
    };
    Ok(explain(&policy, &query, &people))
}

fn target<'a>(args: &ExplainArgs, config: &'a Config) -> Result<Option<&'a Target>, CliError> {
    let action = args.action;
    let wrong = |problem: String| Err(CliError::Usage(problem));
    let name = match (&args.target, action.has_target()) {
        (Some(name), true) => name,
        (None, false) => return Ok(None),
        (None, true) => return wrong(format!("{action} is done with a target: add --target")),
        (Some(_), false) => {
            return wrong(format!(
                "{action} concerns hallpass as a whole: leave --target out"
            ));
        }
    };
    let mut targets = config.targets.iter().map(|it| &it.target);
    match targets.find(|it| it.name == *name) {
        Some(target) => Ok(Some(target)),
        None => wrong(format!("there is no target {name} in the configuration")),
    }
}

/// The principal of the configuration, or one who is made up.
fn somebody(args: &ExplainArgs, people: &[Principal]) -> Result<Principal, CliError> {
    let Some(name) = &args.principal else {
        return Err(CliError::Usage("--config needs --principal".into()));
    };
    let known = people.iter().find(|it| it.name == *name);
    if known.is_none() && args.groups.is_none() {
        out::note(&format!(
            "{name} is not in the configuration, and taken to be in no group: see --groups"
        ));
    }
    let groups = args.groups.clone();
    let groups = groups.or_else(|| known.map(|it| it.groups.clone()));
    Ok(Principal {
        name: name.clone(),
        groups: groups.unwrap_or_default(),
        kind: known.map_or(PrincipalKind::Person, |it| it.kind),
    })
}

fn text(args: &ExplainArgs, found: &Explanation) -> String {
    let mut lines = vec![verdict(args, found)];
    lines.extend(found.policies.iter().map(policy));
    if let Some(instead) = &found.instead {
        let instead = paint(BOLD, &clean(instead));
        lines.push(format!("What would be allowed: {instead}"));
    }
    match &found.alone {
        Some(alone) if alone.allowed => {
            lines.push("It needs nobody's approval.".into());
            lines.extend(alone.policies.iter().map(policy));
        }
        Some(_) => lines.push(approval(&found.approvers)),
        None => {}
    }
    lines.join("\n")
}

fn verdict(args: &ExplainArgs, found: &Explanation) -> String {
    let who = args.principal.as_ref().map_or("you", PrincipalName::as_str);
    let what = match &args.target {
        Some(target) => format!("{} {target}", args.action),
        None => args.action.to_string(),
    };
    let long = args
        .duration
        .map(|it| format!(" for {}", humantime::format_duration(it)));
    let what = format!("{what}{}", long.unwrap_or_default());
    match (found.allowed, found.policies.is_empty()) {
        (true, _) => format!("{}: {who} may {what}", paint(GOOD, "yes")),
        (false, true) => format!(
            "{}: {who} may not {what}; no policy permits it",
            paint(BAD, "no")
        ),
        (false, false) => format!("{}: {who} may not {what}", paint(BAD, "no")),
    }
}

fn policy(note: &PolicyNote) -> String {
    let verb = match note.effect {
        Effect::Permit => GOOD,
        Effect::Forbid => BAD,
    };
    let says = note.says.as_deref().map(|it| format!("  {}", clean(it)));
    format!(
        "  {} {}{}  {}",
        paint(verb, effect(note.effect)),
        paint(BOLD, &clean(&note.id)),
        says.unwrap_or_default(),
        paint(DIM, &clean(&place(note)))
    )
}

fn approval(approvers: &[Approver]) -> String {
    if approvers.is_empty() {
        return "It needs approval, and nobody who is known could give it.".into();
    }
    let name = |approver: &Approver| match approver.with_mfa {
        true => format!("{} (with a second factor)", clean(&approver.name)),
        false => clean(&approver.name),
    };
    let names: Vec<String> = approvers.iter().map(name).collect();
    format!(
        "It needs approval, which could come from: {}",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ExplainArgs,
    }

    const CONFIG: &str = r#"
[principals.maya]
groups = ["engineers"]
token_sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
[principals.dana]
groups = ["leads"]
token_sha256 = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
[targets.orders-admin]
host = "127.0.0.1"
user = "orders_admin"
databases = ["orders"]
max_duration = "3d"
owners = ["omar"]
[targets.orders-dev]
host = "127.0.0.1"
user = "orders_ro"
databases = ["orders"]
environment = "development"
read_only = true
"#;

    fn explained(line: &str) -> Result<(String, Explanation), CliError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hallpass.toml");
        std::fs::write(&path, CONFIG).unwrap();
        let line = format!("explain --config {} {line}", path.display());
        let args = Line::try_parse_from(line.split(' ')).unwrap().args;
        let found = offline(&args, &configuration(&path)?)?;
        Ok((
            anstream::adapter::strip_str(&text(&args, &found)).to_string(),
            found,
        ))
    }

    #[test]
    fn a_yes_names_the_policy_and_who_could_approve() {
        let (text, found) =
            explained("--principal maya --action request --target orders-admin --for 2h").unwrap();
        assert!(found.allowed);
        assert!(
            text.starts_with("yes: maya may request orders-admin for 2h\n"),
            "{text}"
        );
        assert!(text.contains("permit engineers-request  engineers may ask for every target"));
        assert!(text.contains("requests.cedar:"), "{text}");
        assert!(text.ends_with("could come from: @leads"), "{text}");
    }

    #[test]
    fn a_no_names_what_forbids_it_and_what_would_be_allowed() {
        let (text, _) =
            explained("--principal maya --action request --target orders-admin --for 1d").unwrap();
        assert!(
            text.starts_with("no: maya may not request orders-admin for 1day\n"),
            "{text}"
        );
        assert!(text.contains("forbid production-for-a-day"), "{text}");
        assert!(text.contains("What would be allowed: up to 8h"), "{text}");
        let (text, _) = explained("--principal kim --action readAudit").unwrap();
        assert_eq!(text, "no: kim may not readAudit; no policy permits it");
    }

    #[test]
    fn what_is_granted_alone_says_so() {
        let (text, _) = explained(
            "--principal kim --groups engineers --action request --target orders-dev --for 1h",
        )
        .unwrap();
        assert!(
            text.contains("It needs nobody's approval.\n  permit read-only-outside"),
            "{text}"
        );
    }

    #[test]
    fn questions_that_make_no_sense_are_usage_errors() {
        for line in [
            "--principal maya --action request",
            "--principal maya --action readAudit --target orders-dev",
            "--principal maya --action request --target no-such",
        ] {
            assert!(matches!(explained(line), Err(CliError::Usage(_))), "{line}");
        }
    }

    #[test]
    fn a_moment_is_rfc_3339_or_local() {
        assert_eq!(
            moment("2026-11-22T14:00:00Z").unwrap().as_second(),
            1_795_356_000
        );
        assert!(moment("2026-11-22 14:00").is_ok());
        assert!(moment("tomorrow").unwrap_err().contains("RFC 3339"));
    }
}
