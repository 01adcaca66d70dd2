//! A worker thread of the runtime that stands by: it takes no part while writes return, so that the
//! others need not wake it for work that they do themselves, and takes over when one does not.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

/// A worker that stands by, or works.
pub(super) struct Standby {
    runtime: Handle,
    post: Arc<Post>,
}

/// Where it waits.
#[derive(Default)]
struct Post {
    stands_by: Mutex<bool>,
    bell: Condvar,
}

impl Standby {
    /// One of this runtime's workers; none if it has but one.
    pub(super) fn of(runtime: Handle) -> Option<Self> {
        let post = Arc::default();
        (runtime.metrics().num_workers() > 1).then_some(Self { runtime, post })
    }

    /// Has it stand by.
    pub(super) fn stand_by(&self) {
        if std::mem::replace(&mut *self.post.stands_by.lock(), true) {
            return;
        }
        let post = Arc::clone(&self.post);
        // To block a worker is what this is for.
        self.runtime.spawn(async move {
            let mut stands_by = post.stands_by.lock();
            post.bell.wait_while(&mut stands_by, |stands_by| *stands_by);
        });
    }

    /// Has it work.
    pub(super) fn work(&self) {
        *self.post.stands_by.lock() = false;
        self.post.bell.notify_all();
        // Work from outside: should it wait for some, it looks around.
        self.runtime.spawn(async {});
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        // The runtime's end waits for it.
        self.work();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::runtime::Builder;

    use super::*;

    fn runtime(workers: usize) -> tokio::runtime::Runtime {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(workers)
            .enable_all()
            .build()
            .unwrap()
    }

    /// Whether a task runs while a worker is blocked by another one.
    fn runs(runtime: &tokio::runtime::Runtime) -> bool {
        let (done, is_done) = std::sync::mpsc::channel();
        runtime.spawn(async move { done.send(()) });
        is_done.recv_timeout(Duration::from_millis(300)).is_ok()
    }

    #[test]
    fn it_takes_over_only_when_it_is_to_work() {
        let runtime = runtime(2);
        let standby = Standby::of(runtime.handle().clone()).unwrap();
        standby.stand_by();
        standby.stand_by();
        assert!(runs(&runtime), "the other one works");
        let (thaw, frozen) = std::sync::mpsc::channel::<()>();
        let (begun, is_begun) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            begun.send(()).unwrap();
            frozen.recv()
        });
        is_begun.recv().unwrap();
        assert!(!runs(&runtime), "nobody does");
        standby.work();
        assert!(runs(&runtime), "this one does");
        drop(thaw);
        standby.stand_by();
        assert!(runs(&runtime));
        drop(standby);
    }

    #[test]
    fn a_lone_worker_does_not_stand_by() {
        assert!(Standby::of(runtime(1).handle().clone()).is_none());
    }
}
