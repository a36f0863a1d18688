//! Which loaded revisions are unloaded, once they hold more than they should together.
//!
//! Decides by least recent use. What a revision holds is told by whoever loads it; what is in use
//! says so itself when it is asked to go, and stays. When a revision is loaded is `loading.rs`.
//!
//! **Invariant:** a request costs the same however much is loaded: it moves one entry of a list,
//! and allocates nothing.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use serde::{Deserialize, Serialize};

/// The most that a worker's loaded revisions may hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadedBounds {
    /// Memory, as far as it is known: what is in use stays, whatever it holds.
    pub bytes_max: u64,
    /// Revisions. Each takes mappings and a descriptor, and the kernel has only so many.
    pub revisions_max: u32,
}

/// What a worker has loaded, and how often it had to unload something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedCounts {
    /// Revisions that are loaded.
    pub revisions: u32,
    /// What they hold, as far as it is known.
    pub bytes: u64,
    /// Revisions that were unloaded because there was too much, since the worker began.
    pub evicted: u64,
}

/// Everything that is loaded, in the order of its last use.
pub(crate) struct Loaded<T> {
    bounds: LoadedBounds,
    order: RefCell<Order<T>>,
    counts: Cell<LoadedCounts>,
}

/// What one loaded revision holds, and its place in the order. Given back when dropped.
pub(crate) struct Seat<T> {
    loaded: Rc<Loaded<T>>,
    at: usize,
    bytes: u64,
    asked: Cell<bool>,
}

/// A ring of entries in one vector; the first is nobody's and stands between newest and oldest.
struct Order<T> {
    entries: Vec<Entry<T>>,
    free: Vec<usize>,
}

struct Entry<T> {
    older: usize,
    newer: usize,
    /// Who can unload it.
    owner: Weak<T>,
}

impl<T> Loaded<T> {
    /// Nothing yet, within these bounds.
    pub(crate) fn new(bounds: LoadedBounds) -> Rc<Self> {
        Rc::new(Self {
            bounds,
            order: RefCell::new(Order::new()),
            counts: Cell::default(),
        })
    }

    /// A seat for something that holds so much, and was just used.
    pub(crate) fn seat(self: &Rc<Self>, bytes: u64) -> Seat<T> {
        let mut counts = self.counts.get();
        counts.revisions += 1;
        counts.bytes += bytes;
        self.counts.set(counts);
        Seat {
            loaded: Rc::clone(self),
            at: self.order.borrow_mut().add(),
            bytes,
            asked: Cell::new(false),
        }
    }

    /// What there is.
    pub(crate) fn counts(&self) -> LoadedCounts {
        self.counts.get()
    }

    /// Whether there is more than there should be.
    pub(crate) fn is_over(&self) -> bool {
        let LoadedCounts {
            revisions, bytes, ..
        } = self.counts.get();
        bytes > self.bounds.bytes_max || revisions > self.bounds.revisions_max
    }

    /// Unloads what was used longest ago, until there is no more than there should be. `unload`
    /// says whether it did; what it left counts as used now.
    pub(crate) fn make_room(&self, unload: impl Fn(&Rc<T>) -> bool) {
        // Once around: if all that is left is in use, it stays.
        for _ in 0..self.counts.get().revisions {
            if !self.is_over() {
                return;
            }
            let (at, owner) = self.order.borrow().oldest();
            // Not while the order is borrowed: what is unloaded gives its seat back.
            if owner.upgrade().is_some_and(|owner| unload(&owner)) {
                let mut counts = self.counts.get();
                counts.evicted += 1;
                self.counts.set(counts);
            } else {
                self.order.borrow_mut().make_newest(at);
            }
        }
    }
}

impl<T> Seat<T> {
    /// Says who can unload what sits here.
    pub(crate) fn belongs_to(&self, owner: &Rc<T>) {
        let mut order = self.loaded.order.borrow_mut();
        order.entries[self.at].owner = Rc::downgrade(owner);
    }

    /// Somebody asked for it.
    pub(crate) fn ask(&self) {
        self.asked.set(true);
        self.loaded.order.borrow_mut().make_newest(self.at);
    }

    /// Whether anybody ever asked for it.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.get()
    }
}

impl<T> Drop for Seat<T> {
    fn drop(&mut self) {
        let mut counts = self.loaded.counts.get();
        counts.revisions -= 1;
        counts.bytes -= self.bytes;
        self.loaded.counts.set(counts);
        self.loaded.order.borrow_mut().remove(self.at);
    }
}

/// The entry between newest and oldest.
const END: usize = 0;

impl<T> Order<T> {
    fn new() -> Self {
        let end = Entry {
            older: END,
            newer: END,
            owner: Weak::new(),
        };
        Self {
            entries: vec![end],
            free: Vec::new(),
        }
    }

    /// A new entry, the newest.
    fn add(&mut self) -> usize {
        let at = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry {
                older: END,
                newer: END,
                owner: Weak::new(),
            });
            self.entries.len() - 1
        });
        self.put_newest(at);
        at
    }

    fn remove(&mut self, at: usize) {
        self.take_out(at);
        self.entries[at].owner = Weak::new();
        self.free.push(at);
    }

    fn make_newest(&mut self, at: usize) {
        if self.entries[END].older != at {
            self.take_out(at);
            self.put_newest(at);
        }
    }

    fn oldest(&self) -> (usize, Weak<T>) {
        let at = self.entries[END].newer;
        (at, Weak::clone(&self.entries[at].owner))
    }

    fn put_newest(&mut self, at: usize) {
        let before = std::mem::replace(&mut self.entries[END].older, at);
        self.entries[before].newer = at;
        self.entries[at].older = before;
        self.entries[at].newer = END;
    }

    fn take_out(&mut self, at: usize) {
        let Entry { older, newer, .. } = self.entries[at];
        self.entries[older].newer = newer;
        self.entries[newer].older = older;
    }
}

#[cfg(test)]
mod tests;
