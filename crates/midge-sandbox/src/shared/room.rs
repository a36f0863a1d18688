//! Who is in an instance that several invocations have at a time.
//!
//! Decides who may come in, who is asked of the guest next, and what each of them used. Running the
//! instance is `shared.rs`; when it is looked for, and what counts it, is midge-runtime's.
//!
//! **Invariant:** no more are in it, or on their way, than its isolation allows; and once somebody
//! left in the middle nobody comes in any more.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use http::Request;
use midge_model::Outcome;
use tokio::sync::oneshot;
use tokio::time::Instant;
use wasmtime::component::GuestTaskId;

use crate::body::{RequestBody, TakesBack};
use crate::contract::HeadSender;
use crate::cpu::Pace;
use crate::instance::InstanceUse;
use crate::limits::Vitals;

/// An instance that runs, for those that may join the invocations in it.
#[derive(Clone)]
pub struct OpenInstance(pub(super) Rc<Room>);

/// The right to ask an instance that others have at the same time. Whoever drops it in the middle
/// leaves: its answer is not waited for, and the instance takes nobody else.
pub struct Seat {
    room: Rc<Room>,
    /// Under which number it asked; `None` as long as it did not.
    asked: Option<u64>,
}

/// An instance's invocations.
pub(crate) struct Room {
    instance: u64,
    concurrency: u32,
    requests_max: u32,
    /// How many have asked in the instance's life.
    asked: Cell<u32>,
    /// Seats whose owners did not ask yet.
    promised: Cell<u32>,
    is_closed: Cell<bool>,
    numbers: Cell<u64>,
    inside: RefCell<BTreeMap<u64, Inside>>,
    /// What the guest was not called for yet. Everybody in it is inside, so it has that bound.
    queue: RefCell<VecDeque<(u64, Question)>>,
    /// Wakes who runs the instance.
    waker: RefCell<Option<Waker>>,
    pace: Arc<Pace>,
}

/// What a guest is asked.
pub(crate) struct Question {
    pub(crate) request: Box<Request<RequestBody>>,
    pub(crate) https: bool,
    pub(crate) head: HeadSender,
}

/// Who asks.
pub(crate) struct Asker {
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) deadline: Instant,
    pub(crate) takes_back: Option<TakesBack>,
}

/// One invocation in the instance.
struct Inside {
    vitals: Arc<Vitals>,
    stage: Stage,
    /// The guest's task for it, once it was called.
    task: Option<GuestTaskId>,
    /// Dropped when it is over, which is all that the receiver waits for.
    over: Option<oneshot::Sender<()>>,
    /// Takes back, at the end, whatever the guest still holds of its request.
    takes_back: Option<TakesBack>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waits for the guest, or for the end of its answer.
    Asked,
    /// Has its whole answer, and stays for the work behind it as long as nobody else does.
    Answered,
    /// Left in the middle. What the guest still does for it is held against its limits.
    Gone,
}

impl OpenInstance {
    /// Whether one more may come in.
    pub fn has_room(&self) -> bool {
        self.0.has_room()
    }

    /// A seat for one more, if there is room.
    pub fn seat(&self) -> Option<Seat> {
        self.has_room().then(|| self.0.seat())
    }

    /// Lets nobody in any more. Those that are in it go on.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether both are the same instance.
    pub fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for OpenInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenInstance({})", self.0.instance)
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seat({})", self.room.instance)
    }
}

/// What a room is made of.
pub(super) struct RoomParts {
    pub(super) instance: u64,
    pub(super) asked: u32,
    pub(super) concurrency: u32,
    pub(super) requests_max: u32,
    pub(super) pace: Arc<Pace>,
}

impl Room {
    pub(super) fn new(parts: RoomParts) -> Rc<Self> {
        Rc::new(Self {
            instance: parts.instance,
            concurrency: parts.concurrency,
            requests_max: parts.requests_max,
            asked: Cell::new(parts.asked),
            promised: Cell::new(0),
            is_closed: Cell::new(false),
            numbers: Cell::new(0),
            inside: RefCell::default(),
            queue: RefCell::default(),
            waker: RefCell::default(),
            pace: parts.pace,
        })
    }

    /// A seat, whether or not there is room.
    pub(super) fn seat(self: &Rc<Self>) -> Seat {
        self.promised.set(self.promised.get() + 1);
        Seat {
            room: Rc::clone(self),
            asked: None,
        }
    }

    fn has_room(&self) -> bool {
        let promised = self.promised.get();
        !self.is_closed.get()
            && self.is_sound()
            && self.asked.get().saturating_add(promised) < self.requests_max
            && self.waiting().saturating_add(promised) < self.concurrency
    }

    /// Whether nobody in it has come to a bad end of which the room was not told yet.
    fn is_sound(&self) -> bool {
        let inside = self.inside.borrow();
        let mut outcomes = inside.values().filter_map(|one| one.vitals.outcome());
        outcomes.all(Outcome::is_success)
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// How many have asked in the instance's life.
    pub(super) fn asked(&self) -> u32 {
        self.asked.get()
    }

    /// How many wait for the end of their answers.
    pub(crate) fn waiting(&self) -> u32 {
        let inside = self.inside.borrow();
        let waiting = inside.values().filter(|one| one.stage == Stage::Asked);
        u32::try_from(waiting.count()).unwrap_or(u32::MAX)
    }

    /// Whether somebody may still ask.
    pub(crate) fn is_expecting(&self) -> bool {
        self.promised.get() > 0 || !self.queue.borrow().is_empty()
    }

    /// Whether nobody is in it who wants anything, and nobody is on the way.
    pub(super) fn is_deserted(&self) -> bool {
        let inside = self.inside.borrow();
        self.promised.get() == 0 && inside.values().all(|one| one.stage == Stage::Gone)
    }

    /// Wakes this when there is something to be seen to.
    pub(crate) fn wakes(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// What the guest is to be called for next.
    pub(crate) fn next(&self) -> Option<(u64, Question)> {
        self.queue.borrow_mut().pop_front()
    }

    /// The guest was called for it.
    pub(crate) fn began(&self, number: u64, task: GuestTaskId) {
        if let Some(one) = self.inside.borrow_mut().get_mut(&number) {
            one.task = Some(task);
        }
    }

    /// The answer is through, or there will be none.
    pub(crate) fn answered(&self, number: u64) {
        if let Some(one) = self.inside.borrow_mut().get_mut(&number)
            && one.stage == Stage::Asked
        {
            // One whose caller left lets go of the body, and is dropped itself a moment later.
            let is_bad = one.vitals.outcome().is_some_and(|end| !end.is_success());
            match is_bad {
                true => self.leave(one),
                false => one.stage = Stage::Answered,
            }
        }
    }

    /// It is over, and what the guest does for it is not.
    fn leave(&self, one: &mut Inside) {
        one.stage = Stage::Gone;
        one.over = None;
        one.takes_back = None;
        self.close();
    }

    /// Notes what making the instance took, for the one it was made for.
    pub(crate) fn note_instantiated(&self, took: Duration) {
        if let Some(first) = self.inside.borrow().values().next() {
            first.vitals.note_instantiated(took);
        }
    }

    /// Adds what the instance used to what its invocations used: to the one that computes, where
    /// that is known, and else in equal parts to all that wait for it.
    pub(super) fn charge(&self, used: Duration, by: Option<GuestTaskId>, memory_bytes: u64) {
        let inside = self.inside.borrow();
        for one in inside.values() {
            one.vitals.note_memory(memory_bytes);
        }
        let mut all = inside.values();
        if let Some(one) = all.find(|one| by.is_some() && one.task == by) {
            one.vitals.add_cpu(used);
            return;
        }
        let here = || inside.values().filter(|one| one.stage != Stage::Gone);
        let Ok(count @ 1..) = u32::try_from(here().count()) else {
            return;
        };
        for one in here() {
            one.vitals.add_cpu(used / count);
        }
    }

    /// Whether one of them used more processor time than it may.
    pub(super) fn is_over(&self, cpu_max: Duration) -> bool {
        let inside = self.inside.borrow();
        inside.values().any(|one| one.vitals.cpu() > cpu_max)
    }

    /// Ends those that have their answers. The last in the room stays while the guest works on,
    /// unless that `is_done`: then there is somebody whose time the work has, and no more than that.
    /// Not where somebody left: what the guest does may be for that one, and have no end.
    pub(super) fn end_answered(&self, is_done: bool) {
        let inside = self.inside.borrow();
        let answered = inside.iter();
        let answered = answered.filter(|(_, one)| one.stage == Stage::Answered);
        let mut over: Vec<_> = answered.map(|(number, _)| *number).collect();
        let is_last = !is_done && inside.values().all(|one| one.stage == Stage::Answered);
        drop(inside);
        if is_last {
            over.pop();
        }
        for number in over {
            self.end_one(number, Outcome::Responded);
        }
    }

    fn end_one(&self, number: u64, outcome: Outcome) {
        let Some(one) = self.inside.borrow_mut().remove(&number) else {
            return;
        };
        one.vitals.end(outcome);
        if !one.vitals.is_clean() {
            // An error code in place of a response, a body that was too large: as for one alone.
            self.close();
        }
    }

    /// Ends all that are in it, each by what it used and whether it has its answer.
    pub(super) fn end_all(&self, how: impl Fn(&Vitals, bool) -> Outcome) {
        self.close();
        self.queue.borrow_mut().clear();
        let inside = std::mem::take(&mut *self.inside.borrow_mut());
        for one in inside.values() {
            let is_answered = one.stage == Stage::Answered;
            one.vitals.end(how(&one.vitals, is_answered));
        }
        // Only now: with their senders gone they look for their outcomes.
        drop(inside);
    }
}

impl Seat {
    /// Asks. The receiver resolves when the invocation is over and its outcome noted.
    pub(super) fn ask(
        &mut self,
        question: Question,
        asker: Asker,
    ) -> (InstanceUse, oneshot::Receiver<()>) {
        let room = &self.room;
        room.promised.set(room.promised.get() - 1);
        room.asked.set(room.asked.get().saturating_add(1));
        room.numbers.set(room.numbers.get() + 1);
        let number = room.numbers.get();
        let (over, receiver) = oneshot::channel();
        room.pace.extend(asker.deadline);
        let inside = Inside {
            vitals: asker.vitals,
            stage: Stage::Asked,
            task: None,
            over: Some(over),
            takes_back: asker.takes_back,
        };
        room.inside.borrow_mut().insert(number, inside);
        room.queue.borrow_mut().push_back((number, question));
        self.asked = Some(number);
        room.wake();
        let used = InstanceUse {
            number: room.instance,
            nth: room.asked.get(),
        };
        (used, receiver)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let room = &self.room;
        let Some(asked) = self.asked else {
            room.promised.set(room.promised.get() - 1);
            room.wake();
            return;
        };
        let mut queue = room.queue.borrow_mut();
        if let Some(at) = queue.iter().position(|(number, _)| *number == asked) {
            // The guest was never told of it.
            let unasked = queue.remove(at);
            drop(queue);
            let left = room.inside.borrow_mut().remove(&asked);
            drop((unasked, left));
        } else if let Some(one) = room.inside.borrow_mut().get_mut(&asked) {
            room.leave(one);
        } else {
            return;
        }
        room.wake();
    }
}

#[cfg(test)]
mod tests;
