//! What one worker has not been told yet.
//!
//! Decides the order: what is urgent first, then changes as old as they are, then the order to
//! open the door. What a change says now is looked up when it is taken.
//!
//! **Invariant:** a function stands here at most once, so this is never longer than the roster.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Roster;
use crate::protocol::{FunctionKey, Order};

/// What is urgent and may wait for one worker. One that asks more questions than this and reads no
/// answers gets none.
const URGENT_MAX: usize = 1_024;

/// What one worker has not been told yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    untold: Mutex<Untold>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Untold {
    /// What is not about functions.
    urgent: VecDeque<Order>,
    /// Functions by the number of their newest order.
    changed: BTreeMap<u64, FunctionKey>,
    started: bool,
}

impl Outbox {
    /// A function has a new order, in place of the one before.
    pub(super) fn add(&self, before: Option<u64>, seq: u64, key: &FunctionKey) {
        let mut untold = self.lock();
        if let Some(before) = before {
            untold.changed.remove(&before);
        }
        untold.changed.insert(seq, key.clone());
        self.more.notify_one();
    }

    /// Something that is not about functions, and does not wait for them.
    pub(super) fn tell(&self, order: Order) {
        let urgent = &mut self.lock().urgent;
        if urgent.len() < URGENT_MAX || matches!(order, Order::Drain | Order::End) {
            urgent.push_back(order);
        }
        self.more.notify_one();
    }

    /// There may be something to take now.
    pub(super) fn wake(&self) {
        self.more.notify_one();
    }

    /// The function that changed longest ago.
    pub(super) fn next_key(&self) -> Option<FunctionKey> {
        let (_, key) = self.lock().changed.pop_first()?;
        Some(key)
    }

    /// Whether the worker was told to open the door.
    pub(super) fn has_started(&self) -> bool {
        self.lock().started
    }

    /// The order to open the door, once, when there is nothing left to tell before.
    pub(super) fn start_if(&self, complete: bool) -> Option<Order> {
        let mut untold = self.lock();
        if !complete || untold.started {
            return None;
        }
        untold.started = true;
        Some(Order::Start)
    }

    fn lock(&self) -> MutexGuard<'_, Untold> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reader's end of an outbox.
#[derive(Debug)]
pub(crate) struct Mailbox {
    roster: Arc<Roster>,
    outbox: Arc<Outbox>,
}

impl Mailbox {
    pub(super) fn new(roster: Arc<Roster>, outbox: Arc<Outbox>) -> Self {
        Self { roster, outbox }
    }

    /// The next order, if there is one now.
    pub(crate) fn try_next(&self) -> Option<Order> {
        let urgent = self.outbox.lock().urgent.pop_front();
        urgent.or_else(|| self.roster.take(&self.outbox))
    }

    /// The next order. May be dropped at any await without losing one.
    pub(crate) async fn next(&self) -> Order {
        loop {
            if let Some(order) = self.try_next() {
                return order;
            }
            self.outbox.more.notified().await;
        }
    }
}
