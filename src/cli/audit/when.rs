//! Moments that are past, as people write them.

use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::super::written::{Written, local};

/// A moment that is past: so long ago, or at a time of today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct When(Written);

/// The text is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "write how long ago (90s, 2h, 3d), a time of today (14:00), a local date and time (2026-11-22, \
     \"2026-11-22 14:00\"), or RFC 3339 (2026-11-22T14:00:00Z)"
)]
pub(super) struct InvalidWhen;

impl FromStr for When {
    type Err = InvalidWhen;

    fn from_str(text: &str) -> Result<Self, InvalidWhen> {
        let text = text.trim();
        let written = Written::read(text, text.trim_end_matches(" ago"));
        written.map(Self).ok_or(InvalidWhen)
    }
}

impl When {
    /// The moment, if it is `now`, in the time zone `zone`.
    pub(super) fn resolve(self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        match self.0 {
            Written::Span(ago) => SignedDuration::try_from(ago)
                .ok()
                .and_then(|ago| now.checked_sub(ago).ok())
                .unwrap_or(Timestamp::MIN),
            Written::At(at) => at,
            Written::Local(time) => local(time, now, zone),
            Written::Time(time) => {
                let today = now.to_zoned(zone.clone()).date();
                local(today.to_datetime(time), now, zone)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now: Timestamp = "2026-11-22T09:30:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        for (text, expected) in [
            ("2h", "2026-11-22T07:30:00Z"),
            ("3d", "2026-11-19T09:30:00Z"),
            ("1d 30m ago", "2026-11-21T09:00:00Z"),
            ("2026-11-22T14:00:00+02:00", "2026-11-22T12:00:00Z"),
            ("2026-11-22", "2026-11-21T23:00:00Z"),
            ("2026-11-22 14:00", "2026-11-22T13:00:00Z"),
            ("2026-11-22T14:00:05", "2026-11-22T13:00:05Z"),
            ("14:00", "2026-11-22T13:00:00Z"),
        ] {
            let when: When = text
                .parse()
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(when.resolve(now, &zone).to_string(), expected, "{text}");
        }
        for text in ["", "yesterday", "2", "2026-13-01", "25:00"] {
            assert_eq!(text.parse::<When>(), Err(InvalidWhen), "{text}");
        }
    }
}
