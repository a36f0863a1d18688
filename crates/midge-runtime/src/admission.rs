//! Who may start now, who waits, and who is turned away.
//!
//! Two gates, in this order: the function's own (its `concurrency`, exact over the
//! node; each revision has a queue, and all count together), then the worker's (`instances.rs`). In that order a burst on one function
//! queues before its own gate and never holds a slot of the pool. One deadline, the
//! function's `queue_time`, is over both.
//!
//! Every invocation counts for the function's own gate, also one that shares its instance. What an
//! instance needs of the worker is counted once for each: who finds a seat in one that runs
//! (`open.rs`) passes the second gate with it.
//!
//! **Invariant:** every queue has a bound and every wait a deadline.

mod open;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use midge_model::{Isolation, Limits, NamespaceName, Refusal};
use midge_sandbox::{Instance, OpenInstance, Permit, Reused, Seat};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::open::Open;
use crate::counters::Counters;
use crate::instances::{Claim, Held, Instances, Slots};

/// Slots that other workers give back make no noise here; the head of a queue looks
/// again this often.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// How long a request waits for a free instance of the worker before it is told to try
/// elsewhere: long enough to smooth a burst, short enough for a balancer's retry.
const WORKER_WAIT_MAX: Duration = Duration::from_secs(5);

/// The part of a worker's slots and descriptors that one function may hold: a burst on it, or
/// instances that need many of them, always leave as much to the others.
const SHARE_OF_WORKER: u32 = 2;

/// The gate before one revision. It counts with the gates of the function's other revisions.
pub(crate) struct Gate {
    place: Place,
    limit: u32,
    /// How many of the function's instances may be alive in this worker, and how many are.
    here_max: u32,
    here: Rc<Held>,
    instances: Rc<Instances>,
    claim: Rc<Claim>,
    queue_max: u32,
    wait_max: Duration,
    waiting: Cell<u32>,
    /// Lets one waiter at a time look for a slot, first come first served.
    turn: Semaphore,
    freed: Notify,
    /// How long its instances wait for a request, if they do.
    idle: Option<Duration>,
    /// Its instances that others may join.
    open: Open,
}

/// Where a function's running invocations are counted.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) counters: Counters,
    pub(crate) worker: usize,
    pub(crate) function: usize,
}

/// The right to run one invocation; gives what it holds back when dropped.
pub(crate) struct Slot {
    /// A seat in an instance that others have.
    seat: Option<Seat>,
    /// What an instance of its own holds.
    room: Option<InstanceRoom>,
    _counted: Counted,
}

/// What one instance holds of its worker.
struct InstanceRoom {
    slots: Option<Slots>,
    here: Here,
}

/// The same for an instance that others may join.
struct OpenRoom {
    room: InstanceRoom,
    open: OpenInstance,
}

/// An invocation that its function counts.
struct Counted(Rc<Gate>);

/// An instance that its worker counts.
struct Here(Rc<Gate>);

/// What an invocation was given first.
enum Taken {
    Seat(Counted, Seat),
    Instance(Counted, Here),
}

impl Gate {
    /// A gate for a function whose instances need so much of the worker's `instances`.
    pub(crate) fn new(
        place: Place,
        limits: &Limits,
        needs: Needs<'_>,
        instances: &Rc<Instances>,
    ) -> Rc<Self> {
        let claim = instances.claim(needs.namespace, needs.held, limits.weight, needs.slots);
        let bounds = instances.bounds();
        let by_slots = bounds.instances_max / SHARE_OF_WORKER / claim.slots();
        let by_descriptors = (bounds.descriptors_max / SHARE_OF_WORKER)
            .checked_div(needs.descriptors)
            .unwrap_or(u32::MAX);
        Rc::new(Self {
            place,
            limit: limits.concurrency,
            here_max: by_slots.min(by_descriptors).max(1),
            here: Rc::clone(needs.held),
            instances: Rc::clone(instances),
            claim,
            queue_max: limits.queue,
            wait_max: limits.queue_time,
            waiting: Cell::new(0),
            turn: Semaphore::new(1),
            freed: Notify::new(),
            idle: needs.isolation.reuse().map(|reuse| reuse.idle),
            open: Open::default(),
        })
    }

    /// Waits for this function's turn and an instance of the worker.
    pub(crate) async fn enter(self: &Rc<Self>) -> Result<Slot, Refusal> {
        let deadline = Instant::now() + self.wait_max;
        let (counted, here) = match self.take_or_wait(deadline).await? {
            Taken::Seat(counted, seat) => return Ok(Slot::seated(counted, seat)),
            Taken::Instance(counted, here) => (counted, here),
        };
        // What waits here has passed its function's gate, so there are no more than the sum of
        // their concurrency limits.
        let deadline = deadline.min(Instant::now() + WORKER_WAIT_MAX);
        let slots = tokio::select! {
            biased;
            slots = timeout_at(deadline, self.instances.take(&self.claim)) => {
                slots.map_err(|_| Refusal::NodeFull)?
            }
            seat = self.seat_freed() => return Ok(Slot::seated(counted, seat)),
        };
        // What waits holds descriptors, too.
        self.instances.drop_beyond(self.here_max, &self.here);
        let slots = Some(slots);
        Ok(Slot {
            seat: None,
            room: Some(InstanceRoom { slots, here }),
            _counted: counted,
        })
    }

    /// Waits for a seat in an instance that runs; for ever, if there is none that runs.
    async fn seat_freed(&self) -> Seat {
        loop {
            if self.open.is_empty() {
                self.open.opened().await;
            }
            if let Some(seat) = self.open.seat() {
                return seat;
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Drops the instances that wait for requests of this revision, and keeps none from here on.
    /// Those that others could join take nobody any more.
    pub(crate) fn close(&self) {
        self.open.close();
        self.claim.close(&self.instances);
    }

    async fn take_or_wait(self: &Rc<Self>, deadline: Instant) -> Result<Taken, Refusal> {
        // Who comes while others wait goes behind them.
        if self.waiting.get() == 0
            && let Some(taken) = self.try_take()
        {
            return Ok(taken);
        }
        if self.waiting.get() >= self.queue_max {
            return Err(Refusal::FunctionFull);
        }
        let _waiting = Waiting::new(&self.waiting);
        timeout_at(deadline, self.wait())
            .await
            .map_err(|_| Refusal::QueueTimeout)
    }

    async fn wait(self: &Rc<Self>) -> Taken {
        let _turn = self
            .turn
            .acquire()
            .await
            .expect("the semaphore is never closed");
        loop {
            if let Some(taken) = self.try_take() {
                return taken;
            }
            // Either a slot of this worker was freed, or it is time to look at the others'.
            drop(timeout(LOOK_AGAIN, self.freed.notified()).await);
        }
    }

    fn try_take(self: &Rc<Self>) -> Option<Taken> {
        let Place {
            counters,
            worker,
            function,
        } = &self.place;
        let here = &self.here.instances;
        let has_seat = self.open.has_seat();
        if !has_seat && here.get() >= self.here_max {
            return None;
        }
        if !counters.take(*worker, *function, self.limit) {
            return None;
        }
        let counted = Counted(Rc::clone(self));
        if let Some(seat) = self.open.seat() {
            return Some(Taken::Seat(counted, seat));
        }
        here.set(here.get() + 1);
        Some(Taken::Instance(counted, Here(Rc::clone(self))))
    }
}

impl Slot {
    fn seated(counted: Counted, seat: Seat) -> Self {
        Self {
            seat: Some(seat),
            room: None,
            _counted: counted,
        }
    }

    /// An instance that waited for this request, or has room for it.
    pub(crate) fn take_instance(&mut self) -> Option<Reused> {
        if let Some(seat) = self.seat.take() {
            return Some(Reused::Seat(seat));
        }
        let slots = self.room.as_mut()?.slots.as_mut()?;
        slots.take_instance().map(Reused::Whole)
    }
}

impl Permit for Slot {
    fn share(&mut self, open: &OpenInstance) -> Option<Box<dyn Permit>> {
        let room = self.room.take()?;
        room.here.0.open.put(open.clone());
        let open = open.clone();
        Some(Box::new(OpenRoom { room, open }))
    }

    fn keep(mut self: Box<Self>, instance: Instance) {
        if let Some(room) = &mut self.room {
            room.keep(instance);
        }
    }
}

impl InstanceRoom {
    fn keep(&mut self, instance: Instance) {
        if let Some((slots, idle)) = self.slots.take().zip(self.here.0.idle) {
            slots.keep(instance, idle);
        }
    }
}

impl Permit for OpenRoom {
    fn keep(mut self: Box<Self>, instance: Instance) {
        self.room.keep(instance);
    }
}

impl Drop for OpenRoom {
    fn drop(&mut self) {
        self.room.here.0.open.remove(&self.open);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Gate { place, freed, .. } = &*self.0;
        place.counters.give_back(place.worker, place.function);
        freed.notify_one();
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let Gate { here, freed, .. } = &*self.0;
        here.instances.set(here.instances.get() - 1);
        freed.notify_one();
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

/// What one instance of a revision needs of its worker, and for whom.
#[derive(Clone, Copy)]
pub(crate) struct Needs<'a> {
    pub(crate) namespace: &'a NamespaceName,
    /// What the function holds already.
    pub(crate) held: &'a Rc<Held>,
    /// Slots of the pool.
    pub(crate) slots: u32,
    /// Descriptors that it may have open.
    pub(crate) descriptors: u32,
    /// Whether it is used again.
    pub(crate) isolation: &'a Isolation,
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::instances::WorkerBounds;

    fn gate(concurrency: u32, queue: u32) -> Rc<Gate> {
        gate_to(&pool(100), concurrency, queue, 1)
    }

    fn gate_to(instances: &Rc<Instances>, concurrency: u32, queue: u32, slots: u32) -> Rc<Gate> {
        let counters = Counters::private().unwrap();
        let limits = Limits {
            concurrency,
            queue,
            queue_time: Duration::from_secs(2),
            ..Limits::SAFE
        };
        let place = Place {
            counters,
            worker: 0,
            function: 0,
        };
        let needs = Needs {
            namespace: &NamespaceName::default(),
            held: &Rc::default(),
            slots,
            descriptors: 0,
            isolation: &Isolation::Fresh,
        };
        Gate::new(place, &limits, needs, instances)
    }

    fn pool(instances_max: u32) -> Rc<Instances> {
        Instances::new(WorkerBounds {
            instances_max,
            descriptors_max: 1_000,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_slot_that_is_freed() {
        let gate = gate(1, 10);
        let first = gate.enter().await.unwrap();
        let mut second = std::pin::pin!(gate.enter());
        assert!(futures::poll!(second.as_mut()).is_pending());
        drop(first);
        assert!(second.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_turns_away_at_once() {
        let gate = gate(1, 1);
        let _first = gate.enter().await.unwrap();
        let mut second = std::pin::pin!(gate.enter());
        assert!(futures::poll!(second.as_mut()).is_pending());
        assert!(matches!(gate.enter().await, Err(Refusal::FunctionFull)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_at_its_deadline() {
        let gate = gate(1, 1);
        let _first = gate.enter().await.unwrap();
        let before = Instant::now();
        assert!(matches!(gate.enter().await, Err(Refusal::QueueTimeout)));
        assert_eq!(before.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_leaves_no_trace() {
        let gate = gate(1, 1);
        let first = gate.enter().await.unwrap();
        {
            let mut second = std::pin::pin!(gate.enter());
            assert!(futures::poll!(second.as_mut()).is_pending());
        }
        drop(first);
        assert!(gate.enter().await.is_ok());
        assert_eq!(gate.waiting.get(), 0);
        assert_eq!(gate.place.counters.running(0), 0, "every slot came back");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_pool_is_the_nodes_and_not_the_functions() {
        let instances = pool(2);
        let (one, two) = (gate_to(&instances, 9, 9, 1), gate_to(&instances, 9, 9, 2));
        let _first = one.enter().await.unwrap();
        let before = Instant::now();
        assert!(matches!(two.enter().await, Err(Refusal::NodeFull)));
        assert_eq!(before.elapsed(), two.wait_max, "shorter than the worker's");
        assert_eq!(two.place.counters.running(0), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_function_leaves_half_of_the_pool_to_the_others() {
        let instances = pool(100);
        let greedy = gate_to(&instances, 200, 200, 8);
        let mut held = Vec::new();
        while let Some(Ok(slot)) = greedy.enter().now_or_never() {
            held.push(slot);
        }
        assert_eq!(held.len(), 6, "6 instances of 8 slots are half of 100");
        let other = gate_to(&instances, 200, 200, 1);
        assert!(other.enter().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_function_leaves_half_of_the_descriptors_to_the_others() {
        let place = Place {
            counters: Counters::private().unwrap(),
            worker: 0,
            function: 0,
        };
        let needs = Needs {
            namespace: &NamespaceName::default(),
            held: &Rc::default(),
            slots: 1,
            descriptors: 100,
            isolation: &Isolation::Fresh,
        };
        let gate = Gate::new(place, &Limits::SAFE, needs, &pool(100));
        let mut held = Vec::new();
        while let Some(Ok(slot)) = gate.enter().now_or_never() {
            held.push(slot);
        }
        assert_eq!(held.len(), 5, "5 instances of 100 are half of 1,000");
    }
}
