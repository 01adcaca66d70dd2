//! `hallpass audit tail`.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::super::error::CliError;
use super::super::out;
use super::super::{Done, Global};
use super::Where;
use super::filters::Filters;
use super::form::Form;
use crate::audit::archive::Archive;
use crate::audit::follow::{Chunk, FollowError, Follower};
use crate::audit::join::Joiner;
use crate::audit::search::{Events, Found, Query};
use crate::audit::{Event, Record};
use crate::clock::Clock;

/// How often the folder is looked at.
const PACE: Duration = Duration::from_millis(200);
/// Bytes of lines that are taken at a time.
const CHUNK: usize = 4 << 20;
/// The beginnings of statements that end now are looked for in so many segments before the last.
const BEFORE: usize = 1;

/// Show the last statements that ended, and those that end from now on.
///
/// A statement is shown when it has ended, with its outcome. With -f, new ones are shown as they
/// are recorded, over rotation, sealing and restarts, until Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass audit tail
  hallpass audit tail -f --target orders-admin
  hallpass audit tail -f --outcome failed --events
  hallpass audit tail -f --output json | jq -c '{principal, sql}'")]
pub(super) struct TailArgs {
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    from: Where,
    /// How many of the last to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: usize,
    /// Go on with what comes
    #[arg(short, long)]
    follow: bool,
    /// The whole text of each, with its parameters and ids
    #[arg(long)]
    full: bool,
    /// Also records that are not of statements: denials, approvals, sessions, connections
    #[arg(long)]
    events: bool,
}

pub(super) async fn run(global: &Global, args: &TailArgs) -> Done {
    let events = match args.events {
        true => Events::Also,
        false => Events::None,
    };
    let query = args.filters.query(Clock::system().now(), events)?;
    let form = Form::new(global.output, args.full);
    let archive = args.from.archive()?;
    let mut tail = Tail::new(&archive, query)?;
    let last = tail.last(args.lines)?;
    form.heading()
        .map_or(Ok(()), |heading| out::print(&heading))?;
    last.iter().try_for_each(|found| show(&form, found))?;
    if !args.follow {
        return Ok(u8::from(last.is_empty()));
    }
    loop {
        for found in tail.new_ones()? {
            show(&form, &found)?;
        }
        tokio::time::sleep(PACE).await;
    }
}

fn show(form: &Form, found: &Found) -> Result<(), CliError> {
    out::print(&form.text(found)?)
}

/// The end of a log.
struct Tail {
    query: Query,
    follower: Follower,
    joiner: Joiner,
    place: PathBuf,
    /// The files that there were, and their sizes, when there was nothing more to read.
    seen: Option<Vec<(PathBuf, u64)>>,
}

impl Tail {
    fn new(archive: &Archive, query: Query) -> Result<Self, CliError> {
        let place = PathBuf::from(archive.source().name());
        if !place.is_dir() {
            let what = "tail reads a log in a folder; of files and buckets, `hallpass audit search` \
                        shows the newest first";
            return Err(CliError::Usage(what.into()));
        }
        let segments = archive.segments();
        let first = &segments[segments.len().saturating_sub(1 + BEFORE)];
        Ok(Self {
            query,
            follower: Follower::new(&place, first.first),
            joiner: Joiner::default(),
            place,
            seen: None,
        })
    }

    /// The last of what is there.
    fn last(&mut self, lines: usize) -> Result<VecDeque<Found>, CliError> {
        let mut last = VecDeque::new();
        loop {
            let found = self.read()?;
            if found.is_none() {
                return Ok(last);
            }
            last.extend(found.into_iter().flatten());
            last.drain(..last.len().saturating_sub(lines));
        }
    }

    /// What has ended since; what is there at once, not all.
    fn new_ones(&mut self) -> Result<Vec<Found>, CliError> {
        // Looking is cheap; finding nothing in a long segment is not.
        let files = self.files();
        if self.seen.as_ref() == Some(&files) {
            return Ok(Vec::new());
        }
        let found = self.read()?;
        self.seen = found.is_none().then_some(files);
        Ok(found.unwrap_or_default())
    }

    fn files(&self) -> Vec<(PathBuf, u64)> {
        let entries = std::fs::read_dir(&self.place).into_iter().flatten();
        let files = entries.filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.path(), entry.metadata().ok()?.len()))
        });
        let mut files: Vec<(PathBuf, u64)> = files.collect();
        files.sort_unstable();
        files
    }

    /// The next records; `None` if there are none.
    fn read(&mut self) -> Result<Option<Vec<Found>>, CliError> {
        match self.follower.read(u64::MAX, CHUNK) {
            Ok(None) | Err(FollowError::Short { .. }) => Ok(None),
            Ok(Some(chunk)) => Ok(Some(self.take(&chunk))),
            // The retention was quicker.
            Err(FollowError::Missing { next, .. }) => {
                self.follower.seek(next);
                Ok(Some(Vec::new()))
            }
            Err(error) => Err(CliError::Audit {
                place: self.place.display().to_string(),
                source: std::io::Error::other(error),
            }),
        }
    }

    fn take(&mut self, chunk: &Chunk) -> Vec<Found> {
        let mut found = Vec::new();
        for (_, line) in chunk.lines() {
            let Ok(record) = serde_json::from_slice::<Record>(line) else {
                continue;
            };
            self.joiner.take(&record);
            let ended = self.joiner.ended().into_iter();
            let wanted = ended.filter(|statement| self.query.accepts(statement));
            found.extend(wanted.map(|statement| Found::Statement(Box::new(statement))));
            let commit_failed = matches!(record.event, Event::CommitFailed { .. });
            if commit_failed || self.query.accepts_event(&record) {
                found.push(Found::Event(Box::new(record)));
            }
        }
        found
    }
}
