//! The task of a guest.
//!
//! Most guests are done when they were polled once. So the caller does that, and only what has to
//! wait becomes a task: a queue, a wake-up and a copy of everything that the guest's future holds
//! less for each of the others.
//!
//! **Invariant:** a panic below is an end like others, and not its caller's.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use tokio::task::AbortHandle;
use tokio_util::task::AbortOnDropHandle;

/// A guest on its way; dropping it ends the guest.
pub(crate) enum GuestTask {
    /// Nobody has polled it yet.
    New(Pin<Box<dyn Future<Output = ()>>>),
    /// It had to wait.
    Waiting(AbortOnDropHandle<()>),
    /// It has come to its end.
    Ended,
}

impl GuestTask {
    /// A guest to begin with.
    pub(crate) fn new(guest: impl Future<Output = ()> + 'static) -> Self {
        Self::New(Box::pin(AssertUnwindSafe(guest).catch_unwind().map(drop)))
    }

    /// Runs the guest up to where it first waits. From there on it runs whether or not anybody
    /// polls.
    pub(crate) async fn begin(&mut self) {
        let once = poll_fn(|cx| {
            self.poll_once(cx);
            Poll::Ready(())
        });
        once.await;
    }

    fn poll_once(&mut self, cx: &mut Context<'_>) {
        let mut guest = match std::mem::replace(self, Self::Ended) {
            Self::New(guest) => guest,
            begun => {
                *self = begun;
                return;
            }
        };
        if guest.as_mut().poll(cx).is_pending() {
            *self = Self::Waiting(AbortOnDropHandle::new(tokio::task::spawn_local(guest)));
        }
    }

    /// Waits for its end, whatever that is.
    pub(crate) async fn ended(&mut self) {
        self.begin().await;
        if let Self::Waiting(task) = self {
            drop(task.await);
            *self = Self::Ended;
        }
    }

    /// Lets it go on by itself; what is left can end it.
    pub(crate) fn detach(self) -> Option<AbortHandle> {
        match self {
            Self::Waiting(task) => Some(task.detach().abort_handle()),
            Self::New(_) | Self::Ended => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::sync::oneshot;
    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test]
    async fn who_need_not_wait_is_no_task() {
        let done = Rc::new(Cell::new(false));
        let guest = {
            let done = Rc::clone(&done);
            async move { done.set(true) }
        };
        // There is nowhere to spawn it.
        let mut task = GuestTask::new(guest);
        task.begin().await;
        assert!(done.get());
        task.ended().await;
        assert!(task.detach().is_none());
    }

    #[tokio::test]
    async fn who_waits_goes_on_by_itself_and_ends_with_its_handle() {
        let running = async {
            let (sender, receiver) = oneshot::channel();
            let mut task = GuestTask::new(receiver.map(drop));
            task.begin().await;
            sender.send(()).unwrap();
            task.ended().await;

            let (mut sender, receiver) = oneshot::channel::<()>();
            let mut task = GuestTask::new(receiver.map(drop));
            task.begin().await;
            drop(task);
            sender.closed().await;
        };
        LocalSet::new().run_until(running).await;
    }

    #[tokio::test]
    async fn a_panic_is_an_end() {
        GuestTask::new(async { panic!("on purpose") }).ended().await;
    }
}
