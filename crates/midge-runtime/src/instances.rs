//! The slots of one worker's pool, and who gets the next one.
//!
//! Decides, once the pool is used up, whose request takes what comes back: that of the function
//! which holds least for its weight, and within a function first come, first served. So a function
//! that comes to a full worker waits for one instance to end, not for all that came before it. A
//! namespace never has the whole pool while there are others. Whether a function may have more
//! instances at all is `admission.rs`.
//!
//! **Invariant:** nobody waits while what it needs is free, unless somebody waits who holds less.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};

use midge_model::NamespaceName;
use tokio::sync::{Notify, oneshot};

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
}

/// What a function holds of its worker, over all its revisions.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) slots: Cell<u32>,
    pub(crate) instances: Cell<u32>,
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
}

/// Slots held for the weight, then who came first.
type Place = (u64, u64);

/// One waiting request.
struct Ticket {
    number: u64,
    sender: oneshot::Sender<Permit>,
}

struct Namespace {
    held: Cell<u32>,
    alive: Rc<Cell<usize>>,
}

/// Slots of the pool; given back when dropped.
pub(crate) struct Permit {
    instances: Rc<Instances>,
    claim: Rc<Claim>,
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
        while self.free.get() < self.bounds.instances_max {
            self.all_came_back.notified().await;
        }
    }

    /// Waits for the slots of one instance. Dropping the future gives up the wait.
    pub(crate) async fn take(self: &Rc<Self>, claim: &Rc<Claim>) -> Permit {
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

    fn grant(self: &Rc<Self>, claim: &Rc<Claim>) -> Permit {
        self.free.set(self.free.get() - claim.slots);
        claim.hold(claim.slots);
        Permit {
            instances: Rc::clone(self),
            claim: Rc::clone(claim),
        }
    }

    /// The function that goes next, if there is enough for it. Nobody goes past it: one with large
    /// instances would never see enough free slots at a time.
    fn next(&self) -> Option<Rc<Claim>> {
        let order = self.order.borrow();
        let next = order
            .values()
            .find(|claim| self.namespace_has_room(claim))?;
        (next.slots <= self.free.get()).then(|| Rc::clone(next))
    }

    fn has_room(&self, claim: &Claim) -> bool {
        claim.slots <= self.free.get() && self.namespace_has_room(claim)
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

impl Drop for Permit {
    fn drop(&mut self) {
        let Self { instances, claim } = self;
        claim.give_back(claim.slots);
        instances.free.set(instances.free.get() + claim.slots);
        instances.place(claim);
        instances.hand_out();
        if instances.free.get() == instances.bounds.instances_max {
            instances.all_came_back.notify_waiters();
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.alive.set(self.alive.get() - 1);
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
