//! Which statements are meant: shared by the commands that read them.

use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::error::CliError;
use super::when::When;
use crate::access::{ConnectionId, PrincipalName, SessionId, TargetName};
use crate::audit::Outcome;
use crate::audit::search::{Ending, Events, Query, RowCount, Scope, SqlstatePattern, TextFilter};
use crate::http::types::StatementsQuery;
use crate::sql::{TableName, WantedTable};

/// What statements have to be: all that is given has to hold.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which statements")]
pub(super) struct Filters {
    /// Text in SQL or parameters, as it stands; in any case, unless it has a capital letter
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    /// TEXT is a regular expression, and in the case that it says ((?i) for any)
    #[arg(short = 'e', long, requires = "text")]
    regex: bool,
    /// Where TEXT is looked for
    #[arg(
        long = "in",
        value_enum,
        default_value_t,
        value_name = "WHERE",
        requires = "text"
    )]
    scope: In,
    /// Who ran them; may be repeated
    #[arg(short, long = "principal", value_name = "NAME")]
    principals: Vec<PrincipalName>,
    /// What they reached; may be repeated
    #[arg(short, long = "target", value_name = "TARGET")]
    targets: Vec<TargetName>,
    /// The session
    #[arg(short, long)]
    session: Option<SessionId>,
    /// The connection
    #[arg(long)]
    connection: Option<ConnectionId>,
    /// The database
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,
    /// Begun then or later: 2h, 3d, 14:00, 2026-11-22, "2026-11-22 14:00", RFC 3339
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// Begun before then
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    /// The code of their failure, or its beginning and a star: 42P01, 42*
    #[arg(long, value_name = "CODE")]
    sqlstate: Option<SqlstatePattern>,
    /// What they did, in the words of PostgreSQL's command tags: UPDATE, CREATE, "CREATE TABLE"
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// A table that they name: orders, public.orders, "\"Order Items\"". Names in the text count,
    /// not what views and functions reach
    #[arg(long, value_name = "TABLE")]
    table: Option<WantedTable>,
    /// How they ended; may be repeated
    #[arg(long = "outcome", value_enum, value_name = "OUTCOME")]
    outcomes: Vec<OutcomeName>,
    /// They took longer than this: 5s, 100ms
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    longer: Option<Duration>,
    /// They returned so many rows: '>10000', '>=1', '<5', 0
    #[arg(long, value_name = "ROWS", value_parser = rows)]
    rows: Option<RowCount>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum In {
    #[default]
    Both,
    Sql,
    Parameters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutcomeName {
    Completed,
    /// With an error, or their commit with one
    Failed,
    /// An error before them made the server skip them
    Skipped,
    /// The portal had more rows
    Suspended,
    /// The connection ended first
    Unknown,
    /// No end is in the log
    Running,
}

/// A number of rows, with a comparison before it.
fn rows(text: &str) -> Result<RowCount, String> {
    let text = text.trim();
    let (sign, digits) = text.split_at(
        text.find(|c: char| c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let wrong = || "write a number of rows, or a comparison: '>10000', '>=1', '<5', 0".to_owned();
    let n: u64 = digits
        .replace(['_', ','], "")
        .parse()
        .map_err(|_| wrong())?;
    let (from, to) = match sign.trim() {
        "" | "=" => (n, n),
        ">" => (n.checked_add(1).ok_or_else(wrong)?, u64::MAX),
        ">=" => (n, u64::MAX),
        "<" => (
            0,
            n.checked_sub(1)
                .ok_or_else(|| "no number is below 0".to_owned())?,
        ),
        "<=" => (0, n),
        _ => return Err(wrong()),
    };
    Ok(RowCount { from, to })
}

impl Filters {
    /// The query that they are, if it is `now`.
    pub(super) fn query(&self, now: Timestamp, events: Events) -> Result<Query, CliError> {
        let zone = TimeZone::system();
        let moment = |when: When| when.resolve(now, &zone);
        let (since, until) = (self.since.map(moment), self.until.map(moment));
        if matches!((since, until), (Some(since), Some(until)) if since >= until) {
            let what = "--since is not before --until: no statement can be between them";
            return Err(CliError::Usage(what.into()));
        }
        Ok(Query {
            principals: self.principals.clone(),
            targets: self.targets.clone(),
            session: self.session,
            connection: self.connection,
            database: self.database.clone(),
            since,
            until,
            sqlstate: self.sqlstate.clone(),
            tag: self.tag.as_deref().map(words),
            table: self.table.clone(),
            outcomes: self.outcomes.iter().map(|it| it.ending()).collect(),
            text: self.text()?,
            longer: self.longer,
            rows: self.rows,
            events,
        })
    }

    /// The same, as the server is asked.
    pub(super) fn document(&self, now: Timestamp) -> Result<StatementsQuery, CliError> {
        let query = self.query(now, Events::None)?;
        let outcomes = self.outcomes.iter().map(word);
        Ok(StatementsQuery {
            text: self.text.clone(),
            regex: self.regex.then_some(true),
            scope: self.text.as_ref().map(|_| word(&self.scope)),
            principal: joined(self.principals.iter()),
            target: joined(self.targets.iter()),
            session: self.session,
            connection: self.connection,
            database: self.database.clone(),
            since: query.since,
            until: query.until,
            sqlstate: self.sqlstate.as_ref().map(ToString::to_string),
            tag: query.tag,
            table: self.table.as_ref().map(as_sql),
            outcome: joined(outcomes),
            longer: self
                .longer
                .map(|it| humantime::format_duration(it).to_string()),
            rows_from: self.rows.map(|it| it.from),
            rows_to: self.rows.map(|it| it.to),
            ..StatementsQuery::default()
        })
    }

    fn text(&self) -> Result<Option<TextFilter>, CliError> {
        let Some(text) = &self.text else {
            return Ok(None);
        };
        let scope = match self.scope {
            In::Both => Scope::Both,
            In::Sql => Scope::Sql,
            In::Parameters => Scope::Parameters,
        };
        let filter = match self.regex {
            true => TextFilter::pattern(text, scope),
            false => TextFilter::literal(text, scope),
        };
        let usage = |error: crate::audit::search::InvalidText| CliError::Usage(error.to_string());
        filter.map(Some).map_err(usage)
    }
}

/// The word that a value is written by.
fn word(value: &impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |it| it.get_name().to_owned())
}

/// A table as SQL has it.
fn as_sql(table: &WantedTable) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let TableName { schema, name } = table.name();
    let schema = schema.iter().map(|it| quoted(it) + ".");
    schema.chain([quoted(name)]).collect()
}

/// Separated by commas; `None` if there is none.
fn joined(items: impl Iterator<Item = impl ToString>) -> Option<String> {
    let items: Vec<String> = items.map(|it| it.to_string()).collect();
    (!items.is_empty()).then(|| items.join(","))
}

/// With single spaces.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl OutcomeName {
    fn ending(self) -> Ending {
        match self {
            Self::Completed => Ending::As(Outcome::Completed),
            Self::Failed => Ending::As(Outcome::Failed),
            Self::Skipped => Ending::As(Outcome::Skipped),
            Self::Suspended => Ending::As(Outcome::Suspended),
            Self::Unknown => Ending::As(Outcome::Unknown),
            Self::Running => Ending::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_rows_are_compared() {
        let is = |text: &str| rows(text).map(|it| (it.from, it.to));
        assert_eq!(is(">10000"), Ok((10001, u64::MAX)));
        assert_eq!(is(">= 1"), Ok((1, u64::MAX)));
        assert_eq!(is("<5"), Ok((0, 4)));
        assert_eq!(is("<=10_000"), Ok((0, 10_000)));
        assert_eq!(is("0"), Ok((0, 0)));
        for wrong in ["", ">", "many", "=>5", "<0", "5k"] {
            assert!(is(wrong).is_err(), "{wrong}");
        }
    }

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        filters: Filters,
    }

    #[test]
    fn the_server_is_asked_for_what_is_searched_here() {
        use clap::Parser;
        let line = [
            "line",
            "Refunds",
            "--in",
            "sql",
            "-p",
            "maya",
            "-p",
            "noor",
            "--since",
            "2026-11-22T09:00:00Z",
            "--sqlstate",
            "42*",
            "--table",
            "public.\"Order Items\"",
            "--outcome",
            "failed",
            "--outcome",
            "running",
            "--longer",
            "1m 5s",
            "--rows",
            ">7",
        ];
        let filters = Line::parse_from(line).filters;
        let document = filters.document(Timestamp::UNIX_EPOCH).unwrap();
        let asked = serde_json::to_value(&document).unwrap();
        let expected = serde_json::json!({
            "text": "Refunds", "in": "sql", "principal": "maya,noor",
            "since": "2026-11-22T09:00:00Z", "sqlstate": "42*",
            "table": "\"public\".\"Order Items\"", "outcome": "failed,running",
            "longer": "1m 5s", "rows_from": 8, "rows_to": u64::MAX,
        });
        assert_eq!(asked, expected);
    }
}
