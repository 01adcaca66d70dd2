//! `hallpass audit search`.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::super::error::CliError;
use super::super::human::{bytes, count};
use super::super::out::{self, DIM, Format, paint};
use super::super::pager::{Pages, Paging};
use super::super::{Done, Global};
use super::Where;
use super::filters::Filters;
use super::form::Form;
use crate::audit::search::{Coverage, Events, Found, Manner, Query, Taker, search};
use crate::clock::Clock;
use crate::http::types::StatementsQuery;

/// What the server gives at most.
const MOST: u64 = 1000;

/// Find statements: by who, where, when, by their text, by what they did.
///
/// The newest come first, because it is mostly the last hours that are asked about, and what is
/// found there is shown while the rest is still being searched. Exit code 0: something was found;
/// 1: nothing; 2: the command line is wrong.
///
/// What is recorded as a hash or omitted cannot be found by its text, and neither can what the
/// database makes of a name or a view: what was sent is searched. Sealed segments are read as far
/// as their indexes say that it is needed. An index proves nothing: `hallpass audit verify`
/// compares it with its segment, and --no-index reads all.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass audit search --principal maya --since 2h
  hallpass audit search 'from refunds' --target orders-ro --limit 20
  hallpass audit search -e 'drop\\s+(table|schema)' --outcome completed
  hallpass audit search --table orders --tag UPDATE --since 2026-11-01 --output csv > updates.csv
  hallpass audit search --longer 5s --rows '>10000' --output json
  hallpass audit search --sqlstate '42*' --session ses-4m0t8z1kqc7e --full
  hallpass audit search --events=only --since 1d
  hallpass audit search --server --target orders-admin --since 1h")]
pub(super) struct SearchArgs {
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    from: Where,
    /// Ask the server, which is for auditors; that they did is recorded. It gives 1000 at most
    #[arg(long, help_heading = "Which log", conflicts_with_all = ["from", "config", "no_index", "threads"])]
    server: bool,
    /// No more than so many
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// The oldest first
    #[arg(short, long)]
    reverse: bool,
    /// The whole text of each, with its parameters and ids
    #[arg(short, long)]
    full: bool,
    /// Also records that are not of statements (denials, approvals, sessions, connections), or
    /// those alone
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "also"
    )]
    events: Option<EventsWanted>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    paging: Paging,
}

/// How the log is read.
#[derive(Debug, Clone, Args)]
pub(super) struct Reading {
    /// Read all, whatever the indexes say
    #[arg(long)]
    no_index: bool,
    /// How many threads read [default: one a processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

impl Reading {
    /// Whether indexes are not used.
    pub(super) fn no_index(&self) -> bool {
        self.no_index
    }

    /// In this order.
    pub(super) fn manner(&self, newest_first: bool) -> Manner {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        Manner {
            newest_first,
            without_index: self.no_index,
            workers: self.threads.map_or_else(processors, usize::from),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EventsWanted {
    Also,
    Only,
}

pub(super) async fn run(global: &Global, args: &SearchArgs) -> Done {
    match args.server {
        true => on_server(global, args).await,
        false => here(global, args),
    }
}

async fn on_server(global: &Global, args: &SearchArgs) -> Done {
    let form = args.form(global)?;
    let asked = args.document()?;
    let answer = global.api()?.statements(&asked).await?;
    let mut shown = Shown::new(Pages::open(&args.paging)?, form, args.limit);
    let all = answer.found.into_iter();
    let _ = all
        .map(|found| shown.found(found))
        .find(ControlFlow::is_break);
    let found = shown.found;
    let code = shown.end(true)?;
    out::note(&paint(DIM, &how_many(found, answer.more)));
    Ok(code)
}

fn here(global: &Global, args: &SearchArgs) -> Done {
    let query = args.query()?;
    let form = args.form(global)?;
    let archive = args.from.archive()?;
    let begun = Instant::now();
    let mut shown = Shown::new(Pages::open(&args.paging)?, form, args.limit);
    let manner = args.reading.manner(!args.reverse);
    let searched = search(&archive, &query, manner, &mut shown);
    let read = searched.map_err(|error| super::unreadable(&archive, error));
    let (found, limited) = (shown.found, shown.is_full());
    let done = shown.end(read.as_ref().map(|_| ()).is_ok());
    let read = read?;
    let code = done?;
    out::note(&summary(found, limited, read, begun.elapsed()));
    super::warn_of_unreadable(read);
    Ok(code)
}

impl SearchArgs {
    fn query(&self) -> Result<Query, CliError> {
        let events = match self.events {
            None => Events::None,
            Some(EventsWanted::Also) => Events::Also,
            Some(EventsWanted::Only) => Events::Only,
        };
        self.filters.query(Clock::system().now(), events)
    }

    fn document(&self) -> Result<StatementsQuery, CliError> {
        let limit = self.limit.unwrap_or(MOST);
        if limit > MOST {
            let what = format!("the server gives {MOST} at most: --limit {MOST}, and --until");
            return Err(CliError::Usage(what));
        }
        let events = self.events.map(|it| match it {
            EventsWanted::Also => "also".to_owned(),
            EventsWanted::Only => "only".to_owned(),
        });
        Ok(StatementsQuery {
            events,
            oldest_first: self.reverse.then_some(true),
            limit: Some(limit),
            ..self.filters.document(Clock::system().now())?
        })
    }

    fn form(&self, global: &Global) -> Result<Form, CliError> {
        if global.output == Format::Csv && self.events.is_some() {
            let what = "--events are not written as CSV: their fields differ; use --output json";
            return Err(CliError::Usage(what.into()));
        }
        Ok(Form::new(global.output, self.full))
    }
}

/// Prints what is found.
struct Shown {
    pages: Pages,
    form: Form,
    limit: u64,
    found: u64,
    failed: Option<CliError>,
}

impl Shown {
    fn new(pages: Pages, form: Form, limit: Option<u64>) -> Self {
        Self {
            pages,
            form,
            limit: limit.unwrap_or(u64::MAX),
            found: 0,
            failed: None,
        }
    }

    fn is_full(&self) -> bool {
        self.found >= self.limit
    }

    fn print(&mut self, found: &Found) -> Result<(), CliError> {
        let heading = Some(()).filter(|()| self.found == 0);
        if let Some(heading) = heading.and_then(|()| self.form.heading()) {
            self.pages.print(&heading)?;
        }
        self.pages.print(&self.form.text(found)?)
    }

    fn check(&mut self, done: Result<(), CliError>) -> ControlFlow<()> {
        match done {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Waits for the reader. `whole`: the search was not cut short by an error.
    fn end(self, whole: bool) -> Done {
        let code = u8::from(self.found == 0);
        let done = match self.failed {
            Some(error) => Err(error),
            None => Ok(code),
        };
        match whole {
            true => self.pages.close(done),
            false => self.pages.close(Ok(code)),
        }
    }
}

impl Taker for Shown {
    fn found(&mut self, found: Found) -> ControlFlow<()> {
        let printed = self.print(&found);
        self.check(printed)?;
        self.found += 1;
        match self.is_full() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn read(&mut self, _: Coverage) -> ControlFlow<()> {
        let gone = self.pages.check();
        self.check(gone)
    }
}

fn how_many(found: u64, limited: bool) -> String {
    match (found, limited) {
        (0, _) => "Nothing found".to_owned(),
        (n, true) => format!("{} found, and there may be more (--limit)", count(n)),
        (n, false) => format!("{} found", count(n)),
    }
}

/// `12 found; 1.3 GiB of the log read in 0.41 s`
fn summary(found: u64, limited: bool, read: Coverage, took: Duration) -> String {
    let found = how_many(found, limited);
    let read = bytes(read.bytes);
    let text = format!(
        "{found}; {read} of the log read in {:.2} s",
        took.as_secs_f64()
    );
    paint(DIM, &text)
}
