//! Words for people: times, tables, text from strangers.

use std::time::Duration;

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `in 12m`, or `3m ago`.
pub(super) fn relative(now: Timestamp, at: Timestamp) -> String {
    let distance = at.duration_since(now);
    // To the nearest second: what has just been granted for 15m ends in 15m, not in 14m 59s.
    let nearest = distance.unsigned_abs() + Duration::from_millis(500);
    let text = short(nearest);
    if distance.is_positive() {
        format!("in {text}")
    } else {
        format!("{text} ago")
    }
}

/// The two largest units, the second only if it says something: `45s`, `12m`, `3h 20m`, `2d 4h`.
pub(super) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, m) => two(m, "m", if m < 10 { seconds % 60 } else { 0 }, "s"),
        (0, h, m) => two(h, "h", m % 60, "m"),
        (d, h, _) => two(d, "d", h % 24, "h"),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit} {small}{small_unit}")
    }
}

/// `1,234,567`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    groups.join(",")
}

/// `512 B`, `1.5 MiB`.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..1024 => format!("{n} B"),
        _ => indicatif::BinaryBytes(n).to_string(),
    }
}

/// The time of day here, for a moment that is near: `14:03`, with the date if it is another one.
pub(super) fn clock_time(now: Timestamp, at: Timestamp) -> String {
    let zone = TimeZone::system();
    let (now, at) = (now.to_zoned(zone.clone()), at.to_zoned(zone));
    let format = if now.date() == at.date() {
        "%H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    at.strftime(format).to_string()
}

/// Text from others in one line, with what could steer a terminal, turn its text around or hide in
/// it made visible.
pub(super) fn clean(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| {
            if matches!(c, '\n' | '\t') {
                ' '
            } else {
                inert(c)
            }
        })
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A character from others as a terminal may have it.
pub(super) fn inert(c: char) -> char {
    if c.is_control() || is_bidirectional(c) || is_hidden(c) {
        '\u{fffd}'
    } else {
        c
    }
}

fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters without a shape, by which two names that differ look the same, or that end a line.
/// The joiners of scripts and emoji (U+200C, U+200D) are not among them.
fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// A table without borders; `empty` stands for one without rows.
pub(super) fn table(header: &[&str], rows: Vec<Vec<Cell>>, empty: &str) -> String {
    if rows.is_empty() {
        return empty.to_owned();
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .enforce_styling()
        .set_header(header.iter().map(|name| heading(name)))
        .add_rows(rows);
    table.style_text_only();
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

fn heading(name: &str) -> Cell {
    Cell::new(name).add_attribute(Attribute::Dim)
}

/// A cell with text from others.
pub(super) fn cell(text: &str) -> Cell {
    Cell::new(clean(text))
}

/// A cell with the name of a state, in its colour.
pub(super) fn state(name: &str) -> Cell {
    let cell = Cell::new(name);
    match name {
        "active" | "approved" => cell.fg(Color::Green),
        "pending" | "scheduled" | "open" => cell.fg(Color::Yellow),
        "denied" | "revoked" => cell.fg(Color::Red),
        _ => cell.add_attribute(Attribute::Dim),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: i64) -> String {
        let at = Timestamp::from_second(1_000_000 + seconds).unwrap();
        relative(Timestamp::from_second(1_000_000).unwrap(), at)
    }

    #[test]
    fn times_are_told_from_here() {
        assert_eq!(after(45), "in 45s");
        assert_eq!(after(12 * 60 + 5), "in 12m");
        assert_eq!(after(90), "in 1m 30s");
        assert_eq!(after(-180), "3m ago");
        assert_eq!(after(3 * 3600 + 20 * 60), "in 3h 20m");
        assert_eq!(after(-2 * 86400 - 4 * 3600), "2d 4h ago");
        assert_eq!(after(0), "0s ago");
    }

    #[test]
    fn numbers_are_grouped_and_sizes_have_units() {
        assert_eq!(
            (count(7), count(1_234_567)),
            ("7".into(), "1,234,567".into())
        );
        assert_eq!(
            (bytes(512), bytes(3 << 19)),
            ("512 B".into(), "1.50 MiB".into())
        );
    }

    #[test]
    fn a_moment_does_not_cost_a_minute() {
        let now = Timestamp::from_millisecond(20).unwrap();
        let end = Timestamp::from_second(900).unwrap();
        assert_eq!(relative(now, end), "in 15m");
    }

    #[test]
    fn text_from_others_cannot_steer_the_terminal() {
        let hostile = clean("stuck\x1b[2J refunds\n\u{202e}live");
        assert_eq!(hostile, "stuck\u{fffd}[2J refunds \u{fffd}live");
        assert_eq!(clean("or\u{200b}ders\u{2028}"), "or\u{fffd}ders\u{fffd}");
    }

    #[test]
    fn a_table_is_plain_once_its_colours_are_stripped() {
        let rows = vec![vec![cell("orders-ro"), state("active")]];
        let text = table(&["TARGET", "STATE"], rows, "nothing");
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(plain, "TARGET     STATE\norders-ro  active");
        assert!(text.contains("\x1b["), "{text:?}");
        assert_eq!(table(&["TARGET"], vec![], "nothing"), "nothing");
    }
}
