//! `hallpass audit verify`.

use std::fs;
use std::path::Path;

use clap::Args;
use comfy_table::Cell;

use super::super::error::CliError;
use super::super::human::{bytes, cell, clean, count, table};
use super::super::out::{BAD, Bar, DIM, GOOD, WARN, paint};
use super::super::{Done, Global};
use super::Where;
use crate::audit::verify::{Demands, Fault, Moment, Progress, Report, verify};
use crate::audit::{Head, PublicKey};

/// Faults, and notes, that are told one by one.
const TOLD: usize = 10;

/// Check that the audit is the one that was written: whole, in order, signed, nothing left out.
///
/// Reads everything once. Exit code 0: it is sound; 1: it is not, or cannot be read.
///
/// The chain of hashes shows what was changed, deleted, added or moved. Only signatures show that
/// nobody wrote it anew, and only a --key from elsewhere makes sure that they are the right ones.
/// Only a --head from elsewhere makes sure that nobody who can write to the folder cut its end off.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass audit verify
  hallpass audit verify --from /var/lib/hallpass/audit --key audit.pub
  hallpass audit verify --key audit.pub --head $(tail -1 /mnt/elsewhere/heads)")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    from: Where,
    /// A public key that may have signed it, as `hallpass audit key` prints it: a file, or its base64; may
    /// be repeated [default: whichever keys the log itself names]
    #[arg(long = "key", value_name = "PUB", value_parser = key)]
    keys: Vec<PublicKey>,
    /// A record that it must hold, as `hallpass audit head` printed it; may be repeated
    #[arg(long = "head", value_name = "SEQ:HASH")]
    heads: Vec<Head>,
    /// Take it for a part of a log: what is before its first record need not be accounted for
    #[arg(long)]
    part: bool,
    /// Take it for one that nobody writes any more: nothing may be open, and all must be signed
    #[arg(long)]
    closed: bool,
}

/// A key in base64, or in a file.
fn key(text: &str) -> Result<PublicKey, String> {
    if let Ok(key) = PublicKey::parse(text) {
        return Ok(key);
    }
    let pem = fs::read_to_string(Path::new(text))
        .map_err(|error| format!("neither a key in base64 nor a file: {error}"))?;
    PublicKey::parse(&pem).map_err(|error| error.to_string())
}

pub(super) fn run(global: &Global, args: VerifyArgs) -> Done {
    let demands = Demands {
        keys: args.keys,
        heads: args.heads,
        part: args.part || args.from.is_one_file(),
        closed: args.closed,
    };
    let source = args.from.source()?;
    let place = source.name();
    let bar = Bar::start("verifying", "segments");
    let report = verify(source, &demands, &mut |progress| show(&bar, progress));
    drop(bar);
    let report = report.map_err(|source| CliError::Audit {
        place: place.clone(),
        source,
    })?;
    if report.records == 0 && report.sound {
        return Err(CliError::NoAudit { place });
    }
    global.output().show(&report, human)?;
    Ok(u8::from(!report.sound))
}

fn show(bar: &Bar, progress: Progress) {
    let position = (progress.segments as u64, progress.of as u64);
    bar.set(position, &bytes(progress.bytes));
}

/// The report as people read it.
fn human(report: &Report) -> String {
    let mut parts = vec![verdict(report), facts(report)];
    parts.extend(notes(report));
    if report.sound {
        parts.extend(report.head.map(keep));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn verdict(report: &Report) -> String {
    let Some((first, more)) = report.faults.split_first() else {
        let sound = format!("{} is sound.", clean(&report.log));
        return paint(GOOD, &sound);
    };
    let headline = format!("{} is NOT sound.", clean(&report.log));
    let mut lines = vec![paint(BAD, &headline), String::new(), fault(first)];
    lines.push(match report.sound_up_to() {
        Some(seq) => format!("  Up to record {seq} all is as it was written."),
        None => "  Nothing before it is there.".to_owned(),
    });
    for other in more.iter().take(TOLD) {
        lines.push(String::new());
        lines.push(fault(other));
    }
    if more.len() > TOLD {
        lines.push(format!(
            "\nAnd {} more; all: --output json",
            more.len() - TOLD
        ));
    }
    lines.join("\n")
}

fn fault(fault: &Fault) -> String {
    let line = fault
        .line
        .map_or(String::new(), |line| format!(", line {line}"));
    let place = format!("{}{line}", clean(&fault.file));
    format!(
        "{} {}\n  {}\n  It means: {}.",
        paint(BAD, "✗"),
        place,
        capitalised(&clean(&fault.what)),
        clean(&fault.means)
    )
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), chars.as_str())
}

/// What was covered.
fn facts(report: &Report) -> String {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![cell(name), cell(&value)]);
    row(
        "segments",
        format!(
            "{}, {} of records",
            count(report.segments),
            bytes(report.bytes)
        ),
    );
    row("records", span(report));
    row("sessions", count(report.sessions));
    row("connections", connections(report));
    row("statements", statements(report));
    row("signed", signed(report));
    if report.taken_over > 0 {
        let what = format!(
            "{} records in {} stretches: see the notes",
            count(report.taken_over_records),
            count(report.taken_over)
        );
        row("signed by the next start", what);
    }
    for key in &report.keys {
        let what = format!("{} ({} checkpoints)", key.key, count(key.checkpoints));
        row("key", what);
    }
    for gap in &report.deleted {
        let why = match gap.declared {
            Some(declared) => format!("deleted, as record {declared} says"),
            None => "not here: this is a part".to_owned(),
        };
        row(
            "gap",
            format!("records {} to {}: {why}", gap.first, gap.last),
        );
    }
    table(&["COVERED", ""], rows, "")
}

fn span(report: &Report) -> String {
    match (report.first, report.last) {
        (Some(first), Some(last)) => format!(
            "{}: {} ({}) to {} ({})",
            count(report.records),
            first.seq,
            time(first),
            last.seq,
            time(last)
        ),
        _ => "none".to_owned(),
    }
}

fn time(moment: Moment) -> String {
    moment.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn connections(report: &Report) -> String {
    let mut text = count(report.connections);
    if report.open_connections > 0 {
        text += &format!(", {} open", count(report.open_connections));
    }
    if report.crashed_connections > 0 {
        text += &format!(", {} ended by a crash", count(report.crashed_connections));
    }
    text
}

fn statements(report: &Report) -> String {
    let mut text = count(report.statements);
    if report.open_statements > 0 {
        text += &format!(", {} under way", count(report.open_statements));
    }
    if report.unknown_outcomes > 0 {
        text += &format!(", {} with unknown outcome", count(report.unknown_outcomes));
    }
    text
}

fn signed(report: &Report) -> String {
    let up_to = match report.signed {
        Some(signed) => format!("up to record {} ({})", signed.seq, time(signed)),
        None => "nothing".to_owned(),
    };
    match report.unsigned {
        _ if report.signed.is_none() => up_to,
        0 => format!("{up_to}: all"),
        unsigned => format!("{up_to}; {} behind it not signed yet", count(unsigned)),
    }
}

fn notes(report: &Report) -> Option<String> {
    let told = report.notes.iter().take(TOLD);
    let mut notes: Vec<String> = told.map(|note| clean(note)).collect();
    if report.notes.len() > TOLD {
        let more = report.notes.len() - TOLD;
        notes.push(format!("{more} more notes; all: --output json"));
    }
    if !report.keys_given {
        notes.push(
            "without --key the keys are the log's own: this shows damage, and not that somebody \
             wrote the log anew with a key of theirs"
                .to_owned(),
        );
    }
    let notes: Vec<String> = notes
        .iter()
        .map(|note| format!("{} {note}", paint(WARN, "note:")))
        .collect();
    (!notes.is_empty()).then(|| notes.join("\n"))
}

fn keep(head: Head) -> String {
    format!(
        "Keep this elsewhere: with --head it shows later that nothing up to here was cut off.\n{}",
        paint(DIM, &head.to_string())
    )
}
