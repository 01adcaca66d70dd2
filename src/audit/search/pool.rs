//! Work done by several threads, whose results come in the order of the tasks.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parking_lot::{Condvar, Mutex};

/// Tasks that are done before the one whose result is waited for, for each worker.
const AHEAD: u64 = 2;

/// Does `work` on each of `tasks` with `workers` threads, and calls `each` with the results, in
/// order, on this thread. `each` ends it by breaking. No more than a few results wait.
pub(super) fn in_order<T, R, W>(
    tasks: impl Iterator<Item = T> + Send,
    workers: usize,
    worker: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, T) -> R + Sync,
    mut each: impl FnMut(R) -> ControlFlow<()>,
) where
    R: Send,
{
    let workers = workers.max(1);
    let queue = Queue::new(tasks, workers as u64 * AHEAD);
    let (sender, results) = sync_channel(workers);
    let (queue, worker, work) = (&queue, &worker, &work);
    thread::scope(|scope| {
        for _ in 0..workers {
            let sender = sender.clone();
            scope.spawn(move || run(queue, worker, work, &sender));
        }
        drop(sender);
        give(queue, &results, &mut each);
        // Who waits to send sees that nobody listens.
        drop(results);
    });
}

fn run<T, R, W>(
    queue: &Queue<impl Iterator<Item = T>>,
    worker: &impl Fn() -> W,
    work: &impl Fn(&mut W, T) -> R,
    sender: &SyncSender<(u64, R)>,
) {
    let mut worker = worker();
    while let Some((number, task)) = queue.take() {
        if sender.send((number, work(&mut worker, task))).is_err() {
            return;
        }
    }
}

fn give<R>(
    queue: &Queue<impl Iterator>,
    results: &Receiver<(u64, R)>,
    each: &mut impl FnMut(R) -> ControlFlow<()>,
) {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (number, result) in results {
        early.insert(number, result);
        while let Some(result) = early.remove(&next) {
            if each(result).is_break() {
                return queue.stop();
            }
            next += 1;
            queue.given(next);
        }
    }
}

/// Tasks that are taken one by one, not too far ahead.
struct Queue<I> {
    state: Mutex<State<I>>,
    moved: Condvar,
    ahead: u64,
}

struct State<I> {
    tasks: Option<I>,
    taken: u64,
    given: u64,
}

impl<I: Iterator> Queue<I> {
    fn new(tasks: I, ahead: u64) -> Self {
        let state = State {
            tasks: Some(tasks),
            taken: 0,
            given: 0,
        };
        Self {
            state: Mutex::new(state),
            moved: Condvar::new(),
            ahead,
        }
    }

    fn take(&self) -> Option<(u64, I::Item)> {
        let mut state = self.state.lock();
        while state.tasks.is_some() && state.taken >= state.given + self.ahead {
            self.moved.wait(&mut state);
        }
        let task = state.tasks.as_mut()?.next()?;
        state.taken += 1;
        Some((state.taken - 1, task))
    }

    fn given(&self, given: u64) {
        self.state.lock().given = given;
        self.moved.notify_all();
    }

    fn stop(&self) {
        self.state.lock().tasks = None;
        self.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn results_come_in_order_whichever_worker_was_quicker() {
        let mut seen = Vec::new();
        let square = |_: &mut (), n: u64| {
            if n.is_multiple_of(7) {
                thread::yield_now();
            }
            n * n
        };
        in_order(
            0..500,
            3,
            || (),
            square,
            |n| {
                seen.push(n);
                ControlFlow::Continue(())
            },
        );
        assert_eq!(seen, (0..500).map(|n| n * n).collect::<Vec<u64>>());
    }

    #[test]
    fn breaking_ends_it_and_little_was_done_ahead() {
        let done = AtomicU64::new(0);
        let count = |_: &mut (), n: u64| {
            done.fetch_add(1, Ordering::Relaxed);
            n
        };
        let mut seen = 0;
        in_order(
            0..,
            2,
            || (),
            count,
            |n| {
                seen = n;
                if n == 10 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            },
        );
        assert_eq!(seen, 10);
        assert!(done.into_inner() <= 11 + 2 * AHEAD);
    }
}
