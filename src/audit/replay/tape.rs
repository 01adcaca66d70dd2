//! A session as it is played: what began when, and when it ended.

use std::time::Duration;

use jiff::Timestamp;

use super::story::{Moment, Story};
use crate::audit::Parameter;

/// What is played: cues in the order in which they begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tape {
    /// The cues.
    pub cues: Vec<Cue>,
    /// When the last of them ends.
    pub length: Duration,
    /// Stretches in which nothing begins, ends or runs, with their ends.
    idle: Vec<(Duration, Duration)>,
}

/// Something that begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// Which moment of [`Tape::moments`] it is.
    pub moment: usize,
    /// When it begins, from the tape's beginning.
    pub start: Duration,
    /// When it ends; of what takes no time: when it begins.
    pub end: Duration,
    /// The number of a statement among those of the session, from 1.
    pub number: Option<usize>,
    /// What is searched, in small letters.
    text: String,
}

impl Tape {
    /// What is played of a session: connections and what they ran, and its end.
    pub fn moments(story: &Story) -> Vec<Moment<'_>> {
        let played = |moment: &Moment<'_>| match moment {
            Moment::Opened(_) | Moment::Cancelled(_) | Moment::Closed(..) | Moment::Ended(_) => {
                true
            }
            Moment::Statement(it) => it.is_telling(),
            _ => false,
        };
        story.timeline().into_iter().filter(played).collect()
    }

    /// The tape of these moments.
    pub fn of(moments: &[Moment<'_>]) -> Self {
        let from = moments.first().map_or(Timestamp::UNIX_EPOCH, start);
        let mut tape = Self::default();
        let (mut latest, mut number) = (Duration::ZERO, 0);
        for (index, moment) in moments.iter().enumerate() {
            // A wall clock may have been set back; the tape only goes forward.
            let start = since(from, start(moment)).max(latest);
            latest = start;
            number += usize::from(matches!(moment, Moment::Statement(_)));
            tape.push(Cue {
                moment: index,
                start,
                end: start + lasts(moment),
                number: matches!(moment, Moment::Statement(_)).then_some(number),
                text: searched(moment),
            });
        }
        tape
    }

    fn push(&mut self, cue: Cue) {
        if cue.start > self.length {
            self.idle.push((self.length, cue.start));
        }
        self.length = self.length.max(cue.end);
        self.cues.push(cue);
    }

    /// Where one is after playing for `time` from `position` on, with idle stretches cut to `most`.
    pub(super) fn after(
        &self,
        position: Duration,
        time: Duration,
        most: Option<Duration>,
    ) -> Duration {
        let (mut position, mut left) = (position, time);
        for &(from, to) in &self.idle {
            let Some(most) = most.filter(|most| to - from > *most && position < to) else {
                continue;
            };
            if position + left < from {
                break;
            }
            left -= from.saturating_sub(position);
            position = position.max(from);
            // What is left of the stretch takes its part of what the whole of it may take.
            let part = (to - position).as_secs_f64() / (to - from).as_secs_f64();
            let takes = most.mul_f64(part);
            if left < takes {
                let share = left.as_secs_f64() / takes.as_secs_f64();
                return position + (to - position).mul_f64(share);
            }
            left -= takes;
            position = to;
        }
        (position + left).min(self.length.max(position))
    }

    /// How long it takes to play from `from` to `to`.
    pub fn takes(&self, from: Duration, to: Duration, most: Option<Duration>) -> Duration {
        let cut = |&(start, end): &(Duration, Duration)| {
            let inside = end.min(to).saturating_sub(start.max(from));
            match most {
                Some(most) if end - start > most => {
                    let part = inside.as_secs_f64() / (end - start).as_secs_f64();
                    inside - most.mul_f64(part).min(inside)
                }
                _ => Duration::ZERO,
            }
        };
        to.saturating_sub(from) - self.idle.iter().map(cut).sum::<Duration>()
    }

    /// The last cue that has begun.
    pub fn current(&self, position: Duration) -> Option<usize> {
        self.begun(position).checked_sub(1)
    }

    /// How many cues have begun.
    pub fn begun(&self, position: Duration) -> usize {
        self.cues.partition_point(|cue| cue.start <= position)
    }

    /// Where a cue is the last that has begun, with its end if that comes before the next.
    pub(super) fn shows(&self, cue: usize) -> Duration {
        let Some(it) = self.cues.get(cue) else {
            return self.length;
        };
        match self.cues.get(cue + 1) {
            Some(next) if next.start <= it.end => {
                let before = next.start.saturating_sub(Duration::from_nanos(1));
                before.max(it.start)
            }
            _ => it.end,
        }
    }
}

impl Cue {
    /// Whether its text has `word`, which is in small letters.
    pub(super) fn has(&self, word: &str) -> bool {
        self.text.contains(word)
    }
}

fn start(moment: &Moment<'_>) -> Timestamp {
    moment.place().0
}

fn since(from: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(from)).unwrap_or_default()
}

fn lasts(moment: &Moment<'_>) -> Duration {
    match moment {
        Moment::Statement(it) => {
            let end = it.end.as_ref();
            end.map_or(Duration::ZERO, |end| {
                Duration::from_micros(end.microseconds)
            })
        }
        _ => Duration::ZERO,
    }
}

fn searched(moment: &Moment<'_>) -> String {
    let Moment::Statement(it) = moment else {
        return String::new();
    };
    let mut text = it
        .sql
        .as_ref()
        .map_or_else(String::new, |sql| sql.to_lossy().to_lowercase());
    let values = it
        .parameters
        .iter()
        .flatten()
        .filter_map(Parameter::readable);
    for value in values {
        text.push('\n');
        text += &value.to_lowercase();
    }
    if let Some(sqlstate) = it.end.as_ref().and_then(|end| end.sqlstate.as_ref()) {
        text.push('\n');
        text += &sqlstate.to_lowercase();
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in super::super) fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// A tape of statements: when each begins, how long it lasts, and its text.
    pub(in super::super) fn tape(cues: &[(f64, f64, &str)]) -> Tape {
        let mut tape = Tape::default();
        for (moment, (start, lasts, text)) in cues.iter().enumerate() {
            tape.push(Cue {
                moment,
                start: secs(*start),
                end: secs(start + lasts),
                number: Some(moment + 1),
                text: (*text).to_owned(),
            });
        }
        tape
    }

    #[test]
    fn an_idle_stretch_takes_no_longer_than_it_may() {
        let tape = tape(&[(0.0, 1.0, "a"), (101.0, 1.0, "b"), (102.5, 60.0, "c")]);
        assert_eq!(tape.after(secs(0.0), secs(3.0), None), secs(3.0));
        let cut = Some(secs(2.0));
        assert_eq!(tape.after(secs(0.0), secs(1.0), cut), secs(1.0));
        assert_eq!(tape.after(secs(0.0), secs(2.0), cut), secs(51.0));
        assert_eq!(tape.after(secs(51.0), secs(1.0), cut), secs(101.0));
        assert_eq!(tape.after(secs(0.0), secs(4.0), cut), secs(102.0));
        // What runs is not idle, however long it takes.
        assert_eq!(tape.after(secs(102.5), secs(30.0), cut), secs(132.5));
        assert_eq!(tape.after(secs(102.5), secs(90.0), cut), secs(162.5));
        assert_eq!(tape.takes(secs(0.0), secs(101.0), cut), secs(3.0));
        assert_eq!(tape.takes(secs(0.0), secs(101.0), None), secs(101.0));
    }

    proptest! {
        #[test]
        fn playing_for_what_it_takes_gets_there(
            gaps in prop::collection::vec((0u32..100, 0u32..20), 1..10), most in 1u32..20
        ) {
            let mut at = 0.0;
            let cues: Vec<(f64, f64, &str)> = gaps.iter().map(|&(gap, lasts)| {
                at += f64::from(gap);
                (at, f64::from(lasts), "")
            }).collect();
            let tape = tape(&cues);
            let most = Some(secs(f64::from(most)));
            for cue in &tape.cues {
                let takes = tape.takes(Duration::ZERO, cue.start, most);
                let there = tape.after(Duration::ZERO, takes, most);
                let off = there.abs_diff(cue.start);
                prop_assert!(off < Duration::from_millis(1), "{there:?} for {cue:?}");
            }
        }
    }
}
