//! The instances of one revision that run and that others may join.
//!
//! Decides which of them the next invocation joins: the oldest that has room, so that the younger
//! ones grow idle when fewer come. How many fit into one is its isolation's word (midge-sandbox).
//!
//! **Invariant:** what is in here holds slots of the pool, so there are no more than the pool has.

use std::cell::{Cell, RefCell};

use midge_sandbox::{OpenInstance, Seat};
use tokio::sync::Notify;

/// The open instances of a revision, the oldest first.
#[derive(Default)]
pub(super) struct Open {
    all: RefCell<Vec<OpenInstance>>,
    is_closed: Cell<bool>,
    opened: Notify,
}

impl Open {
    /// Whether one of them has room.
    pub(super) fn has_seat(&self) -> bool {
        self.all.borrow().iter().any(OpenInstance::has_room)
    }

    /// A seat in one of them, if one has room.
    pub(super) fn seat(&self) -> Option<Seat> {
        self.all.borrow().iter().find_map(OpenInstance::seat)
    }

    /// Whether none runs.
    pub(super) fn is_empty(&self) -> bool {
        self.all.borrow().is_empty()
    }

    /// Resolves when there is one more.
    pub(super) async fn opened(&self) {
        self.opened.notified().await;
    }

    /// Lets others join this one.
    pub(super) fn put(&self, open: OpenInstance) {
        if self.is_closed.get() {
            open.close();
        }
        self.all.borrow_mut().push(open);
        self.opened.notify_waiters();
    }

    /// It is not open any more.
    pub(super) fn remove(&self, open: &OpenInstance) {
        self.all.borrow_mut().retain(|other| !other.is(open));
    }

    /// Lets nobody join any of them, now or later.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        for open in self.all.borrow().iter() {
            open.close();
        }
    }
}
