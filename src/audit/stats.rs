//! Statistics of statements, in one pass and bounded memory.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::search::Found;
use super::{Event, Outcome, Record, Statement};
use crate::sql;

/// Groups that are counted each for itself; what comes then is counted together.
const GROUPS: usize = 50_000;
/// What the group of the rest is called.
const OTHERS: &str = "(others)";
/// Statements that are kept of the slowest, and of those with most rows.
const TOP: usize = 10;
/// Bytes of a statement's text that are kept.
const TEXT: usize = 2000;

/// What statements are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Who.
    Principal,
    /// What was reached.
    Target,
    /// Who, and what was reached.
    PrincipalAndTarget,
    /// The command tag, without its numbers.
    Tag,
    /// Each table that the text names.
    Table,
    /// The hour, in local time.
    Hour,
}

/// What statements did together.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    statements: u64,
    failures: u64,
    rows: u64,
    bytes: u64,
    microseconds: u64,
    /// Of those that ended; `None` until there is one.
    times: Option<Histogram<u64>>,
}

/// A tally, as it is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Of whom, or of what.
    pub name: String,
    /// How many statements.
    pub statements: u64,
    /// How many of them failed, or their commits did.
    pub failures: u64,
    /// Rows that were sent to clients.
    pub rows: u64,
    /// Bytes that answered.
    pub bytes: u64,
    /// The time of all together, in microseconds.
    pub microseconds: u64,
    /// Half of those that ended took no longer, to a hundredth.
    pub p50: u64,
    /// Nineteen of twenty.
    pub p95: u64,
    /// The longest.
    pub max: u64,
}

/// A statement that stands out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Outstanding {
    /// How much: microseconds, or rows.
    pub value: u64,
    /// Where: the sequence of its start.
    pub seq: u64,
    /// When it was sent.
    pub at: jiff::Timestamp,
    /// Who ran it.
    pub principal: String,
    /// What was reached.
    pub target: String,
    /// The session.
    pub session: String,
    /// The beginning of its text.
    pub sql: String,
}

/// Statistics while they are made.
#[derive(Debug)]
pub struct Stats {
    by: By,
    zone: TimeZone,
    total: Tally,
    groups: BTreeMap<String, Tally>,
    slowest: Top,
    largest: Top,
    errors: BTreeMap<String, u64>,
    denials: BTreeMap<(String, String), u64>,
}

/// Statistics, done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Of all statements.
    pub total: Line,
    /// Of each group; by how many statements, and those of an hour by time.
    pub groups: Vec<Line>,
    /// The statements that took longest, in microseconds.
    pub slowest: Vec<Outstanding>,
    /// Those with most rows.
    pub most_rows: Vec<Outstanding>,
    /// How often statements failed with each SQLSTATE.
    pub errors: Vec<Count>,
    /// Clients that were turned away: who they said they are, and why.
    pub denials: Vec<Denied>,
}

/// How often something was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The SQLSTATE.
    pub sqlstate: String,
    /// How often.
    pub count: u64,
}

/// Clients that were turned away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Denied {
    /// The user that they gave: a claim.
    pub user: String,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

impl Stats {
    /// Of nothing yet. Hours are those of `zone`.
    pub fn new(by: By, zone: TimeZone) -> Self {
        Self {
            by,
            zone,
            total: Tally::default(),
            groups: BTreeMap::new(),
            slowest: Top::default(),
            largest: Top::default(),
            errors: BTreeMap::new(),
            denials: BTreeMap::new(),
        }
    }

    /// Counts what was found.
    pub fn take(&mut self, found: &Found) {
        match found {
            Found::Statement(statement) => self.statement(statement),
            Found::Event(record) => self.event(record),
        }
    }

    fn statement(&mut self, statement: &Statement) {
        self.total.add(statement);
        for name in self.names(statement) {
            self.group(name).add(statement);
        }
        if let Some(finish) = &statement.finish {
            self.slowest.offer(finish.microseconds, statement);
            self.largest.offer(finish.rows, statement);
        }
        if let Some(code) = statement.sqlstate() {
            count(&mut self.errors, code.to_owned(), 1);
        }
    }

    fn event(&mut self, record: &Record) {
        let (user, reason, n) = match &record.event {
            Event::ConnectionDenied { user, reason, .. } => (user.to_lossy(), reason.as_str(), 1),
            Event::ConnectionsDenied { peer, count } => (
                format!("(of {peer})").into(),
                "too many to be recorded one by one",
                *count,
            ),
            _ => return,
        };
        count(&mut self.denials, (user.into_owned(), reason.to_owned()), n);
    }

    fn group(&mut self, name: String) -> &mut Tally {
        let known = self.groups.contains_key(&name) || self.groups.len() < GROUPS;
        let name = if known { name } else { OTHERS.to_owned() };
        self.groups.entry(name).or_default()
    }

    fn names(&self, statement: &Statement) -> Vec<String> {
        let origin = &statement.origin;
        match self.by {
            By::Principal => vec![origin.principal.to_string()],
            By::Target => vec![origin.target.to_string()],
            By::PrincipalAndTarget => vec![format!("{} {}", origin.principal, origin.target)],
            By::Tag => vec![command(statement)],
            By::Table => tables(statement),
            By::Hour => {
                let at = statement.at.to_zoned(self.zone.clone());
                vec![at.strftime("%Y-%m-%d %H:00").to_string()]
            }
        }
    }

    /// What was counted.
    pub fn report(self) -> Report {
        let by_time = self.by == By::Hour;
        let groups = self.groups.into_iter();
        let mut groups: Vec<Line> = groups.map(|(name, tally)| tally.line(name)).collect();
        if !by_time {
            groups.sort_by_key(|line| Reverse(line.statements));
        }
        let errors = by_count(self.errors).into_iter();
        let denials = by_count(self.denials).into_iter();
        Report {
            total: self.total.line("total".to_owned()),
            groups,
            slowest: self.slowest.sorted(),
            most_rows: self.largest.sorted(),
            errors: errors
                .map(|(sqlstate, count)| Count { sqlstate, count })
                .collect(),
            denials: denials
                .map(|((user, reason), count)| Denied {
                    user,
                    reason,
                    count,
                })
                .collect(),
        }
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, n: u64) {
    if counts.len() < GROUPS || counts.contains_key(&key) {
        *counts.entry(key).or_default() += n;
    }
}

fn by_count<K>(counts: BTreeMap<K, u64>) -> Vec<(K, u64)> {
    let mut counts: Vec<(K, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    counts
}

/// What a statement did, in the words of its tag; if it has none, of its text.
fn command(statement: &Statement) -> String {
    let tag = statement.tags().next().map(|tag| without_numbers(&tag));
    let text = || {
        statement
            .sql
            .as_ref()
            .and_then(|sql| sql::command(&sql.to_lossy()))
    };
    tag.or_else(text).unwrap_or_else(|| "(none)".to_owned())
}

fn without_numbers(tag: &str) -> String {
    let words = tag.split(' ');
    let words = words.filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit()));
    words.collect::<Vec<_>>().join(" ")
}

/// Each table that a statement names, once.
fn tables(statement: &Statement) -> Vec<String> {
    let Some(sql) = &statement.sql else {
        return Vec::new();
    };
    let text = sql.to_lossy();
    let mut tables: Vec<String> = sql::tables(&text).map(|it| it.to_string()).collect();
    tables.sort_unstable();
    tables.dedup();
    tables
}

impl Tally {
    fn add(&mut self, statement: &Statement) {
        self.statements += 1;
        let failed = statement.outcome() == Some(Outcome::Failed);
        self.failures += u64::from(failed || statement.commit_failed.is_some());
        let Some(finish) = &statement.finish else {
            return;
        };
        self.rows = self.rows.saturating_add(finish.rows);
        self.bytes = self.bytes.saturating_add(finish.bytes);
        self.microseconds = self.microseconds.saturating_add(finish.microseconds);
        if self.times.is_none() {
            // Two digits: to a hundredth. It grows as it needs to.
            self.times = Histogram::new(2).ok();
        }
        if let Some(times) = &mut self.times {
            // It takes every time there is, and grows for it.
            let _ = times.record(finish.microseconds.max(1));
        }
    }

    fn line(&self, name: String) -> Line {
        let times = self.times.as_ref();
        let quantile = |q| times.map_or(0, |times| times.value_at_quantile(q));
        Line {
            name,
            statements: self.statements,
            failures: self.failures,
            rows: self.rows,
            bytes: self.bytes,
            microseconds: self.microseconds,
            p50: quantile(0.5),
            p95: quantile(0.95),
            max: times.map_or(0, Histogram::max),
        }
    }
}

/// The statements with the largest values.
#[derive(Debug, Default)]
struct Top(Vec<Outstanding>);

impl Top {
    fn offer(&mut self, value: u64, statement: &Statement) {
        let least = self.0.last().map_or(0, |it| it.value);
        if value == 0 || (self.0.len() == TOP && value <= least) {
            return;
        }
        let place = self.0.partition_point(|it| it.value >= value);
        self.0.insert(place, outstanding(value, statement));
        self.0.truncate(TOP);
    }

    fn sorted(self) -> Vec<Outstanding> {
        self.0
    }
}

fn outstanding(value: u64, statement: &Statement) -> Outstanding {
    let sql = statement
        .sql
        .as_ref()
        .map_or("".into(), |sql| sql.to_lossy());
    Outstanding {
        value,
        seq: statement.seq,
        at: statement.at,
        principal: statement.origin.principal.to_string(),
        target: statement.origin.target.to_string(),
        session: statement.origin.session.to_string(),
        sql: sql[..sql.floor_char_boundary(TEXT)].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::join::Joiner;
    use super::super::testing::{finished, origin, records, started};
    use super::*;

    fn counted(by: By, texts: &[(&str, u64)]) -> Report {
        let origin = origin(1, 1);
        let numbered = texts.iter().zip(1..);
        let events = numbered
            .flat_map(|((sql, rows), n)| [started(&origin, n, sql), finished(&origin, n, *rows)]);
        let mut joiner = Joiner::default();
        for record in records(events.collect()) {
            joiner.take(&record);
        }
        let mut stats = Stats::new(by, TimeZone::UTC);
        for statement in joiner.finish() {
            stats.take(&Found::Statement(Box::new(statement)));
        }
        stats.report()
    }

    #[test]
    fn each_table_of_a_statement_counts_once() {
        let texts = [
            ("select * from a join b using (x) join a as c using (y)", 5),
            ("select 1", 1),
            ("delete from b", 2),
        ];
        let report = counted(By::Table, &texts);
        let groups: Vec<_> = report
            .groups
            .iter()
            .map(|it| (&*it.name, it.rows))
            .collect();
        assert_eq!(groups, [("b", 7), ("a", 5)]);
        assert_eq!((report.total.statements, report.total.rows), (3, 8));
    }

    #[test]
    fn times_are_told_as_quantiles_and_the_largest_first() {
        let rows: Vec<(&str, u64)> = (1..=100).map(|n| ("select 1", n)).collect();
        let report = counted(By::Tag, &rows);
        let near = |a: u64, b: u64| a.abs_diff(b) <= b / 100;
        assert_eq!(report.groups[0].name, "SELECT");
        assert!(near(report.total.p50, 50_000) && near(report.total.p95, 95_000));
        let rows: Vec<u64> = report.most_rows.iter().map(|it| it.value).collect();
        assert_eq!(rows, (91..=100).rev().collect::<Vec<u64>>());
    }

    #[test]
    fn a_tag_is_counted_without_its_numbers() {
        assert_eq!(without_numbers("INSERT 0 5"), "INSERT");
        assert_eq!(without_numbers("CREATE TABLE"), "CREATE TABLE");
    }
}
