//! A future that is polled only when it called: for what goes on beside the hot path and would
//! otherwise be asked at each of its turns.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// A future that costs a look at a flag until it has something to say.
pub(super) struct Quiet<F> {
    future: F,
    bell: Arc<Bell>,
    /// The bell, as what `future` rings.
    waker: Waker,
}

struct Bell {
    rung: AtomicBool,
    /// The task that polls the future.
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F: Future + Unpin> Quiet<F> {
    pub(super) fn new(future: F) -> Self {
        let bell = Arc::new(Bell {
            // To be polled at first.
            rung: AtomicBool::new(true),
            task: AtomicWaker::new(),
        });
        let waker = Waker::from(Arc::clone(&bell));
        Self {
            future,
            bell,
            waker,
        }
    }
}

impl<F: Future + Unpin> Future for Quiet<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        this.bell.task.register(cx.waker());
        if !this.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let mut cx = Context::from_waker(&this.waker);
        Pin::new(&mut this.future).poll(&mut cx)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_when_it_called_and_not_before() {
        let (notify, polls) = (Notify::new(), Cell::new(0));
        let mut notified = Box::pin(notify.notified());
        let counted = poll_fn(|cx| {
            polls.set(polls.get() + 1);
            notified.as_mut().poll(cx)
        });
        let mut quiet = Quiet::new(counted);
        for _ in 0..10 {
            let pending = poll_fn(|cx| Poll::Ready(Pin::new(&mut quiet).poll(cx).is_pending()));
            assert!(pending.await);
        }
        assert_eq!(polls.get(), 1);
        notify.notify_one();
        quiet.await;
        assert_eq!(polls.get(), 2);
    }
}
