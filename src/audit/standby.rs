//! A worker thread of the runtime that stands by: it takes no part while the others get on, so that
//! they need not wake it for work that they do themselves, and takes over when one does not return
//! from what it does: above all from a write to a disk that hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use super::turn::step_back;

/// How long all must get on before it stands by again.
const CALM: Duration = Duration::from_secs(5);
/// The same at most: it becomes longer each time that it was too short.
const LONG_CALM: Duration = Duration::from_secs(600);

/// A worker that stands by, or works.
pub(super) struct Standby {
    runtime: Handle,
    /// A task has run since the last look.
    pulse: Arc<AtomicBool>,
    /// Where it stands by; `None`: it works.
    post: Option<Arc<Post>>,
    /// Since when it stands by, or when somebody did not get on.
    since: Option<Instant>,
    calm: Duration,
}

/// Where a worker waits, once.
#[derive(Default)]
struct Post {
    is_released: Mutex<bool>,
    bell: Condvar,
}

impl Standby {
    /// One of this runtime's workers; none if it has but one.
    pub(super) fn of(runtime: Handle) -> Option<Self> {
        (runtime.metrics().num_workers() > 1).then(|| Self {
            runtime,
            pulse: Arc::new(AtomicBool::new(true)),
            post: None,
            since: None,
            calm: CALM,
        })
    }

    /// Has it work if a worker `is_stuck`, or if no task has run since the last look; stand by if
    /// all have got on for long enough. To be called now and then, from another thread.
    pub(super) fn look(&mut self, is_stuck: bool, now: Instant) {
        if self.pulse.swap(false, Ordering::AcqRel) {
            let pulse = Arc::clone(&self.pulse);
            self.runtime
                .spawn(async move { pulse.store(true, Ordering::Release) });
        } else {
            return self.work(now);
        }
        let since = |since: Instant| now.saturating_duration_since(since);
        if is_stuck {
            self.work(now);
        } else if self.post.is_none() && self.since.is_none_or(|it| since(it) >= self.calm) {
            self.stand_by(now);
        }
    }

    fn stand_by(&mut self, now: Instant) {
        let post = Arc::<Post>::default();
        self.post = Some(Arc::clone(&post));
        self.since = Some(now);
        // To block a worker is what this is for; but nobody is to be behind it there.
        self.runtime.spawn(async move {
            step_back().await;
            step_back().await;
            let mut is_released = post.is_released.lock();
            post.bell.wait_while(&mut is_released, |is| !*is);
        });
    }

    fn work(&mut self, now: Instant) {
        if let Some(post) = self.post.take() {
            post.release();
            let stood_by = self
                .since
                .map_or(CALM, |since| now.saturating_duration_since(since));
            self.calm = match stood_by < self.calm {
                true => LONG_CALM.min(2 * self.calm),
                false => CALM,
            };
            tracing::debug!("a worker thread does not get on: another one takes over");
            // Work from outside: should it wait for some, it looks around.
            self.runtime.spawn(async {});
        }
        self.since = Some(now);
    }
}

impl Post {
    fn release(&self) {
        *self.is_released.lock() = true;
        self.bell.notify_all();
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        // The runtime's end waits for it.
        if let Some(post) = self.post.take() {
            post.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime(workers: usize) -> Runtime {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(workers).build().unwrap()
    }

    /// Whether a task runs.
    fn runs(runtime: &Runtime) -> bool {
        let (done, is_done) = mpsc::sync_channel(1);
        runtime.spawn(async move { done.send(()) });
        is_done.recv_timeout(Duration::from_millis(500)).is_ok()
    }

    /// Blocks a worker until what it returns is dropped.
    fn block(runtime: &Runtime) -> mpsc::SyncSender<()> {
        let (thaw, frozen) = mpsc::sync_channel(1);
        let (begun, is_begun) = mpsc::sync_channel(1);
        runtime.spawn(async move {
            begun.send(()).unwrap();
            frozen.recv()
        });
        is_begun.recv().unwrap();
        thaw
    }

    /// A look once the task has run that the one before sent.
    fn look(standby: &mut Standby, is_stuck: bool, now: Instant) {
        while !standby.pulse.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        standby.look(is_stuck, now);
    }

    #[test]
    fn it_takes_over_when_no_task_runs_and_stands_by_when_all_is_calm() {
        let runtime = runtime(2);
        let mut standby = Standby::of(runtime.handle().clone()).unwrap();
        let begin = Instant::now();
        look(&mut standby, false, begin);
        look(&mut standby, false, begin);
        assert!(runs(&runtime), "the other one works");
        let frozen = block(&runtime);
        standby.look(false, begin);
        assert!(!runs(&runtime), "nobody does");
        standby.look(false, begin + CALM);
        assert!(runs(&runtime), "this one does");
        drop(frozen);
        look(&mut standby, false, begin + CALM);
        assert!(standby.post.is_none(), "it is not calm yet");
        look(&mut standby, false, begin + 2 * CALM);
        assert!(standby.post.is_some());
        assert!(runs(&runtime));
    }

    #[test]
    fn it_takes_over_while_a_write_is_stuck_and_waits_longer_when_that_was_too_soon() {
        let runtime = runtime(2);
        let mut standby = Standby::of(runtime.handle().clone()).unwrap();
        let begin = Instant::now();
        look(&mut standby, false, begin);
        look(&mut standby, false, begin);
        look(&mut standby, true, begin + Duration::from_secs(1));
        assert!(standby.post.is_none());
        assert_eq!(standby.calm, 2 * CALM);
    }

    #[test]
    fn it_may_be_called_back_before_it_has_gone() {
        let runtime = runtime(2);
        let mut standby = Standby::of(runtime.handle().clone()).unwrap();
        let now = Instant::now();
        for _ in 0..100 {
            standby.work(now);
            standby.stand_by(now);
        }
        assert!(runs(&runtime));
    }

    #[test]
    fn a_lone_worker_does_not_stand_by() {
        assert!(Standby::of(runtime(1).handle().clone()).is_none());
    }
}
