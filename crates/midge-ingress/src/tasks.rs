//! The tasks beside the connections: one per HTTP/2 stream.
//!
//! hyper hands each stream of a connection to an executor; this one keeps them on the worker's
//! thread, counts on them being over before the worker is, and ends a stream whose client takes nothing.
//!
//! **Invariant:** a panic in one stream ends that stream and nothing else.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, Sleep, sleep};

/// Runs HTTP/2 streams. Their number is bounded by connections times streams; finished ones are
/// collected when the next one starts, so nothing accumulates.
#[derive(Debug, Clone)]
pub(crate) struct Spawner {
    tasks: Rc<RefCell<JoinSet<()>>>,
    /// What the stream that is being polled at this moment waits for.
    progress: Rc<Cell<Progress>>,
    stall_timeout: Duration,
}

/// What a response that is being sent waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Progress {
    /// As before: the guest was not asked for more.
    #[default]
    Unchanged,
    WaitsForGuest,
    WaitsForClient,
}

impl Spawner {
    pub(crate) fn new(stall_timeout: Duration) -> Self {
        Self {
            tasks: Rc::default(),
            progress: Rc::default(),
            stall_timeout,
        }
    }

    /// Called from within the stream that is being polled.
    pub(crate) fn note(&self, progress: Progress) {
        self.progress.set(progress);
    }

    /// Waits until no task is left.
    pub(crate) async fn join_all(&self) {
        while let Some(ended) = poll_fn(|cx| self.tasks.borrow_mut().poll_join_next(cx)).await {
            note_panic(ended);
        }
    }

    pub(crate) fn abort_all(&self) {
        self.tasks.borrow_mut().abort_all();
    }
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Spawner {
    fn execute(&self, stream: F) {
        let mut tasks = self.tasks.borrow_mut();
        while let Some(ended) = tasks.try_join_next() {
            note_panic(ended);
        }
        tasks.spawn_local(without_stall(
            stream,
            Rc::clone(&self.progress),
            self.stall_timeout,
        ));
    }
}

/// Drives a stream, and drops it when its client does not open the window for more.
///
/// A stalled stream does not block the connection's socket, so the pulse cannot see it; and while
/// it waits for its client, hyper asks neither guest nor body for anything.
async fn without_stall(
    stream: impl Future<Output = ()>,
    progress: Rc<Cell<Progress>>,
    stall_timeout: Duration,
) {
    let mut stream = pin!(stream);
    let mut timer = pin!(None::<Sleep>);
    poll_fn(|cx| {
        progress.set(Progress::Unchanged);
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match progress.get() {
            Progress::WaitsForGuest => timer.set(None),
            Progress::WaitsForClient => timer.set(Some(sleep(stall_timeout))),
            Progress::Unchanged => {}
        }
        let Some(mut timer) = timer.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        if !timer.is_elapsed() {
            // Woken by something else than the timer: the client gave a sign of life.
            timer.as_mut().reset(Instant::now() + stall_timeout);
        }
        ready!(timer.poll(cx));
        tracing::debug!("stream dropped, its client takes nothing");
        Poll::Ready(())
    })
    .await;
}

/// A panic in a task of ours is a bug of ours: it costs that connection or stream, and a line that
/// someone must read.
pub(crate) fn note_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "request task panicked");
    }
}
