//! Plays a tape: a position that moves with time, and what keys do to it.

use std::time::Duration;

use super::tape::Tape;

/// How slow and how fast it can be played: powers of two.
const SLOWEST: i32 = -2;
const FASTEST: i32 = 6;

/// Where on the tape one is, and how it goes on.
///
/// `now` is the time since whenever, as long as it is the same for all calls.
#[derive(Debug, Clone)]
pub struct Player {
    tape: Tape,
    position: Duration,
    /// When the position was right; `None` while it stands.
    since: Option<Duration>,
    /// The power of two that is the speed.
    speed: i32,
    /// To what idle stretches are cut, whether they are now or not.
    most: Duration,
    is_cut: bool,
    search: String,
}

/// Where a jump goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The statement with this number, from 1.
    Number(usize),
    /// This time from the beginning.
    Time(Duration),
}

impl Goal {
    /// Reads `12` as a number, and `1:30`, `0:01:30` or `90s` as a time.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(seconds) = text.strip_suffix('s') {
            let seconds: f64 = seconds.parse().ok()?;
            return Duration::try_from_secs_f64(seconds).ok().map(Self::Time);
        }
        if !text.contains(':') {
            let text = text.strip_prefix('#').unwrap_or(text);
            return text.parse().ok().map(Self::Number);
        }
        let mut seconds = 0.0;
        for part in text.split(':') {
            let part: f64 = part.parse().ok().filter(|part| *part >= 0.0)?;
            seconds = seconds * 60.0 + part;
        }
        Duration::try_from_secs_f64(seconds).ok().map(Self::Time)
    }
}

impl Player {
    /// Plays from the beginning, at the speed that it was recorded at.
    pub fn new(tape: Tape, now: Duration) -> Self {
        Self {
            tape,
            position: Duration::ZERO,
            since: Some(now),
            speed: 0,
            most: Duration::from_secs(2),
            is_cut: false,
            search: String::new(),
        }
    }

    /// The same with idle stretches cut to `most`.
    #[must_use]
    pub fn cut_to(mut self, most: Duration) -> Self {
        self.most = most;
        self.is_cut = true;
        self
    }

    /// The same at about this speed.
    #[must_use]
    pub fn at_speed(mut self, speed: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "clamped next")]
        let power = speed.max(0.01).log2().round() as i32;
        self.speed = power.clamp(SLOWEST, FASTEST);
        self
    }

    /// What is played.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// Where it is.
    pub fn position(&self) -> Duration {
        self.position
    }

    /// How fast it goes: 1 is as it was recorded.
    pub fn speed(&self) -> f64 {
        2f64.powi(self.speed)
    }

    /// To what idle stretches are cut, if they are.
    pub fn cut(&self) -> Option<Duration> {
        self.is_cut.then_some(self.most)
    }

    /// Whether it stands.
    pub fn is_paused(&self) -> bool {
        self.since.is_none()
    }

    /// Whether everything was played.
    pub fn is_over(&self) -> bool {
        self.position >= self.tape.length
    }

    /// What is searched for.
    pub fn search(&self) -> &str {
        &self.search
    }

    /// The cue that began last.
    pub fn current(&self) -> Option<usize> {
        self.tape.current(self.position)
    }

    /// Moves on to where it is now.
    pub fn tick(&mut self, now: Duration) {
        if let Some(since) = self.since.replace(now) {
            let passed = now.saturating_sub(since).mul_f64(self.speed());
            self.position = self.tape.after(self.position, passed, self.cut());
        } else {
            self.since = None;
        }
        if self.is_over() {
            self.since = None;
        }
    }

    /// Stops, or goes on; from the beginning if it was over.
    pub fn pause(&mut self, now: Duration) {
        self.tick(now);
        if self.since.take().is_some() {
            return;
        }
        if self.is_over() {
            self.position = Duration::ZERO;
        }
        self.since = Some(now);
    }

    /// Goes to the next cue and stands there, with its end if that came before the one behind it.
    pub fn forward(&mut self) {
        let next = self.tape.begun(self.position);
        self.stand(next.min(self.tape.cues.len().saturating_sub(1)));
    }

    /// Goes to the cue before.
    pub fn back(&mut self) {
        let current = self.current().unwrap_or(0);
        self.stand(current.saturating_sub(1));
    }

    /// Goes to the beginning.
    pub fn first(&mut self) {
        self.stand(0);
    }

    /// Goes to the end.
    pub fn last(&mut self) {
        self.since = None;
        self.position = self.tape.length;
    }

    fn stand(&mut self, cue: usize) {
        self.since = None;
        self.position = self.tape.shows(cue);
    }

    /// Plays at twice the speed.
    pub fn faster(&mut self, now: Duration) {
        self.tick(now);
        self.speed = (self.speed + 1).min(FASTEST);
    }

    /// Plays at half the speed.
    pub fn slower(&mut self, now: Duration) {
        self.tick(now);
        self.speed = (self.speed - 1).max(SLOWEST);
    }

    /// Cuts idle stretches, or no longer.
    pub fn toggle_cut(&mut self, now: Duration) {
        self.tick(now);
        self.is_cut = !self.is_cut;
    }

    /// Jumps, and goes on from there if it was playing. False if there is no such statement.
    pub fn jump(&mut self, goal: Goal, now: Duration) -> bool {
        self.tick(now);
        match goal {
            Goal::Time(time) => self.position = time.min(self.tape.length),
            Goal::Number(number) => {
                let is = |cue: &super::tape::Cue| cue.number == Some(number);
                let Some(cue) = self.tape.cues.iter().position(is) else {
                    return false;
                };
                match self.since {
                    Some(_) => self.position = self.tape.cues[cue].start,
                    None => self.stand(cue),
                }
            }
        }
        true
    }

    /// Searches for `text` from here on, and goes to where it is. False if it is nowhere.
    pub fn find(&mut self, text: &str) -> bool {
        self.search = text.to_lowercase();
        let current = self.current().unwrap_or(0);
        self.go_to_match(current, false) || self.find_next()
    }

    /// Goes to the next match; behind the last comes the first.
    pub fn find_next(&mut self) -> bool {
        self.go_to_match(self.current().map_or(0, |it| it + 1), false)
    }

    /// Goes to the match before; before the first comes the last.
    pub fn find_previous(&mut self) -> bool {
        let all = self.tape.cues.len();
        self.go_to_match((self.current().unwrap_or(0) + all).saturating_sub(1), true)
    }

    fn go_to_match(&mut self, from: usize, backwards: bool) -> bool {
        let all = self.tape.cues.len();
        if self.search.is_empty() || all == 0 {
            return false;
        }
        let at = |step: usize| match backwards {
            true => (from + all - step % all) % all,
            false => (from + step) % all,
        };
        let mut order = (0..all).map(at);
        match order.find(|&cue| self.tape.cues[cue].has(&self.search)) {
            Some(cue) => {
                self.stand(cue);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tape::tests::{secs, tape};
    use super::*;

    fn player() -> Player {
        let tape = tape(&[
            (0.0, 1.0, "select one"),
            (10.0, 5.0, "update orders"),
            (12.0, 1.0, "select two"),
            (60.0, 0.5, "delete from orders"),
        ]);
        Player::new(tape, secs(100.0))
    }

    #[test]
    fn it_plays_with_the_time_at_the_speed_that_was_set() {
        let mut player = player();
        player.tick(secs(103.0));
        assert_eq!(player.position(), secs(3.0));
        player.faster(secs(104.0));
        player.faster(secs(104.0));
        assert_eq!(player.speed(), 4.0);
        player.tick(secs(106.0));
        assert_eq!(player.position(), secs(12.0));
        assert_eq!(player.current(), Some(2));
    }

    #[test]
    fn speed_has_its_limits() {
        let mut player = player();
        (0..20).for_each(|_| player.faster(secs(100.0)));
        assert_eq!(player.speed(), 64.0);
        (0..20).for_each(|_| player.slower(secs(100.0)));
        assert_eq!(player.speed(), 0.25);
        assert_eq!(player.at_speed(3.0).speed(), 4.0);
    }

    #[test]
    fn while_it_stands_time_is_nothing() {
        let mut player = player();
        player.pause(secs(102.0));
        player.tick(secs(1000.0));
        assert_eq!((player.position(), player.is_paused()), (secs(2.0), true));
        player.pause(secs(1000.0));
        player.tick(secs(1001.0));
        assert_eq!(player.position(), secs(3.0));
    }

    #[test]
    fn it_stops_at_the_end_and_begins_again() {
        let mut player = player();
        player.tick(secs(500.0));
        assert!(player.is_over() && player.is_paused());
        assert_eq!(player.position(), secs(60.5));
        player.pause(secs(600.0));
        assert_eq!((player.position(), player.is_paused()), (secs(0.0), false));
    }

    #[test]
    fn steps_show_each_cue_with_its_end_if_that_comes_before_the_next() {
        let mut player = player();
        player.forward();
        assert_eq!(player.current(), Some(1));
        assert!(player.is_paused() && player.position() < secs(12.0));
        player.forward();
        assert_eq!((player.current(), player.position()), (Some(2), secs(13.0)));
        player.back();
        player.back();
        assert_eq!((player.current(), player.position()), (Some(0), secs(1.0)));
        player.back();
        assert_eq!(player.current(), Some(0));
        (0..9).for_each(|_| player.forward());
        assert_eq!((player.current(), player.position()), (Some(3), secs(60.5)));
    }

    #[test]
    fn idle_time_is_cut_when_asked_for() {
        let mut player = player().cut_to(secs(2.0));
        player.tick(secs(103.0));
        assert_eq!(player.position(), secs(10.0));
        player.toggle_cut(secs(103.0));
        assert_eq!(player.cut(), None);
        player.tick(secs(123.0));
        assert_eq!(player.position(), secs(30.0));
    }

    #[test]
    fn jumps_go_to_numbers_and_times() {
        let mut player = player();
        assert!(player.jump(Goal::Number(4), secs(101.0)));
        assert_eq!(player.current(), Some(3));
        assert!(!player.jump(Goal::Number(9), secs(101.0)));
        assert!(player.jump(Goal::Time(secs(11.0)), secs(101.0)));
        assert_eq!(player.current(), Some(1));
        assert!(!player.is_paused());
        let goals = ["12", "#3", "1:30", "0:01:30.5", "90s", "x", "-1:00", ""].map(Goal::parse);
        let time = |seconds| Some(Goal::Time(secs(seconds)));
        let number = |number| Some(Goal::Number(number));
        let expected = [
            number(12),
            number(3),
            time(90.0),
            time(90.5),
            time(90.0),
            None,
            None,
            None,
        ];
        assert_eq!(goals, expected);
    }

    #[test]
    fn a_search_goes_round() {
        let mut player = player();
        assert!(player.find("ORDERS"));
        assert_eq!(player.current(), Some(1));
        assert!(player.find_next());
        assert_eq!(player.current(), Some(3));
        assert!(player.find_next());
        assert_eq!(player.current(), Some(1));
        assert!(player.find_previous());
        assert_eq!(player.current(), Some(3));
        assert!(!player.find("nothing"));
        assert_eq!(player.current(), Some(3));
    }

    #[test]
    fn an_empty_tape_does_no_harm() {
        let mut player = Player::new(Tape::default(), secs(0.0));
        player.forward();
        player.back();
        player.tick(secs(1.0));
        assert!(!player.find("x") && player.is_over());
        assert_eq!(player.current(), None);
    }
}
