//! When what was recorded may be run again: in its order, and with its concurrency.
//!
//! What was over before something began has to be over again before that begins; what ran at the
//! same time may run at the same time. So whatever waited for a lock finds it held by the same.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Something to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Which connection it is for.
    pub connection: usize,
    /// The sequence of the record of its beginning.
    pub start: u64,
    /// And of its end; the greatest number if there is none.
    pub end: u64,
    /// Not before this time from the beginning.
    pub due: Duration,
    /// How long it took.
    pub took: Duration,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Begin this item.
    Start(usize),
    /// Wait for an end, or for this long.
    Wait(Option<Duration>),
    /// All has begun, and ended.
    Over,
}

/// The order of items.
#[derive(Debug)]
pub struct Schedule {
    items: Vec<Item>,
    /// Of each connection, what has not begun.
    waiting: Vec<VecDeque<usize>>,
    /// What runs, and since when.
    running: Vec<(usize, Duration)>,
    /// The ends of what is not over.
    ends: BTreeSet<(u64, usize)>,
    /// How long more than it took is waited for something before what comes next goes ahead.
    patience: Duration,
    /// When something last began or ended.
    moved: Duration,
    ahead: Vec<usize>,
}

impl Schedule {
    /// The order of `items`, which must come in the order of their beginnings.
    pub fn new(items: Vec<Item>, patience: Duration) -> Self {
        let connections = items.iter().map(|it| it.connection + 1).max().unwrap_or(0);
        let mut waiting = vec![VecDeque::new(); connections];
        for (index, item) in items.iter().enumerate() {
            waiting[item.connection].push_back(index);
        }
        let ends = items.iter().enumerate();
        Self {
            waiting,
            running: Vec::new(),
            ends: ends.map(|(index, item)| (item.end, index)).collect(),
            patience,
            moved: Duration::ZERO,
            ahead: Vec::new(),
            items,
        }
    }

    /// What to do at `now`, the time from the beginning.
    pub fn next(&mut self, now: Duration) -> Next {
        let free = self.free();
        if free.is_empty() && self.running.is_empty() {
            return Next::Over;
        }
        let due = |index: &usize| self.items[*index].due <= now;
        if let Some(&index) = free.iter().find(|it| due(it) && self.is_its_turn(**it)) {
            self.begin(index, now);
            return Next::Start(index);
        }
        let later = free
            .iter()
            .map(|it| self.items[*it].due)
            .find(|it| *it > now);
        let later = later.map(|due| due - now);
        let Some(&first) = free.iter().find(|it| due(it)) else {
            return Next::Wait(later);
        };
        match self.late_at().checked_sub(now).filter(|it| !it.is_zero()) {
            Some(left) => Next::Wait(Some(later.map_or(left, |later| later.min(left)))),
            None => {
                self.ahead.push(first);
                self.begin(first, now);
                Next::Start(first)
            }
        }
    }

    /// The first of each connection that runs nothing, in the order of their beginnings.
    fn free(&self) -> Vec<usize> {
        let busy = |connection: usize| {
            let mut running = self.running.iter();
            running.any(|(index, _)| self.items[*index].connection == connection)
        };
        let firsts = self.waiting.iter().enumerate();
        let free = firsts.filter(|(connection, _)| !busy(*connection));
        let mut free: Vec<usize> = free.filter_map(|(_, it)| it.front().copied()).collect();
        free.sort_by_key(|index| self.items[*index].start);
        free
    }

    /// Whether all that had ended before it began has ended again.
    fn is_its_turn(&self, index: usize) -> bool {
        let first = self.ends.first();
        first.is_none_or(|(end, _)| *end > self.items[index].start)
    }

    /// From when on what is waited for takes too long.
    fn late_at(&self) -> Duration {
        let until = |(index, since): &(usize, Duration)| *since + self.items[*index].took;
        let ends = self.running.iter().map(until).max();
        ends.unwrap_or(self.moved).max(self.moved) + self.patience
    }

    fn begin(&mut self, index: usize, now: Duration) {
        self.waiting[self.items[index].connection].pop_front();
        self.running.push((index, now));
        self.moved = now;
    }

    /// Takes note that an item has ended.
    pub fn ended(&mut self, index: usize, now: Duration) {
        self.running.retain(|(it, _)| *it != index);
        self.ends.remove(&(self.items[index].end, index));
        self.moved = now;
    }

    /// What went ahead of its turn, because what it waited for took too long.
    pub fn ahead(&self) -> &[usize] {
        &self.ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn item(connection: usize, start: u64, end: u64) -> Item {
        Item {
            connection,
            start,
            end,
            due: Duration::ZERO,
            took: Duration::from_secs(1),
        }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_overlapped_overlaps_and_what_followed_follows() {
        // 0 and 1 ran together; 2 began when 0 was over, and 1 was not.
        let items = vec![item(0, 1, 3), item(1, 2, 6), item(0, 4, 5), item(0, 7, 8)];
        let mut schedule = Schedule::new(items, PATIENCE);
        assert_eq!(schedule.next(secs(0)), Next::Start(0));
        assert_eq!(schedule.next(secs(0)), Next::Start(1));
        assert_eq!(schedule.next(secs(0)), Next::Wait(None));
        schedule.ended(0, secs(0));
        assert_eq!(schedule.next(secs(0)), Next::Start(2));
        schedule.ended(2, secs(0));
        // The last has to wait for 1, on the other connection.
        assert!(matches!(schedule.next(secs(0)), Next::Wait(Some(_))));
        schedule.ended(1, secs(0));
        assert_eq!(schedule.next(secs(0)), Next::Start(3));
        schedule.ended(3, secs(0));
        assert_eq!(schedule.next(secs(0)), Next::Over);
        assert!(schedule.ahead().is_empty());
    }

    #[test]
    fn what_blocks_for_too_long_does_not_hold_the_others_for_ever() {
        // 1 was over before 2 began, but now blocks until 2 has run.
        let items = vec![item(0, 1, 2), item(1, 3, 4), item(0, 5, 6)];
        let mut schedule = Schedule::new(items, PATIENCE);
        assert_eq!(schedule.next(secs(0)), Next::Start(0));
        schedule.ended(0, secs(0));
        assert_eq!(schedule.next(secs(0)), Next::Start(1));
        assert_eq!(schedule.next(secs(2)), Next::Wait(Some(secs(4))));
        assert_eq!(schedule.next(secs(6)), Next::Start(2));
        assert_eq!(schedule.ahead(), [2]);
        schedule.ended(2, secs(6));
        assert_eq!(schedule.next(secs(6)), Next::Wait(None));
        schedule.ended(1, secs(7));
        assert_eq!(schedule.next(secs(7)), Next::Over);
    }

    #[test]
    fn with_the_original_timing_nothing_begins_before_its_time() {
        let later = |due| Item {
            due: secs(due),
            ..item(0, due, due + 1)
        };
        let mut schedule = Schedule::new(vec![later(1), later(3)], PATIENCE);
        assert_eq!(schedule.next(secs(0)), Next::Wait(Some(secs(1))));
        assert_eq!(schedule.next(secs(1)), Next::Start(0));
        schedule.ended(0, secs(1));
        assert_eq!(schedule.next(secs(1)), Next::Wait(Some(secs(2))));
        assert_eq!(schedule.next(secs(3)), Next::Start(1));
    }
}
