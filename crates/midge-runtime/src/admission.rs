//! Who may start now, who waits, and who is turned away.
//!
//! Two gates, in this order: the function's own (its `concurrency`, exact over the
//! node), then the worker's (instances that fit its pool). In that order a burst on
//! one function queues before its own gate and never holds a slot of the pool.
//!
//! **Invariant:** every queue has a bound and every wait a deadline.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use midge_model::{Limits, Refusal};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::counters::Counters;

/// Slots that other workers give back make no noise here; the head of a queue looks
/// again this often.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// How long a request waits for a free instance of the worker before it is told to try
/// elsewhere: long enough to smooth a burst, short enough for a balancer's retry.
const WORKER_WAIT_MAX: Duration = Duration::from_secs(5);

/// One function's gate.
pub(crate) struct Gate {
    place: Place,
    limit: u32,
    queue_max: u32,
    wait_max: Duration,
    waiting: Cell<u32>,
    /// Lets one waiter at a time look for a slot, first come first served.
    turn: Semaphore,
    freed: Notify,
}

/// Where a function's running invocations are counted.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) counters: Counters,
    pub(crate) worker: usize,
    pub(crate) function: usize,
}

/// The right to run one invocation; gives its slots back when dropped.
pub(crate) struct Slot {
    gate: Rc<Gate>,
    _instance: OwnedSemaphorePermit,
}

impl Gate {
    pub(crate) fn new(place: Place, limits: &Limits) -> Rc<Self> {
        Rc::new(Self {
            place,
            limit: limits.concurrency,
            queue_max: limits.queue,
            wait_max: limits.time,
            waiting: Cell::new(0),
            turn: Semaphore::new(1),
            freed: Notify::new(),
        })
    }

    /// Waits for this function's turn and an instance of the worker.
    pub(crate) async fn enter(self: &Rc<Self>, instances: &Rc<Instances>) -> Result<Slot, Refusal> {
        self.take_or_wait().await?;
        // From here on the slot is counted, and this guard is what gives it back.
        let taken = Taken(self);
        let instance = instances.take().await?;
        std::mem::forget(taken);
        Ok(Slot {
            gate: Rc::clone(self),
            _instance: instance,
        })
    }

    async fn take_or_wait(&self) -> Result<(), Refusal> {
        // Who comes while others wait goes behind them.
        if self.waiting.get() == 0 && self.try_take() {
            return Ok(());
        }
        if self.waiting.get() >= self.queue_max {
            return Err(Refusal::FunctionFull);
        }
        let _waiting = Waiting::new(&self.waiting);
        let deadline = Instant::now() + self.wait_max;
        timeout_at(deadline, self.wait())
            .await
            .map_err(|_| Refusal::FunctionFull)
    }

    async fn wait(&self) {
        let _turn = self
            .turn
            .acquire()
            .await
            .expect("the semaphore is never closed");
        while !self.try_take() {
            // Either a slot of this worker was freed, or it is time to look at the others'.
            drop(timeout(LOOK_AGAIN, self.freed.notified()).await);
        }
    }

    fn try_take(&self) -> bool {
        self.place
            .counters
            .take(self.place.worker, self.place.function, self.limit)
    }

    fn give_back(&self) {
        self.place
            .counters
            .give_back(self.place.worker, self.place.function);
        self.freed.notify_one();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.gate.give_back();
    }
}

/// A slot that was counted and does not belong to a [`Slot`] yet.
struct Taken<'a>(&'a Gate);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

struct Waiting<'a>(&'a Cell<u32>);

impl<'a> Waiting<'a> {
    fn new(count: &'a Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// The instances that one worker can have alive.
pub(crate) struct Instances {
    free: std::sync::Arc<Semaphore>,
}

impl Instances {
    pub(crate) fn new(instances_max: u32) -> Rc<Self> {
        let permits = usize::try_from(instances_max).unwrap_or(usize::MAX);
        Rc::new(Self {
            free: std::sync::Arc::new(Semaphore::new(permits)),
        })
    }

    async fn take(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        if let Ok(permit) = std::sync::Arc::clone(&self.free).try_acquire_owned() {
            return Ok(permit);
        }
        // What waits here has passed its function's gate, so the wait is bounded by the sum of
        // their concurrency limits.
        let waited = timeout(
            WORKER_WAIT_MAX,
            std::sync::Arc::clone(&self.free).acquire_owned(),
        );
        match waited.await {
            Ok(permit) => Ok(permit.expect("the semaphore is never closed")),
            Err(_) => Err(Refusal::NodeFull),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(concurrency: u32, queue: u32) -> (Rc<Gate>, Rc<Instances>) {
        let counters = Counters::private(1).unwrap();
        let limits = Limits {
            concurrency,
            queue,
            time: Duration::from_secs(2),
            ..Limits::SAFE
        };
        (
            Gate::new(
                Place {
                    counters,
                    worker: 0,
                    function: 0,
                },
                &limits,
            ),
            Instances::new(100),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_slot_that_is_freed() {
        let (gate, instances) = gate(1, 10);
        let first = gate.enter(&instances).await.unwrap();
        let mut second = std::pin::pin!(gate.enter(&instances));
        assert!(futures::poll!(second.as_mut()).is_pending());
        drop(first);
        assert!(second.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_turns_away_at_once() {
        let (gate, instances) = gate(1, 1);
        let _first = gate.enter(&instances).await.unwrap();
        let mut second = std::pin::pin!(gate.enter(&instances));
        assert!(futures::poll!(second.as_mut()).is_pending());
        assert!(matches!(
            gate.enter(&instances).await,
            Err(Refusal::FunctionFull)
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_at_its_deadline() {
        let (gate, instances) = gate(1, 1);
        let _first = gate.enter(&instances).await.unwrap();
        let before = Instant::now();
        assert!(matches!(
            gate.enter(&instances).await,
            Err(Refusal::FunctionFull)
        ));
        assert_eq!(before.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_leaves_no_trace() {
        let (gate, instances) = gate(1, 1);
        let first = gate.enter(&instances).await.unwrap();
        {
            let mut second = std::pin::pin!(gate.enter(&instances));
            assert!(futures::poll!(second.as_mut()).is_pending());
        }
        drop(first);
        assert!(gate.enter(&instances).await.is_ok());
        assert_eq!(gate.waiting.get(), 0);
        assert_eq!(gate.place.counters.running(0), 0, "every slot came back");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_pool_is_the_nodes_and_not_the_functions() {
        let (gate, _) = gate(10, 10);
        let instances = Instances::new(1);
        let _first = gate.enter(&instances).await.unwrap();
        assert!(matches!(
            gate.enter(&instances).await,
            Err(Refusal::NodeFull)
        ));
        assert_eq!(gate.place.counters.running(0), 1);
    }
}
