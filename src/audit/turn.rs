//! Who runs when on a worker of the runtime.

use std::future::poll_fn;
use std::task::Poll;

/// Lets the tasks run that are ready. tokio runs next whom a task has woken, and keeps that one
/// from other workers: behind a task that has stepped back there is nobody such.
///
/// [`tokio::task::yield_now`] would also have the sockets looked at, a system call each time.
pub(super) async fn step_back() {
    let mut stepped = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut stepped, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
