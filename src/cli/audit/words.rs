//! Words for what is in records: times, sizes, values, error codes.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::human::{inert, short};
use crate::audit::{Outcome, Parameter};

/// `2026-11-22 09:04:33`, here.
pub(super) fn day_and_time(at: Timestamp) -> String {
    let here = at.to_zoned(TimeZone::system());
    here.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The name of the zone that times are told in, as it was `at`.
pub(super) fn zone(at: Timestamp) -> String {
    let here = at.to_zoned(TimeZone::system());
    here.strftime("%Z").to_string()
}

/// From one moment to a later one; none at all if the clock was set back.
pub(super) fn since(from: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(from)).unwrap_or_default()
}

/// `0:12:04.250`
pub(super) fn offset(from: Timestamp, at: Timestamp) -> String {
    let sign = if at < from { "-" } else { "" };
    let passed = at.duration_since(from).unsigned_abs();
    format!("{sign}{}", clock(passed))
}

/// `0:12:04.250`
pub(super) fn clock(passed: Duration) -> String {
    let seconds = passed.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let (seconds, millis) = (seconds % 60, passed.subsec_millis());
    format!("{hours}:{minutes:02}:{seconds:02}.{millis:03}")
}

/// `0.31 ms`, `12 ms`, `1.25 s`, `3m 20s`
pub(super) fn took(microseconds: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let exact = microseconds as f64;
    match microseconds {
        0..10_000 => format!("{:.2} ms", exact / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", exact / 1e3),
        1_000_000..60_000_000 => format!("{:.2} s", exact / 1e6),
        _ => short(Duration::from_micros(microseconds)),
    }
}

/// `205 B`, `84.1 KiB`
pub(super) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
    let exact = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", exact / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", exact / 1_048_576.0),
        _ => format!("{:.2} GiB", exact / 1_073_741_824.0),
    }
}

/// `1 row`, `12 rows`; the plural is the singular with an s.
pub(super) fn number(count: impl Into<u64>, noun: &str) -> String {
    match count.into() {
        1 => format!("1 {noun}"),
        count => format!("{} {noun}s", grouped(count)),
    }
}

/// `1,234,567`
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A parameter's value in one line of at most `width` characters, if there is a width.
pub(super) fn value(parameter: &Parameter, width: Option<usize>) -> String {
    match parameter {
        Parameter::Null => "NULL".to_owned(),
        Parameter::Omitted => "(not recorded)".to_owned(),
        Parameter::Hashed { hmac } => format!("(hash {})", shortened(hmac, width.map(|_| 12))),
        Parameter::Text(_) => quoted(parameter, width),
        Parameter::Binary { oid, bytes } => match parameter.readable() {
            Some(_) if matches!(oid, 19 | 25 | 114 | 1042 | 1043) => quoted(parameter, width),
            Some(value) => shortened(&value, width),
            None => unknown(bytes, width),
        },
    }
}

/// Binary, of a type that is not recorded or not known here.
fn unknown(bytes: &[u8], width: Option<usize>) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && text.chars().all(|c| inert(c) == c) => {
            format!("'{}' (binary, read as text)", shortened(text, width))
        }
        _ => {
            let hex = crate::secret::hex(bytes);
            format!("\\x{} (binary)", shortened(&hex, width))
        }
    }
}

fn quoted(parameter: &Parameter, width: Option<usize>) -> String {
    let text = parameter.readable().unwrap_or_default();
    let text = text.replace('\'', "''").replace('\n', "⏎");
    format!("'{}'", shortened(&text, width))
}

/// Inert text, cut with an ellipsis.
fn shortened(text: &str, width: Option<usize>) -> String {
    let width = width.unwrap_or(usize::MAX);
    let mut characters = text.chars().map(inert);
    let mut shown: String = characters.by_ref().take(width).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// What became of a statement, in a word.
pub(super) fn outcome(outcome: Option<Outcome>) -> &'static str {
    outcome.map_or("no outcome", Outcome::label)
}

/// An error's code, with PostgreSQL's name for it where it is a common one.
pub(super) fn error(sqlstate: &str) -> String {
    let code: String = sqlstate.chars().map(inert).take(5).collect();
    match condition(sqlstate) {
        Some(name) => format!("{code} ({name})"),
        None => code,
    }
}

/// Appendix A of PostgreSQL's manual, as far as people meet it.
fn condition(sqlstate: &str) -> Option<&'static str> {
    Some(match sqlstate {
        "0A000" => "feature not supported",
        "22001" => "value too long",
        "22003" => "numeric value out of range",
        "22007" => "invalid datetime format",
        "22012" => "division by zero",
        "22P02" => "invalid text representation",
        "23502" => "not-null violation",
        "23503" => "foreign key violation",
        "23505" => "unique violation",
        "23514" => "check violation",
        "23P01" => "exclusion violation",
        "25001" => "inside a transaction",
        "25006" => "read-only transaction",
        "25P02" => "transaction is aborted",
        "26000" => "no such prepared statement",
        "28000" => "not authorized",
        "28P01" => "wrong password",
        "34000" => "no such cursor",
        "3D000" => "no such database",
        "3F000" => "no such schema",
        "40001" => "serialization failure",
        "40P01" => "deadlock detected",
        "42501" => "insufficient privilege",
        "42601" => "syntax error",
        "42701" => "duplicate column",
        "42703" => "undefined column",
        "42704" => "undefined object",
        "42710" => "duplicate object",
        "42804" => "datatype mismatch",
        "42883" => "undefined function",
        "42P01" => "undefined table",
        "42P02" => "undefined parameter",
        "42P05" => "duplicate prepared statement",
        "42P07" => "duplicate table",
        "53100" => "disk full",
        "53200" => "out of memory",
        "53300" => "too many connections",
        "55006" => "object in use",
        "55P03" => "lock not available",
        "57014" => "cancelled",
        "57P01" => "ended by an administrator",
        "57P03" => "cannot connect now",
        "57P05" => "idle for too long",
        "58030" => "input/output error",
        "P0001" => "raised by the application",
        "XX000" => "internal error",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn times_sizes_and_numbers_are_short() {
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        assert_eq!(offset(at(1000), at(3_725_250)), "1:02:04.250");
        assert_eq!(offset(at(1000), at(500)), "-0:00:00.500");
        let times = [310, 12_000, 1_250_000, 200_000_000].map(took);
        assert_eq!(times, ["0.31 ms", "12 ms", "1.25 s", "3m 20s"]);
        assert_eq!([205, 86_118].map(size), ["205 B", "84.1 KiB"]);
        assert_eq!(number(1u64, "row"), "1 row");
        assert_eq!(number(1_234_567u64, "row"), "1,234,567 rows");
    }

    #[test]
    fn values_say_what_they_are_and_cannot_steer() {
        let text = |text: &str| Parameter::Text(text.into());
        assert_eq!(value(&Parameter::Null, None), "NULL");
        assert_eq!(value(&text("NULL"), None), "'NULL'");
        let hostile = value(&text("it's\x1b[2J\n\u{202e}"), None);
        assert_eq!(hostile, "'it''s\u{fffd}[2J⏎\u{fffd}'");
        assert_eq!(value(&text("abcdef"), Some(3)), "'abc…'");
        let binary = |oid, bytes: &'static [u8]| Parameter::Binary {
            oid,
            bytes: Bytes::from_static(bytes),
        };
        assert_eq!(value(&binary(23, b"\0\0\0\x2a"), None), "42");
        assert_eq!(value(&binary(25, b"42"), None), "'42'");
        assert_eq!(value(&binary(0, b"\xff\0"), None), "\\xff00 (binary)");
        assert_eq!(
            value(&binary(0, b"abc"), None),
            "'abc' (binary, read as text)"
        );
        assert_eq!(value(&Parameter::Omitted, None), "(not recorded)");
    }
}
