//! Moments to come, as people write them.

use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::written::{Written, local};

/// A moment to come: in a span, or the next time that it is so late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(Written);

/// The text is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "write in how long (30m, 2h, 3d), a time (14:00, the next one), a local date and time \
     (2026-11-22, \"2026-11-22 14:00\"), or RFC 3339 (2026-11-22T14:00:00Z)"
)]
pub(super) struct InvalidMoment;

impl FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, InvalidMoment> {
        let text = text.trim();
        let written = Written::read(text, text.trim_start_matches("in "));
        written.map(Self).ok_or(InvalidMoment)
    }
}

impl Moment {
    /// The moment, if it is `now`, in the time zone `zone`.
    pub(super) fn resolve(self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        match self.0 {
            Written::Span(wait) => SignedDuration::try_from(wait)
                .ok()
                .and_then(|wait| now.checked_add(wait).ok())
                .unwrap_or(Timestamp::MAX),
            Written::At(at) => at,
            Written::Local(time) => local(time, now, zone),
            Written::Time(time) => {
                let today = now.to_zoned(zone.clone()).date();
                let next = local(today.to_datetime(time), now, zone);
                let tomorrow = today.tomorrow().unwrap_or(today);
                if next > now {
                    next
                } else {
                    local(tomorrow.to_datetime(time), now, zone)
                }
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
            ("2h", "2026-11-22T11:30:00Z"),
            ("in 3d", "2026-11-25T09:30:00Z"),
            ("2026-11-22T14:00:00+02:00", "2026-11-22T12:00:00Z"),
            ("2026-11-23", "2026-11-22T23:00:00Z"),
            ("2026-11-22 14:00", "2026-11-22T13:00:00Z"),
            ("14:00", "2026-11-22T13:00:00Z"),
            ("10:00", "2026-11-23T09:00:00Z"),
        ] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.resolve(now, &zone).to_string(), expected, "{text}");
        }
        for text in ["", "tomorrow", "2", "2026-13-01", "25:00"] {
            assert_eq!(text.parse::<Moment>(), Err(InvalidMoment), "{text}");
        }
    }
}
