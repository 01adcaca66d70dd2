//! Times as people write them: a span, a time of day, a date, a moment. What a span and a time of
//! day mean, the past or what is to come, is for those who asked.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// A time, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// A span: `2h`, `3d 12h`.
    Span(Duration),
    /// With its offset: `2026-11-22T14:00:00Z`.
    At(Timestamp),
    /// In local time: `2026-11-22`, `2026-11-22 14:00`.
    Local(DateTime),
    /// A time of day, in local time: `14:00`.
    Time(Time),
}

impl Written {
    /// Reads one; `span` is the text without the words that go with a span.
    pub(super) fn read(text: &str, span: &str) -> Option<Self> {
        if let Ok(span) = humantime::parse_duration(span) {
            return Some(Self::Span(span));
        }
        if let Ok(at) = text.parse() {
            return Some(Self::At(at));
        }
        // A date and time parses as a date alone, too: what is most exact comes first.
        if !text.contains(':') && text.len() == "2026-11-22".len() {
            let date: Date = text.parse().ok()?;
            return Some(Self::Local(date.at(0, 0, 0, 0)));
        }
        if let Ok(time) = text.parse() {
            return Some(Self::Local(time));
        }
        text.parse().map(Self::Time).ok()
    }
}

/// That time in `zone`; `now`, if there is none.
pub(super) fn local(time: DateTime, now: Timestamp, zone: &TimeZone) -> Timestamp {
    zone.to_timestamp(time).unwrap_or(now)
}
