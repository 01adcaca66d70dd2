//! `hallpass audit stats`.

use std::ops::ControlFlow;

use clap::{Args, ValueEnum};
use comfy_table::{Cell, CellAlignment};
use jiff::tz::TimeZone;

use super::super::columns::{Column, Columns, Field};
use super::super::human::{bytes, cell, count, table};
use super::super::out::{self, BOLD, Spinner, paint};
use super::super::{Done, Global};
use super::Where;
use super::filters::Filters;
use super::row::local;
use super::search::Reading;
use super::words::took;
use crate::audit::search::{Events, Found, Taker, search};
use crate::audit::stats::{self, Line, Outstanding, Report, Stats};
use crate::clock::Clock;

/// Groups that people are shown.
const SHOWN: usize = 30;

/// Count statements: who did how much, what took longest, what failed, who was turned away.
///
/// Exit code 0: there was something to count; 1: nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass audit stats --since 7d
  hallpass audit stats --by table --target orders-admin --since 2026-11-01
  hallpass audit stats --by hour --principal maya --since 1d
  hallpass audit stats --by tag --outcome failed --output json")]
pub(super) struct StatsArgs {
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    from: Where,
    /// What statements are counted by [default: who, and what was reached]
    #[arg(long, value_enum, value_name = "WHAT")]
    by: Option<By>,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Principal,
    Target,
    /// In the words of PostgreSQL's command tags
    Tag,
    /// Each table that a text names
    Table,
    /// In local time
    Hour,
}

impl StatsArgs {
    fn by(&self) -> stats::By {
        match self.by {
            None => stats::By::PrincipalAndTarget,
            Some(By::Principal) => stats::By::Principal,
            Some(By::Target) => stats::By::Target,
            Some(By::Tag) => stats::By::Tag,
            Some(By::Table) => stats::By::Table,
            Some(By::Hour) => stats::By::Hour,
        }
    }
}

pub(super) fn run(global: &Global, args: &StatsArgs) -> Done {
    let query = args.filters.query(Clock::system().now(), Events::Also)?;
    let archive = args.from.archive()?;
    let zone = TimeZone::system();
    let mut counting = Counting {
        stats: Stats::new(args.by(), zone.clone()),
        _spinner: Spinner::start("reading the log, {elapsed}"),
    };
    let read = search(&archive, &query, args.reading.manner(false), &mut counting);
    let Counting { stats, .. } = counting;
    let read = read.map_err(|error| super::unreadable(&archive, error))?;
    let report = stats.report();
    let by = args.by.map_or("WHO AND WHERE".to_owned(), heading);
    global
        .output()
        .show(&report, |report| text(report, &by, &zone))?;
    super::warn_of_unreadable(read);
    Ok(u8::from(
        report.total.statements == 0 && report.denials.is_empty(),
    ))
}

fn heading(by: By) -> String {
    let value = by.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_uppercase())
}

/// Counts what is found.
struct Counting {
    stats: Stats,
    _spinner: Spinner,
}

impl Taker for Counting {
    fn found(&mut self, found: Found) -> ControlFlow<()> {
        self.stats.take(&found);
        ControlFlow::Continue(())
    }
}

fn text(report: &Report, by: &str, zone: &TimeZone) -> String {
    let mut parts = vec![groups(report, by)];
    let took = |it: &Outstanding| took(it.value);
    parts.extend(top("The slowest", "TOOK", &report.slowest, took, zone));
    let rows = |it: &Outstanding| count(it.value);
    parts.extend(top("Most rows", "ROWS", &report.most_rows, rows, zone));
    parts.extend(errors(report));
    parts.extend(denials(report));
    parts.join("\n\n")
}

fn section(title: &str, text: &str) -> String {
    format!("{}\n{text}", paint(BOLD, title))
}

fn groups(report: &Report, by: &str) -> String {
    if report.total.statements == 0 {
        return "No statement was found.".to_owned();
    }
    let mut rows: Vec<Vec<Cell>> = report.groups.iter().take(SHOWN).map(row).collect();
    if report.groups.len() != 1 {
        rows.push(row(&report.total));
    }
    let header = [
        by,
        "STATEMENTS",
        "FAILED",
        "ROWS",
        "BYTES",
        "TIME",
        "P50",
        "P95",
        "MAX",
    ];
    let mut text = table(&header, rows, "");
    if report.groups.len() > SHOWN {
        let more = count((report.groups.len() - SHOWN) as u64);
        text += &format!("\n{more} more are in the total: --output json has all");
    }
    text
}

fn row(line: &Line) -> Vec<Cell> {
    let number = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    vec![
        cell(&line.name),
        number(count(line.statements)),
        number(count(line.failures)),
        number(count(line.rows)),
        number(bytes(line.bytes)),
        number(took(line.microseconds)),
        number(took(line.p50)),
        number(took(line.p95)),
        number(took(line.max)),
    ]
}

fn top(
    title: &str,
    unit: &'static str,
    statements: &[Outstanding],
    value: impl Fn(&Outstanding) -> String,
    zone: &TimeZone,
) -> Option<String> {
    let columns = Columns::new(
        vec![
            Column::number(unit, 9),
            Column::text("TIME", 19),
            Column::text("WHO", 12),
            Column::text("TARGET", 12),
            Column::text("SESSION", 16),
            Column::rest("STATEMENT"),
        ],
        out::width(),
    );
    let row = |it: &Outstanding| {
        columns.row(&[
            Field::plain(value(it)),
            Field::plain(local(zone, it.at)),
            Field::plain(&*it.principal),
            Field::plain(&*it.target),
            Field::plain(&*it.session),
            Field::Sql(&it.sql),
        ])
    };
    let mut lines = vec![columns.heading()];
    lines.extend(statements.iter().map(row));
    (!statements.is_empty()).then(|| section(title, &lines.join("\n")))
}

fn errors(report: &Report) -> Option<String> {
    let errors = report.errors.iter().take(SHOWN);
    let rows = errors.map(|it| vec![cell(&it.sqlstate), cell(&count(it.count))]);
    let text = table(&["SQLSTATE", "HOW OFTEN"], rows.collect(), "");
    (!text.is_empty()).then(|| section("Errors", &text))
}

fn denials(report: &Report) -> Option<String> {
    let denials = report.denials.iter().take(SHOWN);
    let rows = denials.map(|it| vec![cell(&it.user), cell(&count(it.count)), cell(&it.reason)]);
    let header = ["CLAIMED TO BE", "HOW OFTEN", "WHY"];
    let text = table(&header, rows.collect(), "");
    (!text.is_empty()).then(|| section("Turned away", &text))
}
