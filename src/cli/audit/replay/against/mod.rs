//! `hallpass audit replay --against`: the recorded statements on another database.

mod address;
mod client;
mod login;
mod report;
mod runner;
mod verdict;
mod wire;
mod work;
mod worker;

use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::super::super::error::CliError;
use super::super::super::out::{self, BOLD, WARN, paint};
use super::super::super::{Done, Global};
use super::super::words::number;
use crate::audit::replay::Story;
use address::Address;
use runner::Settings;

/// How long more than it took a statement is waited for before what followed it goes ahead.
const PATIENCE: Duration = Duration::from_secs(3);
/// Running it again.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Run it again")]
pub(super) struct AgainstArgs {
    /// Run the statements again, on this database, and tell what differs from the record. The
    /// password comes from PGPASSWORD or ~/.pgpass; sslmode and sslrootcert may stand in the URL
    #[arg(long, value_name = "URL")]
    against: Option<String>,
    /// Commit what was committed. Without it, each connection is one transaction that is rolled
    /// back in the end
    #[arg(long, requires = "against")]
    commit: bool,
    /// Do not ask before committing
    #[arg(long, requires = "commit")]
    yes: bool,
    /// When statements begin: as soon as those are over that were over then, or also not before
    /// their time
    #[arg(
        long,
        value_enum,
        default_value_t,
        requires = "against",
        value_name = "WHEN"
    )]
    timing: Timing,
    /// For how long a statement may run, or ten times as long as it ran then
    #[arg(long, default_value = "60s", requires = "against", value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// For how long a statement may wait for a lock, where nothing is committed
    #[arg(long, default_value = "2s", requires = "against", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lock_timeout: Duration,
}

/// When statements begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Timing {
    /// As soon as those are over that were over then
    #[default]
    Fast,
    /// The same, and not before their time (see --speed)
    Original,
}

impl AgainstArgs {
    /// Whether it is to be run again at all.
    pub(super) fn is_asked_for(&self) -> bool {
        self.against.is_some()
    }
}

pub(super) async fn run(global: &Global, args: &super::ReplayArgs, story: &Story) -> Done {
    let against = &args.against;
    let address = Address::parse(against.against.as_deref().unwrap_or_default())?;
    check_databases(&address, story)?;
    announce(&address, against, story)?;
    let settings = Settings {
        address,
        committed: against.commit,
        timeout: against.timeout,
        lock_timeout: against.lock_timeout,
        patience: PATIENCE + against.lock_timeout,
    };
    runner::check(&settings, &story.connections).await?;
    let plans = work::plans(story, against.commit);
    let work = work::work(story, &plans, against.timing, args.speed);
    let results = runner::run(&settings, &story.connections, &work).await;
    let report = verdict::report(&settings, story, plans, &work, results);
    let code = u8::from(report.totals.different > 0);
    global
        .output()
        .show(&report, |it| report::text(it, story, args.full))?;
    Ok(code)
}

/// One database in the URL cannot stand for several.
fn check_databases(address: &Address, story: &Story) -> Result<(), CliError> {
    let used: BTreeSet<&str> = story.connections.iter().map(|it| &*it.database).collect();
    if address.database.is_none() || used.len() < 2 {
        return Ok(());
    }
    let used: Vec<&str> = used.into_iter().collect();
    Err(CliError::Usage(format!(
        "--against: the session used {} databases ({}); leave the database out of the URL, and \
         each connection goes to its own",
        used.len(),
        super::super::super::human::clean(&used.join(", "))
    )))
}

/// Says what will be done where, and asks if it is to stay done.
fn announce(address: &Address, args: &AgainstArgs, story: &Story) -> Result<(), CliError> {
    let what = format!(
        "Running {} of {} again on {}",
        number(story.totals.statements as u64, "statement"),
        story.session,
        paint(BOLD, &address.name())
    );
    if !args.commit {
        out::note(&format!("{what}. Nothing is committed."));
        return Ok(());
    }
    out::note(&format!(
        "{what}. {}",
        paint(WARN, "What was committed then is committed there.")
    ));
    if args.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(CliError::Usage(
            "--commit asks before it begins; without a terminal, add --yes".into(),
        ));
    }
    out::note("Type yes to go on:");
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(CliError::Output)?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => Err(CliError::Usage("nothing was run".into())),
    }
}
