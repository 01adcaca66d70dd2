//! `hallpass audit export`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::super::error::CliError;
use super::super::human::{bytes, count};
use super::super::out::{self, DIM, Spinner, paint};
use super::super::{Done, Global};
use super::Where;
use super::filters::Filters;
use super::search::Reading;
use crate::audit::archive::Archive;
use crate::audit::export::{Clients, Csv, Parquet, json_line, ocsf};
use crate::audit::search::{Coverage, Events, Found, Query, Taker, search};
use crate::clock::Clock;

/// Write statements for other programs: analysis, spreadsheets, a SIEM.
///
/// Each is one line or row, the oldest first. Columns of csv and parquet: seq, at, principal,
/// target, database, session, connection, statement, kind, outcome, sqlstate, rows, bytes,
/// microseconds, finished_at, tags, sql, and as JSON parameters, copies, missing. In csv, a cell
/// that a spreadsheet would run as a formula has an apostrophe before it. Texts that are not UTF-8
/// are exact in jsonl alone. ocsf is JSON Lines of OCSF 1.5, class Datastore Activity, with clients
/// that connected or were turned away.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass audit export --format parquet --to october.parquet --since 2026-10-01 --until 2026-11-01
  hallpass audit export --format csv --principal maya --table customers > maya.csv
  hallpass audit export --format ocsf --since 1h | vector --config siem.toml
  hallpass audit export --format jsonl --session ses-4m0t8z1kqc7e --to session.jsonl")]
pub(super) struct ExportArgs {
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    from: Where,
    /// In which form
    #[arg(long, value_enum)]
    format: Form,
    /// The file, made anew [default: standard output]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long, requires = "to")]
    force: bool,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// JSON Lines, as `search --output json`
    Jsonl,
    /// RFC 4180
    Csv,
    /// Apache Parquet, zstd
    Parquet,
    /// OCSF 1.5 Datastore Activity (6005), JSON Lines
    Ocsf,
}

type Out = BufWriter<Box<dyn Write + Send>>;

pub(super) fn run(_: &Global, args: &ExportArgs) -> Done {
    let events = match args.format {
        Form::Ocsf => Events::Connections,
        _ => Events::None,
    };
    let query = args.filters.query(Clock::system().now(), events)?;
    let archive = args.from.archive()?;
    let (target, out) = Target::open(args)?;
    let mut exporting = Exporting::new(args, &archive, &query, out)?;
    let searched = search(&archive, &query, args.reading.manner(false), &mut exporting);
    let read = searched.map_err(|error| super::unreadable(&archive, error))?;
    let written = exporting.written;
    exporting.end()?;
    target.finish()?;
    out::note(&summary(written, read));
    super::warn_of_unreadable(read);
    Ok(u8::from(written == 0))
}

fn summary(written: u64, read: Coverage) -> String {
    let text = format!(
        "{} written; {} of the log read",
        count(written),
        bytes(read.bytes)
    );
    paint(DIM, &text)
}

/// Where it goes.
enum Target {
    Standard,
    /// Under another name until it is whole.
    File {
        path: PathBuf,
        new: PathBuf,
    },
}

impl Target {
    fn open(args: &ExportArgs) -> Result<(Self, Out), CliError> {
        let Some(path) = &args.to else {
            if args.format == Form::Parquet && io::stdout().is_terminal() {
                let what = "parquet is not for a terminal: use --to FILE, or a pipe";
                return Err(CliError::Usage(what.into()));
            }
            return Ok((Self::Standard, BufWriter::new(Box::new(io::stdout()))));
        };
        if path.exists() && !args.force {
            let what = format!("{} is there: use another name, or --force", path.display());
            return Err(CliError::Usage(what));
        }
        let mut new = path.clone().into_os_string();
        new.push(".new");
        let new = PathBuf::from(new);
        let file = create(&new).map_err(CliError::file(&new))?;
        let target = Self::File {
            path: path.clone(),
            new,
        };
        Ok((target, BufWriter::new(Box::new(file))))
    }

    fn finish(self) -> Result<(), CliError> {
        match self {
            Self::Standard => Ok(()),
            Self::File { path, new } => fs::rename(&new, &path).map_err(CliError::file(path)),
        }
    }
}

/// For its owner alone: it has what people wrote and read.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
}

/// Writes what is found.
struct Exporting<'a> {
    writer: Writer<'a>,
    spinner: Spinner,
    written: u64,
    failed: Option<io::Error>,
}

enum Writer<'a> {
    Jsonl(Out),
    Csv(Out),
    Parquet(Box<Parquet<Out>>),
    Ocsf(Box<Ocsf<'a>>),
}

struct Ocsf<'a> {
    out: Out,
    clients: Clients<'a>,
    /// Which connects are written.
    query: Query,
}

impl<'a> Exporting<'a> {
    fn new(
        args: &ExportArgs,
        archive: &'a Archive,
        query: &Query,
        mut out: Out,
    ) -> Result<Self, CliError> {
        let writer = match args.format {
            Form::Jsonl => Writer::Jsonl(out),
            Form::Csv => {
                write!(out, "{}\r\n", Csv.heading()).map_err(CliError::Output)?;
                Writer::Csv(out)
            }
            Form::Parquet => {
                Writer::Parquet(Box::new(Parquet::new(out).map_err(CliError::Output)?))
            }
            Form::Ocsf => Writer::Ocsf(Box::new(Ocsf {
                out,
                clients: Clients::new(archive, args.reading.no_index()),
                query: Query {
                    events: Events::Also,
                    ..query.clone()
                },
            })),
        };
        Ok(Self {
            writer,
            spinner: Spinner::start("{msg}, {elapsed}"),
            written: 0,
            failed: None,
        })
    }

    /// Writes what is left.
    fn end(self) -> Result<(), CliError> {
        if let Some(error) = self.failed {
            return Err(CliError::Output(error));
        }
        let flushed = match self.writer {
            Writer::Jsonl(mut out) | Writer::Csv(mut out) => out.flush(),
            Writer::Parquet(file) => file.finish().and_then(|mut out| out.flush()),
            Writer::Ocsf(mut ocsf) => ocsf.out.flush(),
        };
        flushed.map_err(CliError::Output)
    }
}

impl Taker for Exporting<'_> {
    fn found(&mut self, found: Found) -> ControlFlow<()> {
        match self.writer.write(&found) {
            Ok(written) => {
                self.written += u64::from(written);
                ControlFlow::Continue(())
            }
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn read(&mut self, read: Coverage) -> ControlFlow<()> {
        let (written, read) = (count(self.written), bytes(read.bytes));
        self.spinner.say(&format!("{written} written, {read} read"));
        ControlFlow::Continue(())
    }
}

impl Writer<'_> {
    /// Whether it was written.
    fn write(&mut self, found: &Found) -> io::Result<bool> {
        match (self, found) {
            (Self::Jsonl(out), Found::Statement(statement)) => {
                writeln!(out, "{}", json_line(statement)?)?;
            }
            (Self::Csv(out), Found::Statement(statement)) => {
                write!(out, "{}\r\n", Csv.line(statement))?;
            }
            (Self::Parquet(file), Found::Statement(statement)) => file.push(statement)?,
            (Self::Ocsf(ocsf), _) => return ocsf.write(found),
            (_, Found::Event(_)) => return Ok(false),
        }
        Ok(true)
    }
}

impl Ocsf<'_> {
    fn write(&mut self, found: &Found) -> io::Result<bool> {
        let event = match found {
            Found::Statement(statement) => {
                Some(ocsf::statement(statement, self.clients.of(statement)))
            }
            Found::Event(record) => {
                self.clients.note(&record.event);
                ocsf::connection(record).filter(|_| self.query.accepts_event(record))
            }
        };
        if let Some(event) = &event {
            writeln!(self.out, "{}", json_line(event)?)?;
        }
        Ok(event.is_some())
    }
}
