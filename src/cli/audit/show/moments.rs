//! What happened, in its order, with the time since the beginning.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use super::super::super::error::CliError;
use super::super::super::human::{clean, short};
use super::super::super::out::{BAD, BOLD, DIM, WARN, paint};
use super::super::words::{day_and_time, offset, since, size, zone};
use super::head::reason;
use super::{Print, statement};
use crate::access::ConnectionId;
use crate::audit::replay::{Closed, Connection, Ended, Moment, Statement, Story};

/// From how long on it is said that nothing happened.
const GAP: Duration = Duration::from_secs(60);
/// By which connections are told apart.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Blue,
    AnsiColor::Red,
];

/// What of it is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    /// What people and connections did.
    pub(super) acts: bool,
    /// What was run.
    pub(super) statements: bool,
    /// Without cuts.
    pub(super) full: bool,
}

/// Tells it moment by moment.
pub(super) fn tell(story: &Story, shown: Shown, print: Print<'_>) -> Result<(), CliError> {
    let from = story.begins_at();
    print(&format!("\n{}", paint(DIM, &times_from(from))))?;
    let mut last = None;
    for moment in story.timeline() {
        let Some(lines) = lines(story, &moment, shown) else {
            continue;
        };
        let (at, _) = moment.place();
        if let Some(gap) = last.and_then(|last| gap(last, at)) {
            print(&gap)?;
        }
        last = Some(ended_at(&moment).max(at).max(last.unwrap_or(at)));
        print(&beside(&time(from, at), &lines))?;
    }
    print("")
}

fn times_from(from: Timestamp) -> String {
    format!("Times from {} {} on:", day_and_time(from), zone(from))
}

fn time(from: Timestamp, at: Timestamp) -> String {
    paint(DIM, &format!("{:>12}", offset(from, at)))
}

/// Until when what begins with a moment went on.
fn ended_at(moment: &Moment<'_>) -> Timestamp {
    match moment {
        Moment::Statement(Statement { end: Some(end), .. }) => end.at,
        other => other.place().0,
    }
}

fn gap(last: Timestamp, at: Timestamp) -> Option<String> {
    let gap = since(last, at);
    let text = format!("{:>12}  nothing for {}", "·", short(gap));
    (gap >= GAP).then(|| paint(DIM, &text))
}

/// Lines with something beside the first.
pub(in super::super) fn beside(margin: &str, lines: &[String]) -> String {
    let rest = lines.iter().skip(1);
    let rest = rest.map(|line| format!("\n{:12}  {line}", ""));
    let first = lines.first().map_or("", String::as_str);
    format!("{margin}  {first}{}", rest.collect::<String>())
}

fn lines(story: &Story, moment: &Moment<'_>, shown: Shown) -> Option<Vec<String>> {
    match moment {
        Moment::Statement(it) => {
            if !shown.statements || !(shown.full || it.is_telling()) {
                return None;
            }
            let mut lines = statement::lines(it, shown.full);
            mark(story, it.connection, &mut lines);
            Some(lines)
        }
        _ => shown.acts.then(|| acts(story, moment)),
    }
}

/// What people and connections did, in lines.
pub(in super::super) fn acts(story: &Story, moment: &Moment<'_>) -> Vec<String> {
    match moment {
        Moment::Opened(it) => opened(story, it),
        Moment::Closed(it, closed) => self::closed(story, it, closed),
        other => vec![act(story, other)],
    }
}

fn mark(story: &Story, connection: ConnectionId, lines: &mut [String]) {
    let mark = marked(story, connection);
    for line in lines {
        line.insert_str(0, &mark);
    }
}

/// Which connection it is; nothing if there is only one.
pub(in super::super) fn marked(story: &Story, connection: ConnectionId) -> String {
    match story.connections.len() {
        0 | 1 => String::new(),
        _ => paint(
            colour(story, connection),
            &format!("{:>2}│ ", story.ordinal(connection)),
        ),
    }
}

fn colour(story: &Story, connection: ConnectionId) -> Style {
    let colour = COLOURS[story.ordinal(connection) % COLOURS.len()];
    colour.on_default()
}

/// What people did.
fn act(story: &Story, moment: &Moment<'_>) -> String {
    match moment {
        Moment::Submitted(it) => format!(
            "{} asks for {} ({})",
            it.principal,
            short(Duration::from_secs(it.seconds)),
            it.request
        ),
        Moment::Approved(it) => format!("{} approves", it.by),
        Moment::SecretRead(it) => format!("{} fetches the session's secret", it.by),
        Moment::Hold(it) if it.released => {
            format!(
                "{} lets its records go again: {}",
                it.by,
                reason(&it.reason)
            )
        }
        Moment::Hold(it) => format!("{} holds its records: {}", it.by, reason(&it.reason)),
        Moment::Cancelled(it) => {
            let ordinal = story.ordinal(it.connection);
            let text = format!("Connection {ordinal}: cancel asked for");
            format!("{} from {}", paint(WARN, &text), clean(&it.peer))
        }
        Moment::Ended(Ended { by: Some(by), .. }) => {
            paint(BOLD, &format!("Session revoked by {by}"))
        }
        Moment::Ended(_) => paint(BOLD, "Session expired"),
        Moment::Opened(_) | Moment::Statement(_) | Moment::Closed(..) => String::new(),
    }
}

fn name(story: &Story, connection: &Connection) -> String {
    let name = format!("Connection {}", story.ordinal(connection.id));
    paint(colour(story, connection.id), &name)
}

fn opened(story: &Story, connection: &Connection) -> Vec<String> {
    let program = connection.application_name.as_ref();
    let program = program.map(|it| clean(&it.to_lossy())).unwrap_or_default();
    let by = match program.is_empty() {
        true => String::new(),
        false => format!(" by {program}"),
    };
    let peer = connection.peer.as_deref().map(clean);
    let first = format!(
        "{} opened{by} from {}, {} ({})",
        name(story, connection),
        peer.as_deref().unwrap_or("(not in this log)"),
        connection.tls.as_deref().map_or("no TLS".into(), clean),
        connection.id
    );
    let reached = connection.established.as_ref().map(|it| {
        let role = clean(&it.role);
        format!("as {role}, server process {}", it.upstream_pid)
    });
    let reached = reached.unwrap_or_else(|| paint(BAD, "the server was not reached"));
    let second = format!("to database {} {reached}", clean(&connection.database));
    vec![first, second]
}

fn closed(story: &Story, connection: &Connection, closed: &Closed) -> Vec<String> {
    let how = match closed.is_crash() {
        true => paint(BAD, "cut off: hallpass died here"),
        false => format!("closed: {}", clean(&closed.reason).replace('_', " ")),
    };
    let counts = format!(
        " ({} in, {} out)",
        size(closed.bytes_in),
        size(closed.bytes_out)
    );
    let counts = if closed.is_crash() { "" } else { &counts };
    let mut lines = vec![format!("{} {how}{counts}", name(story, connection))];
    lines.extend(connection.terminated.map(|pid| {
        let text = format!("server process {pid} did not stop, and was ended by hallpass");
        paint(WARN, &text)
    }));
    lines.extend(connection.left.map(|pid| {
        let text = format!("server process {pid} could not be ended: it may have run on");
        paint(BAD, &text)
    }));
    lines
}
