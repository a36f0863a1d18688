//! The slots of one worker's pool, and who gets the next one.
//!
//! Decides, once the pool is used up, whose request takes what comes back: that of the function
//! which holds least for its weight, and within a function first come, first served. So a function
//! that comes to a full worker waits for one instance to end, not for all that came before it. A
//! namespace never has the whole pool while there are others. Whether a function may have more
//! instances at all is `admission.rs`.
//!
//! An instance that may be asked again keeps its slots while it waits (`idle.rs`), and they count as
//! free: it is dropped for whoever needs them.
//!
//! **Invariant:** nobody waits while what it needs is free, unless somebody waits who holds less.

pub(crate) mod idle;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use midge_model::NamespaceName;
use midge_sandbox::Instance;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use self::idle::{Idle, Own, Owner, Waiting};

/// The part of the pool that one namespace may hold where a node serves several.
const NAMESPACE_SHARE: (u32, u32) = (3, 4);

/// Slots held are compared per weight, in whole numbers of this fineness.
const LOAD_FINENESS: u64 = 1_000_000;

/// What a worker has for its guests.
#[derive(Debug, Clone, Copy)]
pub struct WorkerBounds {
    /// Slots of the pool of instances.
    pub instances_max: u32,
    /// Descriptors, beside those for connections.
    pub descriptors_max: u32,
}

/// The slots of one worker's pool.
pub(crate) struct Instances {
    bounds: WorkerBounds,
    free: Cell<u32>,
    /// Functions of which requests wait, the one that holds least first.
    order: RefCell<BTreeMap<Place, Rc<Claim>>>,
    numbers: Cell<u64>,
    namespaces: RefCell<BTreeMap<NamespaceName, Weak<Namespace>>>,
    /// How many of them have functions.
    namespaces_alive: Rc<Cell<usize>>,
    all_came_back: Notify,
    idle: RefCell<Idle<Instance, Claim>>,
    /// When those that wait are looked through for those whose time is up; `None` while none waits.
    swept_at: Cell<Option<Instant>>,
    swept_earlier: Rc<Notify>,
}

/// What a function holds of its worker, over all its revisions.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) slots: Cell<u32>,
    /// Those that run.
    pub(crate) instances: Cell<u32>,
    /// Those that wait for a request.
    pub(crate) idle: Cell<u32>,
}

/// One revision of a function, as far as the pool is concerned.
pub(crate) struct Claim {
    weight: u32,
    /// What one instance takes.
    slots: u32,
    namespace: Rc<Namespace>,
    /// What all revisions of the function hold: several of them are no more than one.
    held: Rc<Held>,
    waiting: RefCell<VecDeque<Ticket>>,
    /// Where it stands in [`Instances::order`], while requests of it wait.
    place: Cell<Option<Place>>,
    /// Its instances that wait for requests.
    own: RefCell<Own>,
    /// Whether its revision is not loaded any more.
    is_closed: Cell<bool>,
}

/// Slots held for the weight, then who came first.
type Place = (u64, u64);

/// One waiting request.
struct Ticket {
    number: u64,
    sender: oneshot::Sender<Slots>,
}

struct Namespace {
    held: Cell<u32>,
    alive: Rc<Cell<usize>>,
}

/// Slots of the pool; given back when dropped.
pub(crate) struct Slots {
    instances: Rc<Instances>,
    claim: Rc<Claim>,
    /// What is in them already.
    instance: Option<Instance>,
    /// Whether what was in them waits there.
    is_kept: bool,
}

impl Instances {
    pub(crate) fn new(bounds: WorkerBounds) -> Rc<Self> {
        Rc::new(Self {
            bounds,
            free: Cell::new(bounds.instances_max),
            order: RefCell::default(),
            numbers: Cell::new(0),
            namespaces: RefCell::default(),
            namespaces_alive: Rc::default(),
            all_came_back: Notify::new(),
            idle: RefCell::default(),
            swept_at: Cell::new(None),
            swept_earlier: Rc::default(),
        })
    }

    pub(crate) fn bounds(&self) -> &WorkerBounds {
        &self.bounds
    }

    /// A revision of a function of `namespace`, with instances that take `slots` each.
    pub(crate) fn claim(
        &self,
        namespace: &NamespaceName,
        held: &Rc<Held>,
        weight: u32,
        slots: u32,
    ) -> Rc<Claim> {
        Rc::new(Claim {
            weight,
            held: Rc::clone(held),
            slots: slots.clamp(1, self.bounds.instances_max.max(1)),
            namespace: self.namespace(namespace),
            waiting: RefCell::default(),
            place: Cell::new(None),
            own: RefCell::default(),
            is_closed: Cell::new(false),
        })
    }

    fn namespace(&self, name: &NamespaceName) -> Rc<Namespace> {
        let mut namespaces = self.namespaces.borrow_mut();
        if let Some(known) = namespaces.get(name).and_then(Weak::upgrade) {
            return known;
        }
        namespaces.retain(|_, namespace| namespace.strong_count() > 0);
        let alive = Rc::clone(&self.namespaces_alive);
        alive.set(alive.get() + 1);
        let namespace = Rc::new(Namespace {
            held: Cell::new(0),
            alive,
        });
        namespaces.insert(name.clone(), Rc::downgrade(&namespace));
        namespace
    }

    /// Resolves when nothing runs any more.
    pub(crate) async fn all_free(&self) {
        while self.available() < self.bounds.instances_max {
            self.all_came_back.notified().await;
        }
    }

    /// Waits for the slots of one instance. Dropping the future gives up the wait.
    pub(crate) async fn take(self: &Rc<Self>, claim: &Rc<Claim>) -> Slots {
        if self.order.borrow().is_empty() && self.has_room(claim) {
            return self.grant(claim);
        }
        let (sender, receiver) = oneshot::channel();
        let waits = Waits {
            instances: self,
            claim,
            number: self.number(),
        };
        let ticket = Ticket {
            number: waits.number,
            sender,
        };
        claim.waiting.borrow_mut().push_back(ticket);
        self.place(claim);
        self.hand_out();
        receiver
            .await
            .expect("a ticket leaves the queue with a permit, or with its wait")
    }

    fn number(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    /// Puts a function where it belongs by what it holds and who of it waits.
    fn place(&self, claim: &Rc<Claim>) {
        let mut order = self.order.borrow_mut();
        if let Some(place) = claim.place.take() {
            order.remove(&place);
        }
        if let Some(first) = claim.waiting.borrow().front() {
            let place = (claim.load(), first.number);
            order.insert(place, Rc::clone(claim));
            claim.place.set(Some(place));
        }
    }

    /// Gives what is free to those that wait.
    fn hand_out(self: &Rc<Self>) {
        while let Some(claim) = self.next() {
            let ticket = claim.waiting.borrow_mut().pop_front();
            let ticket = ticket.expect("a function has a place only while requests of it wait");
            let permit = self.grant(&claim);
            self.place(&claim);
            // Whoever stops waiting takes its ticket along, so there is somebody.
            drop(ticket.sender.send(permit));
        }
    }

    /// Slots for an instance of this revision, with one in them if one waits. There is room.
    fn grant(self: &Rc<Self>, claim: &Rc<Claim>) -> Slots {
        let waits = self.idle.borrow_mut().take(claim, Instant::now());
        let instance = waits.map(|waits| waits.instance);
        if instance.is_some() {
            claim.held.idle.set(claim.held.idle.get() - 1);
        } else {
            while self.free.get() < claim.slots && self.drop_oldest(|_| true) {}
            self.free.set(self.free.get() - claim.slots);
        }
        claim.hold(claim.slots);
        Slots {
            instances: Rc::clone(self),
            claim: Rc::clone(claim),
            instance,
            is_kept: false,
        }
    }

    /// Drops every instance that waits, and says how many there were. What is loaded stays, so
    /// their revisions make new ones.
    pub(crate) fn drop_idle(&self) -> usize {
        std::iter::from_fn(|| self.drop_oldest(|_| true).then_some(())).count()
    }

    /// How many wait.
    pub(crate) fn idle_count(&self) -> usize {
        self.idle.borrow().len()
    }

    /// Drops the one that has waited longest, of the claims that are meant. Says whether there was
    /// one.
    pub(crate) fn drop_oldest(&self, is_meant: impl Fn(&Claim) -> bool) -> bool {
        let oldest = self.idle.borrow_mut().oldest(is_meant);
        self.drop_one(oldest)
    }

    /// Drops those of a function until no more than so many of it are alive, or none waits.
    pub(crate) fn drop_beyond(&self, alive_max: u32, held: &Rc<Held>) {
        let is_over = || held.instances.get() + held.idle.get() > alive_max;
        while is_over() && self.drop_oldest(|of| Rc::ptr_eq(&of.held, held)) {}
    }

    fn drop_too_many(&self) {
        let too_many = self.idle.borrow_mut().too_many();
        self.drop_one(too_many);
    }

    fn drop_one(&self, waits: Option<Waiting<Instance, Claim>>) -> bool {
        let Some(Waiting { instance, of, .. }) = waits else {
            return false;
        };
        drop(instance);
        self.free.set(self.free.get() + of.slots);
        of.held.idle.set(of.held.idle.get() - 1);
        true
    }

    /// Sees to it that somebody looks for those whose time is up, at `until` or before.
    fn sweep_at(self: &Rc<Self>, until: Instant) {
        match self.swept_at.get() {
            Some(at) if at <= until => return,
            Some(_) => self.swept_earlier.notify_one(),
            None => drop(tokio::task::spawn_local(sweep(Rc::downgrade(self)))),
        }
        self.swept_at.set(Some(until));
    }

    /// Slots that nothing runs in.
    fn available(&self) -> u32 {
        self.free.get() + self.idle.borrow().slots()
    }

    /// The function that goes next, if there is enough for it. Nobody goes past it: one with large
    /// instances would never see enough free slots at a time.
    fn next(&self) -> Option<Rc<Claim>> {
        let order = self.order.borrow();
        let next = order
            .values()
            .find(|claim| self.namespace_has_room(claim))?;
        (next.slots <= self.available()).then(|| Rc::clone(next))
    }

    fn has_room(&self, claim: &Claim) -> bool {
        claim.slots <= self.available() && self.namespace_has_room(claim)
    }

    fn namespace_has_room(&self, claim: &Claim) -> bool {
        if self.namespaces_alive.get() <= 1 {
            return true;
        }
        let (part, whole) = NAMESPACE_SHARE;
        let held_max = self.bounds.instances_max / whole * part;
        let held = claim.namespace.held.get();
        held == 0 || held.saturating_add(claim.slots) <= held_max
    }
}

impl Claim {
    /// What one instance takes.
    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// Drops those that wait, and lets none wait any more: the revision is not loaded any more, or
    /// not as they know it.
    pub(crate) fn close(&self, instances: &Instances) {
        self.is_closed.set(true);
        while instances.drop_oldest(|of| std::ptr::eq(of, self)) {}
    }

    /// As it is when the claim gets its place. Another revision of the function may hold more by
    /// the time it is served: then it goes next once where another function would.
    fn load(&self) -> u64 {
        u64::from(self.held.slots.get()) * LOAD_FINENESS / u64::from(self.weight.max(1))
    }

    fn hold(&self, slots: u32) {
        self.held.slots.set(self.held.slots.get() + slots);
        self.namespace.held.set(self.namespace.held.get() + slots);
    }

    fn give_back(&self, slots: u32) {
        self.held.slots.set(self.held.slots.get() - slots);
        self.namespace.held.set(self.namespace.held.get() - slots);
    }
}

impl Owner for Claim {
    fn with_own<R>(&self, look: impl FnOnce(&mut Own) -> R) -> R {
        look(&mut self.own.borrow_mut())
    }

    fn slots_of_one(&self) -> u32 {
        self.slots
    }
}

impl Slots {
    /// The instance that is in them already.
    pub(crate) fn take_instance(&mut self) -> Option<Instance> {
        self.instance.take()
    }

    /// Lets an instance of the same revision wait in them, no longer than that. Drops it if there
    /// are enough of them, or the revision is not loaded any more.
    pub(crate) fn keep(mut self, instance: Instance, at_most: Duration) {
        let Self {
            instances, claim, ..
        } = &self;
        if claim.is_closed.get() {
            return;
        }
        let now = Instant::now();
        let put = instances
            .idle
            .borrow_mut()
            .put(claim, instance, now, at_most);
        let Ok(until) = put else {
            return;
        };
        claim.held.idle.set(claim.held.idle.get() + 1);
        instances.drop_too_many();
        instances.sweep_at(until);
        self.is_kept = true;
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // Before somebody else gets its place.
        drop(self.instance.take());
        let Self {
            instances, claim, ..
        } = self;
        if !self.is_kept {
            instances.free.set(instances.free.get() + claim.slots);
        }
        claim.give_back(claim.slots);
        instances.place(claim);
        instances.hand_out();
        if instances.available() == instances.bounds.instances_max {
            instances.all_came_back.notify_waiters();
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.alive.set(self.alive.get() - 1);
    }
}

/// Drops instances whose time is up, until none waits any more.
async fn sweep(instances: Weak<Instances>) {
    let next = |instances: &Weak<Instances>| {
        let instances = instances.upgrade()?;
        Some((
            instances.swept_at.get()?,
            Rc::clone(&instances.swept_earlier),
        ))
    };
    while let Some((at, earlier)) = next(&instances) {
        if timeout_at(at, earlier.notified()).await.is_ok() {
            continue;
        }
        let Some(instances) = instances.upgrade() else {
            return;
        };
        let expired = instances.idle.borrow_mut().expired(Instant::now());
        if instances.drop_one(expired) {
            // One at a time: taking one down may take as long as answering a request.
            tokio::task::yield_now().await;
        } else {
            let expires = instances.idle.borrow().expires();
            instances.swept_at.set(expires);
        }
    }
}

/// A request that waits. Takes its ticket along when it is dropped.
struct Waits<'a> {
    instances: &'a Rc<Instances>,
    claim: &'a Rc<Claim>,
    number: u64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let Self {
            instances, claim, ..
        } = self;
        let is_mine = |ticket: &Ticket| ticket.number == self.number;
        // Gone already, as a rule: it was served.
        let waiting = claim.waiting.borrow().iter().position(is_mine);
        if let Some(position) = waiting {
            claim.waiting.borrow_mut().remove(position);
            instances.place(claim);
            instances.hand_out();
        }
    }
}

#[cfg(test)]
mod tests;
