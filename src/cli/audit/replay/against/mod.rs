//! `hallpass audit replay --against`: the recorded statements on another database.

mod address;
mod client;
mod login;
mod report;
mod runner;
mod wire;
mod worker;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{self, BufRead, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::super::super::error::CliError;
use super::super::super::out::{self, BOLD, WARN, paint};
use super::super::super::{Done, Global};
use super::super::words::{number, since};
use crate::access::ConnectionId;
use crate::audit::replay::{
    Item, Plan, Skip, Statement, Step, Story, compare, pieces, plan, replayed,
};
use crate::audit::{Outcome as Recorded, StatementKind, Text};
use address::Address;
use report::{Line, Report, Totals, Verdict};
use runner::{Outcome, Results, Settings, What, Work};
use worker::Job;

/// How long more than it took a statement is waited for before what followed it goes ahead.
const PATIENCE: Duration = Duration::from_secs(3);
/// Stands for what was cut off.
const FAIL: &str = "DO $hallpass$ BEGIN RAISE 'cut off when it was recorded'; END $hallpass$";

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
    let plans = plans(story, against.commit);
    let work = work(story, &plans, against.timing, args.speed);
    let results = runner::run(&settings, &story.connections, &work).await;
    let report = report(&settings, story, plans, &work, results);
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

/// What is done about each statement that counts.
fn plans(story: &Story, committed: bool) -> Vec<(&Statement, Plan)> {
    let connections: HashMap<ConnectionId, _> =
        story.connections.iter().map(|it| (it.id, it)).collect();
    let mut gone: HashSet<(ConnectionId, u64)> = HashSet::new();
    let planned = replayed(story).map(|statement| {
        let connection = connections.get(&statement.connection).copied();
        let mut planned = plan(statement, connection, committed);
        let portal = statement.continues.map(|it| (statement.connection, it));
        if portal.is_some_and(|it| gone.contains(&it)) {
            planned = Plan::Skip(Skip::NoPortal);
        }
        if planned != Plan::Run {
            gone.insert((statement.connection, statement.portal));
        }
        (statement, planned)
    });
    planned.collect()
}

/// What there is to do, in the order in which it began. Work on statements has, behind it, the
/// place of the statement in `plans`: see [`places`].
fn work(story: &Story, plans: &[(&Statement, Plan)], timing: Timing, speed: f64) -> Vec<Work> {
    let from = story
        .connections
        .first()
        .map_or_else(|| story.begins_at(), |it| it.at);
    let due = |at| match timing {
        Timing::Fast => Duration::ZERO,
        Timing::Original => since(from, at).div_f64(speed),
    };
    let mut work = Vec::new();
    let used: HashSet<ConnectionId> = plans.iter().map(|(it, _)| it.connection).collect();
    let all = story.connections.iter().enumerate();
    for (place, connection) in all.filter(|(_, it)| used.contains(&it.id)) {
        let mut push = |start: u64, end: u64, at, what| {
            let item = Item {
                connection: place,
                start,
                end: end.max(start + 1),
                due: due(at),
                took: Duration::ZERO,
            };
            work.push(Work { item, what });
        };
        let ready = connection
            .established
            .as_ref()
            .map_or(connection.seq, |it| it.seq);
        push(connection.seq, ready, connection.at, What::Open);
        if let Some(closed) = &connection.closed {
            push(closed.seq, closed.seq, closed.at, What::Close);
        }
    }
    let last = last_of_portals(story);
    for (statement, plan) in plans {
        let is_last =
            last.get(&(statement.connection, statement.portal)) == Some(&statement.number);
        let Some(statement) = to_run(statement, plan) else {
            continue;
        };
        let took = statement.end.as_ref().map_or(0, |end| end.microseconds);
        let item = Item {
            connection: story.ordinal(statement.connection).saturating_sub(1),
            start: statement.seq,
            end: statement.end.as_ref().map_or(u64::MAX, |end| end.seq),
            due: due(statement.at),
            took: Duration::from_micros(took),
        };
        let goes_on = !is_last;
        let what = What::Run(Arc::new(Job { statement, goes_on }));
        work.push(Work { item, what });
    }
    work.sort_by_key(|it| it.item.start);
    work
}

/// What is run for a statement; of one that is skipped and failed then, what makes its transaction
/// fail now, too.
fn to_run(statement: &Statement, plan: &Plan) -> Option<Statement> {
    let Plan::Skip(skip) = plan else {
        return Some(statement.clone());
    };
    let end = statement
        .end
        .as_ref()
        .filter(|end| end.outcome == Recorded::Failed)?;
    let sql = statement
        .sql
        .as_ref()
        .map(|sql| sql.to_lossy())
        .unwrap_or_default();
    let done = match skip {
        Skip::CutOff { .. } => end.results.len(),
        _ => 0,
    };
    let done = pieces(&sql).into_iter().take(done).map(|piece| piece.sql);
    let text: Vec<&str> = done.chain([FAIL]).collect();
    Some(Statement {
        step: Step::Started,
        kind: Some(StatementKind::Simple),
        name: None,
        sql: Some(Text::from(&*text.join(";"))),
        parameters: Some(Vec::new()),
        function: None,
        continues: None,
        ..statement.clone()
    })
}

/// The last number that was executed of each portal.
fn last_of_portals(story: &Story) -> HashMap<(ConnectionId, u64), u64> {
    let run = story
        .statements
        .iter()
        .filter(|it| it.step == Step::Started);
    run.map(|it| ((it.connection, it.portal), it.number))
        .collect()
}

fn report(
    settings: &Settings,
    story: &Story,
    plans: Vec<(&Statement, Plan)>,
    work: &[Work],
    mut results: Results,
) -> Report {
    let places: HashMap<u64, usize> = work
        .iter()
        .enumerate()
        .map(|(i, it)| (it.item.start, i))
        .collect();
    let mut lines = Vec::new();
    let unopened = unopened(work, &results);
    for (place, (statement, plan)) in plans.into_iter().enumerate() {
        let outcome = places
            .get(&statement.seq)
            .and_then(|it| results.outcomes.remove(it));
        let ordinal = story.ordinal(statement.connection);
        let (mut result, microseconds) = verdict(statement, plan, outcome, &unopened, ordinal);
        if let Verdict::Different { hint, .. } = &mut result {
            *hint = self::hint(settings, story, statement);
        }
        lines.push(Line {
            number: place + 1,
            connection: statement.connection,
            connection_number: ordinal,
            seq: statement.seq,
            recorded_microseconds: statement.end.as_ref().map(|end| end.microseconds),
            microseconds,
            statement: statement.clone(),
            result,
        });
    }
    let totals = Totals::of(&lines);
    Report {
        session: story.session,
        against: settings.address.name(),
        committed: settings.committed,
        notes: notes(settings, &totals, results.ahead.len()),
        statements: lines,
        totals,
    }
}

/// Why connections could not be opened, by their numbers.
fn unopened(work: &[Work], results: &Results) -> HashMap<usize, String> {
    let opened = work
        .iter()
        .enumerate()
        .filter(|(_, it)| matches!(it.what, What::Open));
    let failed = opened.filter_map(|(index, it)| match results.outcomes.get(&index) {
        Some(Outcome::Lost(why)) => Some((it.item.connection + 1, why.clone())),
        _ => None,
    });
    failed.collect()
}

fn verdict(
    statement: &Statement,
    plan: Plan,
    outcome: Option<Outcome>,
    unopened: &HashMap<usize, String>,
    ordinal: usize,
) -> (Verdict, Option<u64>) {
    let skipped = |skip: Skip| {
        let reason = skip.reason();
        (Verdict::Skipped { skip, reason }, None)
    };
    if let Plan::Skip(skip) = plan {
        return skipped(skip);
    }
    if let Some(why) = unopened.get(&ordinal) {
        let error = format!("no connection: {why}");
        return (Verdict::Stuck { error }, None);
    }
    match outcome {
        Some(Outcome::Ran(ran)) => {
            let took = u64::try_from(ran.took.as_micros()).unwrap_or(u64::MAX);
            let differences = compare(statement, &ran.seen);
            let verdict = match differences.is_empty() {
                true => Verdict::Same,
                false => Verdict::Different {
                    differences,
                    hint: None,
                },
            };
            (verdict, Some(took))
        }
        Some(Outcome::Lost(error)) => (Verdict::Stuck { error }, None),
        Some(Outcome::Skipped(skip)) => skipped(skip),
        None => skipped(Skip::NoConnection),
    }
}

/// Why a statement may have done something else, where it is not for the data.
fn hint(settings: &Settings, story: &Story, statement: &Statement) -> Option<String> {
    if settings.committed {
        return None;
    }
    let writes = |it: &&Statement| {
        let end = it.end.as_ref();
        it.connection != statement.connection
            && end.is_some_and(|end| end.seq < statement.seq && end.results.iter().any(changes))
    };
    let before = story.statements.iter().find(writes)?;
    Some(format!(
        "perhaps for want of what connection {} had committed before: see --commit",
        story.ordinal(before.connection)
    ))
}

fn changes(result: &crate::audit::CommandResult) -> bool {
    let tag = result.tag.to_lossy();
    let reads = [
        "SELECT", "BEGIN", "COMMIT", "ROLLBACK", "SET", "SHOW", "FETCH", "EXPLAIN", "START",
    ];
    !reads.iter().any(|it| tag.starts_with(it))
}

fn notes(settings: &Settings, totals: &Totals, ahead: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if ahead > 0 {
        let text = format!(
            "{} went ahead of what it followed then, for that took too long: it waited for a lock, \
             perhaps",
            number(ahead as u64, "statement")
        );
        notes.push(text);
    }
    if !settings.committed && totals.same + totals.different > 0 {
        notes.push(
            "What PostgreSQL does not roll back stays: values of sequences, and what functions do \
             outside of the database."
                .to_owned(),
        );
    }
    notes
}
